"""From a scene to its entities, and from a data set to its metrics: the same path for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.inference.contract import InputContract as InputContract
from adapters.inference.fields import Lattice, Seen, Surroundings, fields, surroundings
from adapters.inference.overview import Placed, SceneOverview
from adapters.network import EntitySegmenter, Output
from domains.crops.normalisers import normalised
from domains.entities import EntityMap, Samples
from domains.entities.forest import EntityForest, Levels
from domains.errors import InputError
from domains.metrics import EntityMetric as EntityMetric  # with the next, what `measure` is given and gives
from domains.metrics import MetricSet as MetricSet
from domains.scenes import Photograph, Scene, Viewed
from domains.scenes.resampled import Resampled
from domains.scenes.scene import read_whole
from domains.scenes.validity import Validity
from domains.tiling.grid import READERS, Clock, Window, Windows, predict_tiles, single_colour
from domains.tiling.prediction import Prediction
from domains.tiling.running import PredictionInMemory, Running, RunningPrediction, gathered
from domains.tiling.running_forest import running_forest

TILES_AT_ONCE = 8


@dataclass(frozen=True)
class Cut:
    """What becomes of the nested entities of a tile. granularity: of the flat map, in [0, 1]; None for the adapter's.

    levels: of the network's forests, where all that is nested is kept beside the flat map; None for the flat map alone.
    """

    granularity: float | None = None
    levels: Levels | None = None

    @classmethod
    def of(cls, segmenter: EntitySegmenter, granularity: float | None, nested: bool) -> Cut:
        """The cut of a network's forests, with all that is nested or without."""
        if not nested:
            return cls(granularity)
        proposals = segmenter.decoder.proposals
        flat = proposals.granularity if granularity is None else granularity
        return cls(granularity, Levels.of({*proposals.levels.finest_first}, flat))


FLAT = Cut()
Worth = Callable[[Window], bool]
"""Whether a window of level 0 is worth looking at; of the others no entity comes. Asked of every tile."""


def segment(
    segmenter: EntitySegmenter,
    scene: Scene,
    contract: InputContract,
    worth: Worth | None = None,
    clock: Clock | None = None,
    on_tile: Callable[[int], None] = lambda tile: None,
    *,
    cut: Cut = FLAT,
) -> EntityMap:
    """The entities of a scene that fits into memory, at the scene's own size. scene: uint8, as `view` has it; none lies
    where that has no data. on_tile: as in `segment_into`.
    """
    tiles = Tiles(scene, contract, worth, cut)
    return segment_into(tiles.begun(None, {}, ""), tiles, segmenter, on_tile, clock).whole_map


def segment_into(
    running: Running[Any],
    tiles: Tiles,
    segmenter: EntitySegmenter,
    on_tile: Callable[[int], None] = lambda tile: None,
    clock: Clock | None = None,
) -> Prediction:
    """The entities of a scene of any size, in memory or in a folder as `running` has them, from its first open tile on.

    running: `tiles.in_memory()` or `tiles.in_folder(...)`. on_tile: called with the tile that comes next, after each.
    """
    return gathered(running, tiles.predicted(segmenter, running.next_tile, clock), on_tile)


def decoded(viewed: Viewed) -> Photograph:
    """A scene as the network is shown it (`InputContract.viewed`), in memory."""
    return Photograph(read_whole(viewed), viewed.pixel_size_m, (), viewed.nodata, viewed.georeference)


