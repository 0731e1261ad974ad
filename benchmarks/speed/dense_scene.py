"""What a slide full of nuclei costs in memory, from its tiles to its files.

    python -m benchmarks.speed.dense_scene FOLDER [--side 30000] [--spacing 30]

The scene is generated as it is read: discs on a lattice, of which tile borders cut many. A network of no cost gives the
discs of a tile back, so that what remains is the house's own: stitching, the canvas, the table, the files. The peak is
that of this process, as the system says it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from adapters.inference.segment import InputContract, Tiles, segment_into, weights_digest
from adapters.network import EntitySegmenter, Views
from domains.entities import EntityMap, Place
from domains.exports import Destination, open_exports
from domains.formats.drawing import components

NAME = "dense"
RADIUS = 0.4  # of a disc, in spacings


@dataclass(frozen=True)
class Discs:
    """A scene of discs `spacing` apart, 255 on 0."""

    side: int
    spacing: int
    dtype = np.dtype(np.uint8)
    channels = ("red", "green", "blue")
    nodata, pixel_size_m, georeference = None, 0.5e-6, None
    descriptions, remarks = (), ()
    format = "discs"

    @property
    def shape(self) -> tuple[int, int]:
        return self.side, self.side

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        return (self.shape,)

    @property
    def count(self) -> int:
        return (self.side // self.spacing) ** 2

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        away = [
            (np.arange(start, start + length) % self.spacing - (self.spacing - 1) / 2) ** 2
            for start, length in ((y, height), (x, width))
        ]
        inside = away[0][:, None] + away[1] < (RADIUS * self.spacing) ** 2
        return np.repeat(np.where(inside, np.uint8(255), np.uint8(0))[..., None], 3, axis=2)

    def close(self) -> None:
        return


class Given:
    """In the place of a network: what is bright is an entity."""

    decoder = SimpleNamespace(options=None)

    def eval(self) -> None:
        return

    def state_dict(self) -> dict[str, Any]:
        return {}

    def entities(self, images: list[np.ndarray], views: Views) -> list[EntityMap]:
        found = [components(image[..., 0] > 0) for image in images]
        return [EntityMap(ids, np.ones(int(ids.max(initial=0)), np.float32)) for ids in found]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folder", type=Path, help="for the results; its former ones are replaced")
    words.add_argument("--side", type=int, default=30_000, help="of the scene, in px")
    words.add_argument("--spacing", type=int, default=30, help="from disc to disc, in px")
    given = words.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    scene, started = Discs(given.side // given.spacing * given.spacing, given.spacing), perf_counter()
    network, contract = cast(EntitySegmenter, Given()), InputContract(tile_px=320, overlap_px=48)

    tiles = Tiles(scene, contract)

    def show(tile: int) -> None:
        if tile % 1000 == 0:
            say(f"{tile} of {len(tiles.grid)} tiles", started)

    running = tiles.in_folder(given.folder / ".running", {}, weights_digest(network))
    prediction = segment_into(running, tiles, network, show)
    place = Place(NAME, pixel_size_m=scene.pixel_size_m)
    prediction = replace(prediction, name=NAME, place=place, image=lambda window: scene.read(*window))
    say(f"{prediction.count} entities for {scene.count} discs", started)
    with open_exports((), Destination(given.folder, True, "qupath"), [NAME]) as exports:
        exports.stream(prediction)
    running.remove()
    say(f"written: {', '.join(sorted(path.name for path in given.folder.iterdir()))}", started)


def say(what: str, started: float) -> None:
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(f"{what}: {perf_counter() - started:.0f} s, peak {peak_mib:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
