"""One scene of `predict`: opened as the network sees it, predicted, written in every format that it can have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adapters.inference.labelled import labelled
from adapters.inference.segment import FLAT, Cut, InputContract, Tiles, decoded, segment_into
from adapters.labelling.labeller import Labeller
from adapters.network import EntitySegmenter
from adapters.runtime import CPU
from adapters.tracking.identified import identified
from adapters.tracking.registry import Registry
from adapters.tracking.visit import Visit
from domains.datasets.domain import WorthLooking
from domains.entities import EntityMap, Place
from domains.errors import InputError
from domains.exports import STREAMED, Exports
from domains.exports.impossible import impossible
from domains.scenes import Photograph, Scene, Viewed, open_scene
from domains.scenes.address import Source
from domains.scenes.ground import INSTALL, ground_of
from domains.scenes.images import as_rgb
from domains.scenes.remote import state_of as state_of_address
from domains.scenes.results import signed
from domains.scenes.scene import read_whole
from domains.tiling import image_journal
from domains.tiling.canvas import LARGE_PX
from domains.tiling.grid import Window, Windows
from domains.tiling.prediction import Prediction
from domains.tiling.running import Running, discard, gathered
from recipes.inputs import Sight
from recipes.looking import Worth
from recipes.verbs.progress import Progress

Maps = Callable[[Source, Tiles, int], Iterator[tuple[int, EntityMap]]]


@dataclass(frozen=True)
class Run:
    """What the images of one call share. worth: of a scene, which tiles are worth looking at; None for all.

    cut: what of nested entities is kept. weights: the digest of the network's, where scenes may be large. on_tile:
    called when a tile of a scene that is held in memory is done. maps: where the maps of tiles come from, in place of
    `segmenter`: (path, tiles, first tile) to (tile, map) from that on.
    """

    segmenter: EntitySegmenter
    contract: InputContract
    exports: Exports
    worth: Worth | None = None
    sight: Sight = Sight()
    cut: Cut = FLAT
    weights: str = ""
    on_tile: Callable[[], None] = lambda: None
    maps: Maps | None = None
    labeller: Labeller | None = None
    """What gives entities their class; None where the adapter knows none."""
    registry: Registry | None = None
    """What knows entities beyond this run; None without one."""

    def open(self, path: Source) -> Scene:
        """The scene as the network sees it; one of a single level that fits into memory is decoded.

        Raises InputError for all that won't do.
        """
        scene = open_scene(path, self.sight.pixel_size_m)
        try:
            viewed = self.contract.viewed(scene)
            check_formats(path, scene, self.exports)
            check_limits(path, scene, self.exports)
            return held(viewed)
        except BaseException:
            scene.close()
            raise

    def predict(self, scene: Scene, path: Source, name: str, about: Sequence[Any] = ()) -> None:
        """Predict and write. about: what `state_of` says of it."""
        worth = self.worth(scene) if self.worth else None
        tiles = Tiles(scene, self.contract, worth, self.cut)
        values: dict[str, Any] = {"path": str(path.resolve())}
        if worth is not None:
            windows = tiles.level_0()
            looked_at = sum(1 for _ in windows.holding(worth))
            values["looked_at"] = looked_at / max(1, len(windows))
        self.exports.begin(name, str(path), about, **values)
        if worth is not None:
            self.show_worth(worth, windows, looked_at, name)
        place = Place(str(path), pixel_size_m=scene.pixel_size_m, georeference=scene.georeference)
        running = self.begun(tiles, path, name)
        prediction = self.named(self.predicted(running, tiles, path, name), tiles.whole_scene, name)
        prediction = replace(prediction, name=name, place=place, image=image_of(scene))
        if self.registry is not None:
            prediction = self.exports.destination.limits.applied(prediction)
            prediction = identified(prediction, Visit(self.registry, str(path)))
        formats = self.exports.words(prediction.entity_map is not None)
        self.exports.stream(prediction, frozenset(impossible(scene.pixel_size_m, scene.georeference, formats)))
        if is_large(scene):
            discard(running_folder(self.exports.destination.folder, name))

    def begun(self, tiles: Tiles, path: Source, name: str) -> Running[Any]:
        """A prediction in memory, or of a large scene in a folder beside the results, which a later run takes up where
        this one is stopped.
        """
        if not is_large(tiles.whole_scene):
            return tiles.begun(None, {}, "")
        plan = plan_of_scene(path)
        plan["everywhere"] = tiles.worth is None
        if self.segmenter.runtime.precision != CPU.precision:
            plan["precision"] = self.segmenter.runtime.precision
        if self.sight.smallest_um2 is not None:
            plan["smallest_um2"] = self.sight.smallest_um2
        self.say_streamed(tiles.shape, name)
        return tiles.begun(running_folder(self.exports.destination.folder, name), plan, self.weights)

    def predicted(self, running: Running[Any], tiles: Tiles, path: Source, name: str) -> Prediction:
        """The entities of all tiles; of a large scene with a bar of its own."""

        def finish(on_tile: Callable[[int], None]) -> Prediction:
            if self.maps is None:
                return segment_into(running, tiles, self.segmenter, on_tile)
            return gathered(running, self.maps(path, tiles, running.next_tile), on_tile)

        if not is_large(tiles.whole_scene):
            return finish(lambda tile: self.on_tile())
        height, width = tiles.shape
        with Progress(f"predict {name}", 0, unit="tiles") as progress:

            def show(tile: int) -> None:
                if progress.steps:
                    progress.saw((tile - progress.done) * height * width / len(tiles.grid))
                elif running.resumed:
                    print(f"{name}: goes on at tile {tile} of {len(tiles.grid)}", file=sys.stderr)
                progress.reach("tiles", tile, len(tiles.grid))

            show(running.next_tile)
            return finish(show)

    def named(self, prediction: Prediction, scene: Scene, name: str) -> Prediction:
        """The prediction with a class of each entity, where the adapter knows any; of a large scene with a bar."""
        if self.labeller is None:
            return prediction
        network = self.contract, self.segmenter, self.labeller
        if not is_large(scene):
            return labelled(prediction, scene, *network)
        with Progress(f"label {name}", 0, unit="tiles") as progress:
            return labelled(prediction, scene, *network, lambda done, count: progress.reach("tiles", done, count))

    def say_streamed(self, shape: tuple[int, int], name: str) -> None:
        """Print as what a large scene is written, and what is left out of it."""
        left_out = [word for word in self.exports.held if word not in STREAMED]
        note = f"; {', '.join(left_out)} would take it into memory and are left out" if left_out else ""
        formats = ", ".join(self.exports.streamed)
        print(f"{name}: {shape[1]} x {shape[0]} px, as {formats}{note}", file=sys.stderr)

    def show_worth(self, worth: WorthLooking, windows: Windows, looked_at: int, name: str) -> None:
        """Write what is looked at, so many of the windows, as `<name>.tiles.png`, where nobody else's lies, and say how
        much it is.
        """
        destination = self.exports.destination
        if destination.is_free(picture := f"{name}.tiles.png"):
            with destination.writing(picture) as path:
                Image.fromarray(worth.picture(windows.holding(worth))).save(path, pnginfo=signed())
        remark = getattr(worth, "remark", "")  # of ours; domains of others may have none
        more = f": {remark}" if remark else f" (see {name}.tiles.png; --everywhere for all)"
        share = f"{worth.share:.0%} of the scene"
        print(f"{name}: looks at {looked_at} of {len(windows)} tiles, {share}{more}", file=sys.stderr)


def state_of(source: Source) -> list[Any]:
    """What tells whether an image was changed since: size and time of change of a file, of what lies behind an address
    its size and tag; nothing for what is not there or cannot be reached.
    """
    return image_journal.state_of(source) if isinstance(source, Path) else state_of_address(source)


def plan_of_scene(path: Source) -> dict[str, Any]:
    """What a stopped prediction is held against: which scene it is of, and as it was then."""
    keys = ("bytes", "modified_ns") if isinstance(path, Path) else ("bytes", "tag")
    return {"scene": str(path.resolve()), **dict(zip(keys, state_of(path), strict=False))}


def running_folder(out: Path, name: str) -> Path:
    """Where the prediction of a large scene runs, beside its results."""
    return out / f".{name}.running"


def held(scene: Viewed) -> Scene:
    """A scene as the network sees it: one of a single level that fits into memory decoded, and its file closed."""
    if is_large(scene) or len(scene.levels) > 1:
        return scene
    picture = decoded(scene)
    scene.close()
    return picture


def is_large(scene: Scene) -> bool:
    """Whether a scene has too many pixels to be held in memory."""
    return scene.shape[0] * scene.shape[1] > LARGE_PX


def image_of(scene: Scene) -> Callable[[Window], np.ndarray]:
    """A window to its (h, w, 3) uint8 image: read when it is asked for from a large scene, else from memory."""
    if is_large(scene):
        return lambda window: as_rgb(scene.read(*window))
    picture = as_rgb(scene.image if isinstance(scene, Photograph) else read_whole(scene))
    return lambda window: picture[window.slices]


def tell_impossible(paths: Sequence[Source], formats: Iterable[str], pixel_size_m: float | None) -> None:
    """Print, before anything is predicted, which of the formats some of the images cannot have."""
    lacking: dict[tuple[str, str], list[Source]] = {}
    picky = [word for word in ("density", "gpkg", "forest-gpkg") if word in formats]
    for path in paths if picky else ():
        try:
            scene = open_scene(path, pixel_size_m)
        except InputError:  # named when its turn comes
            continue
        with closing(scene):
            for reason in impossible(scene.pixel_size_m, scene.georeference, picky).items():
                lacking.setdefault(reason, []).append(path)
    for (word, reason), images in lacking.items():
        more = f" and {len(images) - 1} more" if len(images) > 1 else ""
        print(f"--format {word} is left out for {str(images[0])!r}{more}: {reason}", file=sys.stderr)


def check_limits(path: Source, scene: Scene, exports: Exports) -> None:
    """Raises InputError for limits of areas in a unit where the size of a pixel is unknown."""
    try:
        exports.destination.limits.check(scene.pixel_size_m, scene.georeference)
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from error


def check_formats(path: Source, scene: Scene, exports: Exports) -> None:
    """Raises InputError for a scene that can have none of the formats."""
    formats = exports.words(not is_large(scene))
    reasons = impossible(scene.pixel_size_m, scene.georeference, formats)
    if reasons and reasons.keys() >= set(formats):
        raise InputError(f"{str(path)!r}: no format is left to write; {'; '.join(reasons.values())}")
    if scene.georeference is not None and ground_of(scene.georeference) is None:
        print(f"{path}: polygons are in pixels, longitude and latitude want pyproj; {INSTALL}", file=sys.stderr)
    if is_large(scene) and not exports.streamed:
        height, width = scene.shape
        raise InputError(
            f"{str(path)!r} has {width} x {height} px: none of the formats asked for can be written piece by piece; "
            f"add --format with one of {', '.join(STREAMED)}"
        )
