"""One scene of `predict` with prompts: opened as it is, its prompts checked, their entities written in every format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adapters.inference.labelled import labelled
from adapters.proposals.nested_prompts import ENTITIES
from domains.entities import EntityMap, Place
from domains.entities.forest import EntityForest
from domains.errors import InputError
from domains.exports import Exports
from domains.formats.prompts import Prompt
from domains.scenes import Scene, open_scene
from domains.scenes.address import Source
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction
from domains.tiling.scene_forest import SceneForest
from recipes.inputs import Sight
from recipes.load import Loaded
from recipes.verbs.predict_scenes import LARGE_PX, check_formats, check_limits, image_of, impossible, is_large
from recipes.verbs.prompted import PromptedEntities, Read


@dataclass(frozen=True)
class PromptedRun:
    """What the images of one call share. prompts: of each image by its file's name; way: in place of them. nested: keep
    all masks of prompts, where a format wants a forest. namer: the adapter, where that tells classes.
    """

    finder: PromptedEntities
    exports: Exports
    prompts: Mapping[str, Sequence[Prompt]]
    way: str | None = None
    sight: Sight = Sight()
    nested: bool = False
    namer: Loaded | None = None
    on_tile: Callable[[], None] = lambda: None

    def open(self, path: Source) -> Scene:
        """The scene as it is. Raises InputError for all that won't do, prompts outside of it too."""
        scene = open_scene(path, self.sight.pixel_size_m)
        try:
            if is_large(scene):
                height, width = scene.shape
                raise InputError(
                    f"{str(path)!r} has {width} x {height} px; prompts and automatic masks want at most "
                    f"{LARGE_PX >> 20} megapixels: cut a region out of it"
                )
            check_formats(path, scene, self.exports)
            check_limits(path, scene, self.exports)
            self.checked(scene, path)
            if self.finder.decoder is not None:
                self.finder.decoder.contract.viewed(scene)
            if self.namer is not None:
                self.namer.contract.viewed(scene)
        except BaseException:
            scene.close()
            raise
        return scene

    def checked(self, scene: Scene, path: Source) -> list[Prompt]:
        """The prompts of a scene, in its pixels. Raises InputError for those that lie outside of it."""
        prompts = self.prompts.get(path.name, ())
        return [prompt.in_pixels(path.name, scene.georeference).within(path.name, scene.shape) for prompt in prompts]

    def predict(self, scene: Scene, path: Source, name: str, about: Sequence[Any] = ()) -> None:
        """Predict and write. about: what `state_of` says of it."""
        self.exports.begin(name, str(path), about, path=str(path.resolve()))
        read = image_of(scene)
        forest = None
        if self.nested:
            entities, nested, granularity = self.nested_entities(scene, path, read)
            forest = SceneForest.of_forest(nested, granularity)
        elif self.finder.decoder is not None:
            entities = self.finder.of_decoder(scene, read)
        elif self.way is None:
            entities = self.finder.of_prompts(read, scene.shape, self.checked(scene, path))
        else:
            entities = self.finder.of_grid(np.ascontiguousarray(read(Window(0, 0, *scene.shape))), self.way)
        self.on_tile()
        place = Place(str(path), pixel_size_m=scene.pixel_size_m, georeference=scene.georeference)
        whole = read(Window(0, 0, *scene.shape))
        prediction = replace(self.named(Prediction.of_map(entities, name, place, whole), scene), forest=forest)
        self.exports.stream(
            prediction, frozenset(impossible(scene.pixel_size_m, scene.georeference, self.exports.words(True)))
        )

    def named(self, prediction: Prediction, scene: Scene) -> Prediction:
        """The prediction with a class of each entity, where the adapter knows any."""
        if self.namer is None or self.namer.labeller is None:
            return prediction
        contract = self.namer.contract
        return labelled(prediction, contract.viewed(scene), contract, self.namer.segmenter, self.namer.labeller)

    def nested_entities(self, scene: Scene, path: Source, read: Read) -> tuple[EntityMap, EntityForest, float]:
        """The flat map, the forest whose cut it is, and the granularity of that cut."""
        if self.finder.decoder is not None:
            return *self.finder.forest_of_decoder(scene, read), ENTITIES
        if self.way is None:
            return *self.finder.forest_of_prompts(read, scene.shape, self.checked(scene, path)), ENTITIES
        return self.finder.forest_of_grid(np.ascontiguousarray(read(Window(0, 0, *scene.shape))), self.way)
