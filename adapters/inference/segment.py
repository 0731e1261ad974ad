"""From a scene to its entities, and from a data set to its metrics: the same path for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as fields_of
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.inference.fields import Surroundings, fields, surroundings
from adapters.network import EntitySegmenter, Views
from adapters.options.explain import checked
from adapters.options.options import SCALES, Input
from domains.crops.crops import Samples
from domains.crops.normalisers import build_normaliser, normalised
from domains.entities import EntityMap, EntitySample
from domains.errors import InputError
from domains.metrics import MetricSet
from domains.scenes import Photograph, Scene, View, plain_view
from domains.scenes.band_view import band_view
from domains.scenes.pixel_size import scale_to, show_pixel_size
from domains.scenes.resampled import Resampled
from domains.scenes.validity import Validity
from domains.tiling.grid import READERS, Clock, Grid, Window, predict_tiles, single_colour
from domains.tiling.running import RunningPrediction
from domains.tiling.stitching import stitch

TILES_AT_ONCE = 8
TILE_WINDOWS = 8  # side of a tile in windows, where the network sees windows, up to
WINDOWED_TILE_PX = 2048


@dataclass(frozen=True)
class InputContract:
    """How the network wants to see a scene; stored with an adapter, since its weights depend on it."""

    scale: float = 1.0
    """Images are resized by this before the network (from `pixel_size_m` on, where known), and entities mapped back."""
    tile_px: int = 256
    """Side of a tile, after scaling; a scene that is no larger is seen whole."""
    overlap_px: int = 64
    """Overlap of neighbouring tiles, after scaling."""
    pixel_size_m: float | None = None
    """Size of a pixel in the training images, in metres; None: any size will do."""
    seen_pixel_size_m: float | None = None
    """Where the training images did not say theirs: the size at which images that do are seen, in metres, if theirs is
    comparable (`scale_to`); None: as they are."""
    channels: int = 3
    """Of what the network is shown: RGB, or as many as there are bands; one band is shown thrice."""
    symmetries: int = 1
    """Flips and turns, 1 to 8, over which the decoder's fields are averaged; the time goes up by as much."""
    test_scales: tuple[float, ...] = (1.0,)
    """Resizings of a tile, beside `scale`, over which they are averaged too; the time goes up by their squares' sum."""
    window_px: int | None = None
    """Side of the windows that the network sees of a scene that is larger than a tile, on a lattice of the scene, their
    fields averaged (`adapters.inference.fields`); None: it sees the tiles."""
    stain: dict[str, Any] | None = None
    """Stain normalisation, its name and target, for `domains.crops.normalisers`; None for none."""
    bands: tuple[str, ...] = ()
    """Which bands of a raster the network sees, for `domains.bands`; none for RGB."""
    band_names: tuple[str, ...] = ()
    """Names of a raster's bands in their order, where its file does not give them."""

    def __post_init__(self) -> None:
        """Raises InputError: an adapter comes from anybody, and its numbers decide how much memory is taken."""
        checked(Input, {field.name: getattr(self, field.name) for field in fields_of(self)}, "input ")
        if self.stain is not None:
            build_normaliser(self.stain)

    @property
    def views(self) -> Views:
        return Views(self.symmetries, self.test_scales)

    @property
    def window_views(self) -> Views:
        """Of a window: four hold every pixel, so they are four of the views that are asked for."""
        return Views(ceil(self.symmetries / 4), self.test_scales)

    def by_windows(self, shape: tuple[int, int]) -> bool:
        """Whether the network sees a scene of that (height, width), after scaling, by windows."""
        return self.window_px is not None and max(shape) > self.tile_px

    def grid(self, shape: tuple[int, int]) -> Grid:
        """Tiles of a scene of that (height, width), after scaling. By windows they are what is decoded at once, and
        large, since the windows at a tile's rim are looked at again for the next tile; they share a sixteenth of
        their side or more, which is half a window where eight make a tile.
        """
        side = self.window_px if self.window_px and self.by_windows(shape) else 0
        least = max(side, min(TILE_WINDOWS * side, WINDOWED_TILE_PX))
        return Grid(shape, max(self.tile_px, least), max(self.overlap_px, least // 16))

    def changed(
        self,
        symmetries: int | None = None,
        window_px: int | None = None,
        test_scales: tuple[float, ...] | None = None,
    ) -> InputContract:
        """As a user asks for it; None leaves what it is, and windows of 0 px are none."""
        asked = {"symmetries": symmetries, "window_px": window_px, "test_scales": test_scales}
        given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        return replace(self, **given | ({"window_px": None} if window_px == 0 else {}))

    def view(self, scene: Scene) -> View:
        """What the network is shown of a scene. Raises InputError where that lacks a band."""
        return band_view(scene, self.bands, self.band_names) if self.bands else plain_view(scene)

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
        least, most = SCALES
        if not least <= factor <= most:
            raise InputError(
                f"the image has {show_pixel_size(pixel_size_m)} per pixel, the adapter was trained at "
                f"{show_pixel_size(self.pixel_size_m)}: wanted between {1 / most:g} and {1 / least:g} of it; correct a "
                "wrong size by --pixel-size"
            )
        return factor

    def factor_of(self, sample: EntitySample) -> float:
        """The same of a labelled image, which is taken to be of the adapter's pixel size where it doesn't say."""
        return self.factor(sample.place.pixel_size_m or self.pixel_size_m)

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


Wanted = Callable[[Window], bool]
"""Whether a window of level 0 is worth looking at; of the others no entity comes. Asked of every tile."""


def segment(
    segmenter: EntitySegmenter,
    scene: Scene,
    contract: InputContract,
    wanted: Wanted | None = None,
    clock: Clock | None = None,
    on_tile: Callable[[], None] = lambda: None,
) -> EntityMap:
    """The entities of a scene that fits into memory, at the scene's own size. scene: uint8, as `view` has it; none lies
    where that has no data.
    """
    tiles = Tiles(scene, contract, wanted, 0 if isinstance(scene, Photograph) else READERS)

    def predicted() -> Iterator[tuple[int, EntityMap]]:
        for tile in tiles.predicted(segmenter, clock=clock):
            on_tile()
            yield tile

    return stitch(tiles.grid, predicted(), scene.shape, has_data=has_data(scene))


def segment_into(
    folder: Path,
    segmenter: EntitySegmenter,
    scene: Scene,
    contract: InputContract,
    plan: Mapping[str, Any],
    wanted: Wanted | None = None,
    on_tile: Callable[[RunningPrediction, int], None] = lambda running, tile: None,
    clock: Clock | None = None,
) -> RunningPrediction:
    """The entities of a scene of any size, written to a folder as they come, taken up again where that was stopped.

    plan: what names the scene; with the network's weights and the contract it decides whether what the folder holds is
    the same prediction. on_tile: called with the tile that comes next, at the start too.
    """
    tiles = Tiles(scene, contract, wanted)
    plan = {**plan, "contract": asdict(contract), "weights": weights_digest(segmenter), "grid": tiles.grid.shape}
    running = RunningPrediction(folder, plan, tiles.grid, scene.shape, tiles.at_once, has_data(scene))
    on_tile(running, running.next)
    try:
        for index, entities in tiles.predicted(segmenter, running.next, clock):
            running.add(index, entities)
            on_tile(running, index + 1)
    finally:
        running.commit()
    return running


def has_data(scene: Scene) -> Callable[[Window], np.ndarray] | None:
    """Of a window of a scene as it is shown, where there are data; None where there are everywhere."""
    return None if scene.nodata is None else lambda window: Validity(scene.nodata).pixels(scene.read(*window))


class Tiles:
    """A scene at the network's pixel size, and its tiles."""

    def __init__(
        self, scene: Scene, contract: InputContract, wanted: Wanted | None = None, readers: int = READERS
    ) -> None:
        self.contract, self.wanted, self.readers = contract, wanted, readers
        self.shape = scene.shape
        scene = normalised(scene, contract.stain)
        self.scene = Resampled(scene, contract.factor(scene.pixel_size_m))
        self.grid = contract.grid(self.scene.shape)
        self.side = contract.window_px if contract.by_windows(self.scene.shape) else None
        """Of the windows that the network sees in place of the tiles, if it does."""

    def predicted(
        self, segmenter: EntitySegmenter, first: int = 0, clock: Clock | None = None
    ) -> Iterator[tuple[int, EntityMap]]:
        """(index, entities) of the tiles from `first` on."""
        predict = self.predictor(segmenter)
        return predict_tiles(
            self.read, self.grid, predict, self.at_once, first, self._wanted, self.readers, clock, self._colour
        )

    @property
    def at_once(self) -> int:
        """Tiles that are predicted together; by windows each tile is many batches."""
        return TILES_AT_ONCE if self.side is None else 1

    def predictor(self, segmenter: EntitySegmenter) -> Callable[[list[Any]], list[EntityMap]]:
        """From what `read` gives to entities."""
        segmenter.eval()
        side, contract = self.side, self.contract
        if side is None:
            return lambda images: segmenter.entities(images, contract.views)

        def of_windows(tiles: list[Surroundings]) -> list[EntityMap]:
            outputs = (fields(segmenter, tile, side, contract.window_views) for tile in tiles)
            return [segmenter.decoder.entities(one.outputs, one.index, one.size) for one in outputs]

        return of_windows

    def _colour(self, given: Any) -> bytes | None:
        return single_colour(given.image if isinstance(given, Surroundings) else given)

    def read(self, window: Window) -> Any:
        """What the network is given of a tile: its image, or its `Surroundings`."""
        if self.side is None:
            return self.scene.read(*window)
        return surroundings(self.scene, window, self.side, self._wanted)

    def _wanted(self, window: Window) -> bool:
        return self.wanted is None or self.wanted(self.at_level_0(window))

    def at_level_0(self, window: Window) -> Window:
        """A tile in pixels of the scene."""
        down, across = (whole / part for whole, part in zip(self.shape, self.grid.shape, strict=True))
        y, x = int(window.y * down), int(window.x * across)
        bottom, right = (window.y + window.height) * down, (window.x + window.width) * across
        return Window(y, x, max(1, round(bottom) - y), max(1, round(right) - x))


def level_0_tiles(scene: Scene, contract: InputContract) -> list[Window]:
    """All tiles of a scene, in its own pixels; where the network sees windows, every second of these, side by side."""
    tiles = Tiles(scene, replace(contract, stain=None))
    grid = tiles.grid if tiles.side is None else Grid(tiles.grid.shape, tiles.side, 0)
    return [tiles.at_level_0(grid.window(i)) for i in range(len(grid))]


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
) -> MetricSet:
    """Metrics of a segmenter over the samples of a data set; images without a record are groups of their own.

    Samples that do not say their pixel size are taken to be of the adapter's.
    """
    found = metrics if isinstance(metrics, MetricSet) else MetricSet(metrics)
    records = getattr(samples, "records", None)
    for i in range(len(samples)):
        sample, record = samples[i], records[i] if records else None
        prediction = segment(segmenter, contract.photograph(sample), contract, on_tile=on_tile)
        group = record.group if record else sample.place.scene
        stratum = record.stratum if record else ""
        found.update(prediction, sample.truths, group, stratum, sample.place.pixel_size_m)
        on_image()
    return found
