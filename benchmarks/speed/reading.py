"""How fast tiles are read and predicted, alone and together, and whether the tiling shows in the result.

    python -m benchmarks.speed.reading SLIDE --recipe pathology [--adapter A] [--region 0,0,2048,2048]

Reading and the network are timed alone, then together as `predict` does it; "waiting" is the share of the time in which
the network had nothing to do. Last, the region is predicted under other tilings, and the results are compared (PQ of
one against the other). `--window 128` is `predict`'s: the network sees windows, whose fields are averaged.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np

from adapters.inference.segment import TILES_AT_ONCE, InputContract, Tiles
from adapters.network import EntitySegmenter
from domains.entities import EntityMap
from domains.metrics import MetricSet
from domains.scenes import Scene, Viewed, open_scene, plain_view
from domains.tiling.grid import Clock, Grid, Window
from domains.tiling.running import stitch
from recipes import set_up
from recipes.load import loaded


class Region:
    """A window of a scene as a scene of one level, read from the file again at every call."""

    def __init__(self, scene: Scene, window: Window) -> None:
        self.scene, self.window = scene, window
        self.shape = window.height, window.width
        self.levels = (self.shape,)
        self.dtype, self.channels, self.nodata = scene.dtype, scene.channels, scene.nodata
        self.pixel_size_m, self.georeference = scene.pixel_size_m, None
        self.descriptions, self.remarks, self.format = scene.descriptions, scene.remarks, scene.format

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        return self.scene.read(self.window.y + y, self.window.x + x, height, width, level)

    def close(self) -> None:
        self.scene.close()


class Speed(NamedTuple):
    """Tiles per second of the clock, and milliseconds of processor time per tile, which other jobs change less."""

    rate: float
    processor_ms: float

    def __str__(self) -> str:
        return f"{self.rate:.1f} tiles/s, {self.processor_ms:.1f} ms of processor time each"


class Stopwatch:
    def __init__(self) -> None:
        self.clock, self.processor = perf_counter(), process_time()

    def speed(self, tiles: int) -> Speed:
        return Speed(tiles / (perf_counter() - self.clock), 1000 * (process_time() - self.processor) / tiles)


def reading(slide: Path, tiles: Callable[[Scene], Tiles], region: Window, readers: int) -> Speed:
    """Of tiles that `readers` threads decode, nothing cached at the start; 0 for the calling thread."""
    scene = open_scene(slide)
    here = tiles(Region(Viewed(scene, plain_view(scene)), region))
    windows = [here.grid.window(i) for i in range(len(here.grid))]
    watch = Stopwatch()
    if readers:
        with ThreadPoolExecutor(readers) as pool:
            list(pool.map(here.read, windows))
    else:
        for window in windows:
            here.read(window)
    speed = watch.speed(len(windows))
    scene.close()
    return speed


def network(segmenter: EntitySegmenter, tiles: Tiles) -> Speed:
    """Of the network and the decoding into entities, on the first few tiles, images in memory."""
    count = min(TILES_AT_ONCE, len(tiles.grid))
    images = [tiles.read(tiles.grid.window(i)) for i in range(count)]
    watch = Stopwatch()
    tiles.predictor(segmenter)(images)
    return watch.speed(count)


def together(
    slide: Path, segmenter: EntitySegmenter, tiles: Callable[[Scene], Tiles], region: Window
) -> tuple[Clock, EntityMap]:
    scene = open_scene(slide)
    here, clock = tiles(Region(Viewed(scene, plain_view(scene)), region)), Clock()
    found = stitch(here.grid, here.predicted(segmenter, clock=clock), here.shape)
    scene.close()
    return clock, found


def tiles_of(scene: Scene, contract: InputContract, tile_px: int | None, origin_px: int = 0) -> Tiles:
    """With tiles of another side than the contract's, and the second of them moved back."""
    tiles = Tiles(scene, contract)
    tiles.grid = Grid(tiles.grid.shape, tile_px or tiles.grid.tile_px, tiles.grid.overlap_px, origin_px)
    return tiles


def between_tilings(
    segmenter: EntitySegmenter, scene: Region, contract: InputContract, tile_px: int | None, found: EntityMap
) -> dict[str, float]:
    """PQ of the region under other tilings against `found`: the scene as it is, and begun later by half a step of the
    tiles, or of the windows, which puts the rims of one amid the others.
    """
    plain = tiles_of(scene, contract, tile_px)
    side, step = plain.grid.tile_px, plain.grid.tile_px - plain.grid.overlap_px
    later = plain.lattice.step // 2 if plain.lattice else step // 2
    y, x, height, width = scene.window
    begun_later = Region(scene.scene, Window(y + later, x + later, height - later, width - later))
    others = {
        "origin moved by half a step": (scene, side, step // 2),
        "tiles of 1.5 times the side": (scene, side * 3 // 2, 0),
        f"scene begun {later} px later": (begun_later, side, 0),
    }
    values = {}
    for name, (region, wanted_px, origin_px) in others.items():
        tiles = tiles_of(region, contract, wanted_px, origin_px)
        moved = stitch(tiles.grid, tiles.predicted(segmenter), region.shape)
        metric = MetricSet(["pq"])
        start = region.window.y - y
        metric.update(moved, (found.crop(start, start, *region.shape),), "region", "")
        values[f"{name} ({moved.count} entities)"] = metric.compute()["pq"]
    return values


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("slide", type=Path)
    words.add_argument("--adapter", default="base")
    words.add_argument("--recipe")
    words.add_argument("--region", default="0,0,1024,1024", help="y,x,height,width of level 0")
    words.add_argument("--window", type=int, help="side of windows whose fields are averaged, in px; 0: none")
    words.add_argument("--tile", type=int, help="of tiles, in px, in place of the adapter's")
    given = words.parse_args()
    region = Window(*(int(number) for number in given.region.split(",")))
    set_up()
    with loaded(given.adapter, given.recipe) as there:
        contract = there.contract.changed(window_px=given.window)

        def tiles(scene: Scene) -> Tiles:
            return tiles_of(scene, contract, given.tile)

        for readers in (0, 1, 2):
            print(f"reading alone, {readers or 'no'} threads: {reading(given.slide, tiles, region, readers)}")
        scene = open_scene(given.slide)
        whole = Region(Viewed(scene, plain_view(scene)), region)
        print(f"network alone: {network(there.segmenter, tiles(whole))}, of {tiles(whole).grid.tile_px} px")
        clock, found = together(given.slide, there.segmenter, tiles, region)
        print(
            f"together: {clock.tiles / clock.total:.1f} tiles/s; waiting for pixels "
            f"{clock.waiting_share:.1%} of the time; {found.count} entities in {clock.tiles} tiles"
        )
        for name, value in between_tilings(there.segmenter, whole, contract, given.tile, found).items():
            print(f"PQ, {name}: {value:.4f}")
        scene.close()


if __name__ == "__main__":
    main()