class Tiles:
    """A scene at the network's pixel size, and its tiles: all that is to be known of it to predict it.

    worth: which windows of level 0 are looked at; None for all. cut: what of nested entities is kept. Raises InputError
    as `InputContract.factor` does, and for any but the adapter's own cut of a scene that is seen as a whole too.
    """

    def __init__(self, scene: Scene, contract: InputContract, worth: Worth | None = None, cut: Cut = FLAT) -> None:
        self.whole_scene, self.contract, self.worth, self.cut = scene, contract, worth, cut
        self.shape = scene.shape
        self.factor = contract.factor(scene.pixel_size_m)
        self.grid = contract.grid(Resampled(scene, self.factor).shape)
        side = contract.window_px if contract.by_windows(self.grid.shape) else None
        self.lattice = None if side is None else Lattice(self.grid.shape, side)
        """Of the windows that the network sees in place of the tiles, if it does."""
        self.overview = self._overview()
        """Beside the tiles, where the contract wants that and there are several."""
        if self.overview is not None and cut != FLAT:
            raise InputError(
                "the adapter sees a scene as a whole too (domain.context), which decides on a flat map alone; leave "
                "out --granularity and --format forest"
            )
        self.readers = 0 if isinstance(scene, Photograph) else READERS
        """Threads that decode tiles ahead; of a picture in memory there is nothing to decode."""

    @cached_property
    def scene(self) -> Scene:
        """The scene as the network sees it, recoloured where the contract wants that, at its pixel size."""
        return Resampled(normalised(self.whole_scene, self.contract.stain), self.factor)

    def _overview(self) -> SceneOverview | None:
        contract = self.contract
        if contract.context is None or max(self.grid.shape) <= contract.tile_px:
            return None
        scene, views = normalised(self.whole_scene, contract.stain), contract.views
        side, tile_px = contract.tile_px, contract.tile_px
        if self.lattice is not None:
            side, views = self.lattice.side, contract.window_views
        return SceneOverview(scene, self.factor, contract.context, tile_px, side, views)

    def in_memory(self) -> PredictionInMemory:
        """A flat prediction that is begun, of a scene that fits into memory."""
        return PredictionInMemory(self.grid, self.shape, has_data=has_data(self.whole_scene))

    def in_folder(self, folder: Path, plan: Mapping[str, Any], weights: str) -> RunningPrediction:
        """A flat prediction in a folder, begun or taken up again where it was stopped.

        plan: what names the scene; with the network's weights (`weights_digest`) and the contract it decides whether
        what the folder holds is the same prediction. Raises InputError where it isn't.
        """
        plan = {**plan, "contract": self.contract.values(), "weights": weights, "grid": self.grid.shape}
        if self.lattice is not None:
            plan["lattice"] = {"step": self.lattice.step, "tile": [axis.tile for axis in self.grid.axes]}
        if self.cut.granularity is not None:
            plan["granularity"] = self.cut.granularity
        data = has_data(self.whole_scene)
        return RunningPrediction(folder, plan, self.grid, self.shape, self.at_once, data)

    def begun(self, folder: Path | None, plan: Mapping[str, Any], weights: str) -> Running[Any]:
        """A prediction of all that the cut keeps, in memory, or in a folder as `in_folder` has it."""
        levels = self.cut.levels

        def begin(level: int) -> PredictionInMemory | RunningPrediction:
            assert levels is not None
            of_level = {**plan, "level": levels.finest_first[level]}
            return self.in_memory() if folder is None else self.in_folder(folder / f"level-{level}", of_level, weights)

        if levels is not None:
            return running_forest(levels, begin)
        return self.in_memory() if folder is None else self.in_folder(folder, plan, weights)

    def predicted(
        self,
        segmenter: EntitySegmenter,
        start: int = 0,
        clock: Clock | None = None,
        end: int | None = None,
        plain: dict[bytes, Any] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """(index, entities) of the tiles from `start` on, up to `end`; one of `batches` alone gives what all give.

        Where the cut keeps what is nested, forests take the place of entities.

        plain: see `predict_tiles`.
        """
        _ = self.scene  # made here, by one thread
        return predict_tiles(
            self.read, self.grid, self.predictor(segmenter), self.at_once, start,
            worth=self.is_worth, readers=self.readers, clock=clock, colour=self._colour, end=end, plain=plain,
        )  # fmt: skip

    def batches(self, start: int = 0) -> Iterator[tuple[int, int]]:
        """(first tile, end) of what goes through the network together, in order, from the batch at `start` on."""
        looked_at = (i for i in range(start, len(self.grid)) if self.is_worth(self.grid.window(i)))
        while batch := list(islice(looked_at, self.at_once)):
            yield batch[0], batch[-1] + 1

    @property
    def at_once(self) -> int:
        """Tiles that are predicted together; by windows each tile is many batches."""
        return TILES_AT_ONCE if self.lattice is None else 1

    def decoded(self, segmenter: EntitySegmenter, output: Output, tile: Window) -> EntityMap | EntityForest:
        """The entities, or the forest, of what the network says of a tile."""
        proposals = segmenter.decoder.proposals
        if self.overview is not None:
            return self.overview.entities(segmenter, output, tile)
        if self.cut.levels is not None:
            return proposals.forest(proposals.prepared(*output))
        if self.cut.granularity is not None:
            return proposals.cut(proposals.prepared(*output), self.cut.granularity)
        return proposals.entities(*output)

    def predictor(self, segmenter: EntitySegmenter) -> Callable[[list[Any]], list[Any]]:
        """From what `read` gives to entities, or to forests."""
        segmenter.eval()
        lattice, contract, seen, overview = self.lattice, self.contract, Seen(), self.overview

        def entities(output: Output, tile: Window) -> EntityMap | EntityForest:
            return self.decoded(segmenter, output, tile)

        if lattice is None and overview is None:
            if self.cut == FLAT:
                return lambda images: segmenter.entities(images, contract.views)
            whole = Window(0, 0, 0, 0)  # nothing depends on where the tile lies
            return lambda images: [entities(output, whole) for output in segmenter.outputs(images, contract.views)]
        if lattice is None:
            return lambda tiles: [
                entities(output, tile.window)
                for output, tile in zip(
                    segmenter.outputs([tile.image for tile in tiles], contract.views), tiles, strict=True
                )
            ]

        def of_windows(tiles: list[Surroundings]) -> list[Any]:
            outputs = (
                fields(segmenter, around, lattice, contract.window_views, seen, self.again(around.tile))
                for around in tiles
            )
            return [entities(output, around.tile) for output, around in zip(outputs, tiles, strict=True)]

        return of_windows

    def again(self, tile: Window) -> Callable[[Window], bool]:
        """Whether a tile that comes after this one holds pixels of a window."""
        ends = [min((start for start in axis.starts if start > at), default=length)
                for axis, at, length in zip(self.grid.axes, tile[:2], self.grid.shape, strict=True)]  # fmt: skip
        return lambda window: window.y + window.height > ends[0] or window.x + window.width > ends[1]

    def _colour(self, pixels: Any) -> bytes | None:
        if self.overview is not None:
            return None  # what both views say of a tile is not the same everywhere
        return single_colour(pixels.image if isinstance(pixels, Surroundings) else pixels)

    def read(self, window: Window) -> Any:
        """What the network is given of a tile: its image, placed where the whole is seen too, or its `Surroundings`."""
        if self.lattice is None:
            image = self.scene.read(*window)
            return image if self.overview is None else Placed(window, image)
        return surroundings(self.scene, window, self.lattice, self.is_worth)

    def is_worth(self, window: Window) -> bool:
        """Whether a window of the tiled scene is looked at."""
        return self.worth is None or self.worth(self.at_level_0(window))

    def at_level_0(self, window: Window) -> Window:
        """A tile in pixels of the scene."""
        (y, height), (x, width) = (self._at_level_0(axis, window[axis], window[axis + 2]) for axis in (0, 1))
        return Window(y, x, height, width)

    def _at_level_0(self, axis: int, start: int, length: int) -> tuple[int, int]:
        """(first pixel, length) of the scene for pixels of the tiled one, along an axis."""
        factor = self.shape[axis] / self.grid.shape[axis]
        begin = int(start * factor)
        return begin, max(1, round((start + length) * factor) - begin)

    def level_0(self) -> Windows:
        """All tiles in pixels of the scene; where the network sees windows, the cores of these, side by side."""
        tiles = self.grid.windows if self.lattice is None else self.lattice.cores()
        down, across = (
            [self._at_level_0(axis, *pixels) for pixels in line] for axis, line in enumerate((tiles.down, tiles.across))
        )
        return Windows(down, across)


def has_data(scene: Scene) -> Callable[[Window], np.ndarray] | None:
    """Of a window of a scene as it is shown, where there are data; None where there are everywhere."""
    return None if scene.nodata is None else lambda window: Validity(scene.nodata).pixels(scene.read(*window))


def weights_digest(segmenter: EntitySegmenter) -> str:
    """Of all weights and of the decoder's options: two networks of one digest predict the same."""
    digest = blake2b(repr(segmenter.decoder.options).encode(), digest_size=16)
    for name, value in sorted(segmenter.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def measure(
    segmenter: EntitySegmenter,
    samples: Samples,
    metrics: Iterable[str] | MetricSet,
    contract: InputContract,
    on_image: Callable[[], None] = lambda: None,
    on_tile: Callable[[], None] = lambda: None,
    *,
    on_prediction: Callable[[int, EntityMap], None] = lambda index, prediction: None,
    cut: Cut = FLAT,
) -> MetricSet:
    """Metrics of a segmenter over the samples of a data set; images without a record are groups of their own.

    Samples that do not say their pixel size are taken to be of the adapter's. on_prediction: is given each sample's
    index and entities. cut: of nested entities; where all of them are kept, the metrics see each image's forest too.
    """
    measured = metrics if isinstance(metrics, MetricSet) else MetricSet(metrics)
    records = getattr(samples, "records", None)
    for i in range(len(samples)):
        sample = samples[i]
        record = records[i] if records else None
        tiles = Tiles(contract.photograph(sample), contract, cut=cut)
        running = tiles.begun(None, {}, "")
        prediction = segment_into(running, tiles, segmenter, lambda tile: on_tile())
        entities, nested = prediction.whole_map, prediction.forest
        group = record.group if record else sample.place.scene
        stratum = record.stratum if record else ""
        forest = None if nested is None else nested.entity_forest
        measured.update(entities, sample.truths, group, stratum, sample.place.pixel_size_m, forest)
        on_prediction(i, entities)
        on_image()
    return measured
