"""From a scene to its entities, and from a data set to its metrics: the same path for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.inference.fields import Lattice, Seen, Surroundings, fields, surroundings
from adapters.inference.overview import Placed, SceneOverview
from adapters.network import EntitySegmenter, Output, Views
from adapters.options.contract import InputOptions
from adapters.options.ranges import SCALES
from adapters.options.section import checked
from domains.crops.normalisers import build_normaliser, normalised
from domains.entities import EntityMap, EntitySample, Samples
from domains.errors import InputError
from domains.metrics import EntityMetric as EntityMetric  # with the next, what `measure` is given and gives
from domains.metrics import MetricSet as MetricSet
from domains.scenes import Photograph, Scene, View, Viewed, plain_view
from domains.scenes.band_view import band_view
from domains.scenes.pixel_size import scale_to, show_pixel_size
from domains.scenes.resampled import Resampled
from domains.scenes.scene import read_whole
from domains.scenes.validity import Validity
from domains.tiling.grid import READERS, Clock, Grid, Window, Windows, predict_tiles, single_colour
from domains.tiling.prediction import Prediction
from domains.tiling.running import PredictionInMemory, Running, RunningPrediction, gathered

TILES_AT_ONCE = 8
TILE_WINDOWS = 8  # side of a tile in windows, where the network sees windows, up to
WINDOWED_TILE_PX = 2048


@dataclass(frozen=True)
class InputContract(InputOptions):
    """How the network wants to see a scene; stored with an adapter, since its weights depend on it."""

    def check_agreement(self) -> None:
        """Raises InputError: an adapter comes from anybody, and its numbers decide how much memory is taken."""
        super().check_agreement()
        if self.stain is not None:
            build_normaliser(self.stain)

    @property
    def views(self) -> Views:
        """Of a tile."""
        return Views(self.symmetries, self.test_scales)

    @property
    def window_views(self) -> Views:
        """Of a window: half of those of a tile, as scenes that are seen by windows are large."""
        return Views(max(1, self.symmetries // 2), self.test_scales)

    def by_windows(self, shape: tuple[int, int]) -> bool:
        """Whether the network sees a scene of that (height, width), after scaling, by windows."""
        return self.window_px is not None and max(shape) > self.tile_px

    def grid(self, shape: tuple[int, int]) -> Grid:
        """Tiles of a scene of that (height, width), after scaling. By windows they are what is decoded at once, and
        large, all of one size; they share a sixteenth of their side or more, which is half a window where eight make a
        tile.
        """
        side = self.window_px if self.window_px and self.by_windows(shape) else 0
        least = max(side, min(TILE_WINDOWS * side, WINDOWED_TILE_PX))
        return Grid(shape, max(self.tile_px, least), max(self.overlap_px, least // 16), evenly=side > 0)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> InputContract:
        """The contract that `asdict` had written down. Raises InputError."""
        return checked(cls, values, cls.SOURCE)

    def values(self) -> dict[str, Any]:
        """The options as mappings; without `context` where there is none, as runs of before it have them."""
        values = asdict(self)
        return values if self.context else {name: value for name, value in values.items() if name != "context"}

    def changed(
        self,
        symmetries: int | None = None,
        window_px: int | None = None,
        test_scales: tuple[float, ...] | None = None,
    ) -> InputContract:
        """As a user asks for it; None leaves what it is, and windows of 0 px are none."""
        options = {"symmetries": symmetries, "window_px": window_px, "test_scales": test_scales}
        changes: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        return replace(self, **changes | ({"window_px": None} if window_px == 0 else {}))

    def view(self, scene: Scene) -> View:
        """What the network is shown of a scene. Raises InputError where that lacks a band."""
        return band_view(scene, self.bands, self.band_names) if self.bands else plain_view(scene)

    def viewed(self, scene: Scene) -> Viewed:
        """The scene as the network is shown it. Raises InputError for one that it cannot be shown: of an unknown or too
        different size of pixels, or without a band.
        """
        self.factor(scene.pixel_size_m)
        return Viewed(scene, self.view(scene))

    def factor(self, pixel_size_m: float | None) -> float:
        """How many pixels of the network a pixel of that size becomes, per side.

        Raises InputError where the adapter was trained at a known size and this one is not known, or too far from it.
        """
        if self.pixel_size_m is None:
            return self.scale * scale_to(self.seen_pixel_size_m, pixel_size_m)
        if pixel_size_m is None:
            raise InputError(
                f"the adapter was trained at {show_pixel_size(self.pixel_size_m)} per pixel, the image does not say "
                "its own; say it by --pixel-size, for instance --pixel-size 0.25 (micrometres) or --pixel-size 10m"
            )
        factor = self.scale * pixel_size_m / self.pixel_size_m
        smallest, largest = SCALES
        if not smallest <= factor <= largest:
            raise InputError(
                f"the image has {show_pixel_size(pixel_size_m)} per pixel, the adapter was trained at "
                f"{show_pixel_size(self.pixel_size_m)}: wanted between {1 / largest:g} and {1 / smallest:g} of it; "
                "correct a wrong size by --pixel-size"
            )
        return factor

    def factor_of(self, sample: EntitySample) -> float:
        """The factor of a labelled image, which is taken to be of the adapter's pixel size where it doesn't say."""
        return self.factor(sample.place.pixel_size_m or self.pixel_size_m)

    def scene_of(self, image: np.ndarray) -> Photograph:
        """An image (H, W, C) uint8 as a scene of the pixel size that the adapter was fitted at."""
        return Photograph(image, self.pixel_size_m)

    def photograph(self, sample: EntitySample) -> Photograph:
        """A labelled image as a scene, of the adapter's pixel size where it doesn't say. Raises InputError for one of
        other channels than the network's.
        """
        if sample.image.shape[2] != self.channels:
            raise InputError(
                f"{sample.place.scene!r} has {sample.image.shape[2]} channels, the adapter sees {self.channels} "
                f"({', '.join(self.bands) or 'RGB'}); evaluate it on data with these, by domain.bands"
            )
        size = sample.place.pixel_size_m or self.pixel_size_m
        return Photograph(sample.image, size, cut_from=sample.place.cut_from)


Worth = Callable[[Window], bool]
"""Whether a window of level 0 is worth looking at; of the others no entity comes. Asked of every tile."""


def segment(
    segmenter: EntitySegmenter,
    scene: Scene,
    contract: InputContract,
    worth: Worth | None = None,
    clock: Clock | None = None,
    on_tile: Callable[[int], None] = lambda tile: None,
) -> EntityMap:
    """The entities of a scene that fits into memory, at the scene's own size. scene: uint8, as `view` has it; none lies
    where that has no data. on_tile: as in `segment_into`.
    """
    tiles = Tiles(scene, contract, worth)
    return segment_into(tiles.in_memory(), tiles, segmenter, on_tile, clock).whole_map


def segment_into(
    running: Running,
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

    worth: which windows of level 0 are looked at; None for all. Raises InputError as `InputContract.factor` does.
    """

    def __init__(self, scene: Scene, contract: InputContract, worth: Worth | None = None) -> None:
        self.whole_scene, self.contract, self.worth = scene, contract, worth
        self.shape = scene.shape
        self.factor = contract.factor(scene.pixel_size_m)
        self.grid = contract.grid(Resampled(scene, self.factor).shape)
        side = contract.window_px if contract.by_windows(self.grid.shape) else None
        self.lattice = None if side is None else Lattice(self.grid.shape, side)
        """Of the windows that the network sees in place of the tiles, if it does."""
        self.overview = self._overview()
        """Beside the tiles, where the contract wants that and there are several."""
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
        """A prediction that is begun, of a scene that fits into memory."""
        return PredictionInMemory(self.grid, self.shape, has_data=has_data(self.whole_scene))

    def in_folder(self, folder: Path, plan: Mapping[str, Any], weights: str) -> RunningPrediction:
        """A prediction in a folder, begun or taken up again where it was stopped.

        plan: what names the scene; with the network's weights (`weights_digest`) and the contract it decides whether
        what the folder holds is the same prediction. Raises InputError where it isn't.
        """
        plan = {**plan, "contract": self.contract.values(), "weights": weights, "grid": self.grid.shape}
        if self.lattice is not None:
            plan["lattice"] = {"step": self.lattice.step, "tile": [axis.tile for axis in self.grid.axes]}
        data = has_data(self.whole_scene)
        return RunningPrediction(folder, plan, self.grid, self.shape, self.at_once, data)

    def predicted(
        self,
        segmenter: EntitySegmenter,
        start: int = 0,
        clock: Clock | None = None,
        end: int | None = None,
        plain: dict[bytes, EntityMap] | None = None,
    ) -> Iterator[tuple[int, EntityMap]]:
        """(index, entities) of the tiles from `start` on, up to `end`; one of `batches` alone gives what all give.

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

    def predictor(self, segmenter: EntitySegmenter) -> Callable[[list[Any]], list[EntityMap]]:
        """From what `read` gives to entities."""
        segmenter.eval()
        lattice, contract, seen, overview = self.lattice, self.contract, Seen(), self.overview

        def entities(output: Output, tile: Window) -> EntityMap:
            if overview is not None:
                return overview.entities(segmenter, output, tile)
            return segmenter.decoder.proposals.entities(*output)

        if lattice is None and overview is None:
            return lambda images: segmenter.entities(images, contract.views)
        if lattice is None:
            return lambda tiles: [
                entities(output, tile.window)
                for output, tile in zip(
                    segmenter.outputs([tile.image for tile in tiles], contract.views), tiles, strict=True
                )
            ]

        def of_windows(tiles: list[Surroundings]) -> list[EntityMap]:
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
) -> MetricSet:
    """Metrics of a segmenter over the samples of a data set; images without a record are groups of their own.

    Samples that do not say their pixel size are taken to be of the adapter's. on_prediction: is given each sample's
    index and entities.
    """
    measured = metrics if isinstance(metrics, MetricSet) else MetricSet(metrics)
    records = getattr(samples, "records", None)
    for i in range(len(samples)):
        sample = samples[i]
        record = records[i] if records else None
        prediction = segment(segmenter, contract.photograph(sample), contract, on_tile=lambda tile: on_tile())
        group = record.group if record else sample.place.scene
        stratum = record.stratum if record else ""
        measured.update(prediction, sample.truths, group, stratum, sample.place.pixel_size_m)
        on_prediction(i, prediction)
        on_image()
    return measured
