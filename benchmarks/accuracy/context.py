"""Entities by size on a scene of 10,000 x 10,000 px: tiles alone, its smaller copy alone, and both (`domain.context`).

    python -m benchmarks.accuracy.context FOLDER [--scene land|photographs] [--data D] [--seed 1] [--side 10000]

The first call draws the scene into FOLDER, the second predicts it.

land: generated, exact (`domains/procedural/land.py`), by seeds below 1,000. photographs: 94 of BSDS500, none
of which the base has seen, the square of 320 px in the middle of each enlarged (cubic; the first annotator's regions by
nearest pixel): one to a quarter of the scene, then 4, 25 and 64 to the other quarters. Both lie in FOLDER as a TIFF.

Each window goes through the network once for both sides, by the recipe `natural` and the embedded base as it comes, so
that times are parts of one run: of the whole that both share, and of what context adds. Sizes are roots of areas; AR is
the mean recall over IoU .5:.95, and a false entity counts in the class of its own size.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import tifffile
from PIL import Image

from adapters.inference.fields import Seen, fields
from adapters.inference.overview import boundary_of
from adapters.inference.segment import Tiles
from domains.formats.matlab import read_mat
from domains.procedural.land import Land
from domains.scenes import open_scene
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction
from domains.tiling.running import RunningPrediction
from domains.tiling.views import of_both
from recipes.load import loaded
from recipes.runtime import choose

CLASSES = {"20-100": (0, 100), "100-250": (100, 250), "250-1000": (250, 1000), "1000-6000": (1000, np.inf)}
"""Size class -> root of the area in px, from the first to below the second."""
BLOCK_PX = 512
PHOTO_PX = 320
PER_SIDE = (1, 2, 5, 8)
"""Photographs down and across in each quarter of the mosaic."""
OPTIONS = ("domain.context=true", "domain.test_scales=[1]", "domain.window_px=256")
IOUS = np.arange(0.5, 1, 0.05)
SHOWN_PX = 1000


def draw_land(folder: Path, seed: int, side: int) -> None:
    """Write a generated scene and its truth, block by block."""
    land = Land(seed, side)
    write(folder, side, lambda block: land.draw(*block))


def draw_photographs(folder: Path, data: Path, side: int) -> None:
    """Write the mosaic and its truth; quarter by quarter, so that one is held at most."""
    images = sorted((data / "bsds500" / "images").glob("*/*.jpg"))
    half, counts = side // 2, [count**2 for count in PER_SIDE]
    if len(images) < sum(counts):
        raise SystemExit(f"{data / 'bsds500'} has {len(images)} photographs; wanted {sum(counts)}; name another --data")
    image, ids = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.int32)
    entities, offset = 0, 0
    for quarter, (count, per_side) in enumerate(zip(counts, PER_SIDE, strict=True)):
        edges = np.linspace(0, half, per_side + 1).astype(int) + half * np.array(divmod(quarter, 2))[:, None]
        for number, file in enumerate(images[offset : offset + count]):
            row, column = divmod(number, per_side)
            place = np.s_[edges[0][row] : edges[0][row + 1], edges[1][column] : edges[1][column + 1]]
            picture, regions = photograph(file)
            size = ids[place].shape[::-1]
            image[place] = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
            ids[place] = cv2.resize(regions, size, interpolation=cv2.INTER_NEAREST) + entities
            entities += int(regions.max())
        offset += count
    write(folder, side, lambda block: (image[block.slices], ids[block.slices]))


def photograph(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """(image (320, 320, 3) uint8, regions (320, 320) int32 from 1): the middle of a photograph of BSDS500."""
    picture = np.asarray(Image.open(file).convert("RGB"))
    truth = file.parents[2] / "groundTruth" / file.parent.name / f"{file.stem}.mat"
    regions = np.ravel(read_mat(truth, "groundTruth"))[0]["Segmentation"][0, 0].astype(np.int32)
    y, x = ((length - PHOTO_PX) // 2 for length in regions.shape)
    window = np.s_[y : y + PHOTO_PX, x : x + PHOTO_PX]
    return picture[window], regions[window]


def write(folder: Path, side: int, draw: Callable[[Window], tuple[np.ndarray, np.ndarray]]) -> None:
    """Write `scene.tif` and `truth.npy` of a square scene, of which `draw` gives the image and the ids of a block."""
    truth = np.lib.format.open_memmap(folder / "truth.npy", "w+", np.int32, (side, side))

    def blocks() -> Iterator[np.ndarray]:
        for y in range(0, side, BLOCK_PX):
            for x in range(0, side, BLOCK_PX):
                block = Window(y, x, min(BLOCK_PX, side - y), min(BLOCK_PX, side - x))
                image, truth[block.slices] = draw(block)
                yield np.pad(image, ((0, BLOCK_PX - block.height), (0, BLOCK_PX - block.width), (0, 0)))

    tifffile.imwrite(
        folder / "scene.tif",
        blocks(),
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(BLOCK_PX, BLOCK_PX),
        photometric="rgb",
        compression="zlib",
    )


class Clock:
    """CPU-seconds by part, and what the process had held at most when the part was done, in MiB."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.peaks: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add what is done meanwhile to a part."""
        start = time.process_time()
        yield
        self.seconds[stage] += time.process_time() - start
        self.peaks[stage] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def predict(folder: Path, clock: Clock) -> tuple[dict[str, Callable[[Window], np.ndarray]], tuple[int, int]]:
    """The entities of FOLDER's scene by each side, as windows to ids, and the scene's shape."""
    with loaded("base", "natural", OPTIONS, runtime=choose("cpu", "auto")) as network:
        segmenter, contract = network.segmenter, network.contract
        scene = contract.viewed(open_scene(folder / "scene.tif"))
        tiles = Tiles(scene, contract)
        overview, lattice, seen = tiles.overview, tiles.lattice, Seen()
        assert overview is not None and lattice is not None
        with clock.time("whole"):
            view = overview.view(segmenter)
        runs = {side: tiles.in_folder(fresh(folder / side), {}, "") for side in ("tiles", "context")}
        for index in range(len(tiles.grid)):
            tile = tiles.grid.window(index)
            with clock.time("read"):
                around = tiles.read(tile)
            with clock.time("network"):
                output = fields(segmenter, around, lattice, contract.window_views, seen, tiles.again(tile))
            with clock.time("decode"):
                alone = segmenter.decoder.proposals.entities(*output)
            with clock.time("both views"):
                joint = of_both(alone, boundary_of(output), view, tile.y, tile.x)
            for side, entities in (("tiles", alone), ("context", joint)):
                with clock.time(f"stitch {side}"):
                    runs[side].add(index, entities)
            held = ", ".join(f"{stage} {peak:.0f}" for stage, peak in clock.peaks.items())
            spent = sum(clock.seconds.values())
            print(f"tile {index + 1} of {len(tiles.grid)}: {spent:.0f} CPU-s, MiB after {held}", flush=True)
        readers: dict[str, Callable[[Window], np.ndarray]] = {
            side: finished(run, clock, side).read for side, run in runs.items()
        }
        height, width = view.shape
        view_at = replace(view, shape=scene.shape) if (height, width) != scene.shape else view
        return readers | {"whole": lambda window: view_at.seen(view.ids, *window)}, scene.shape


def finished(run: RunningPrediction, clock: Clock, side: str) -> Prediction:
    """A run's prediction."""
    with clock.time(f"stitch {side}"):
        return run.prediction()


def fresh(folder: Path) -> Path:
    """A folder that does not exist."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def by_size(read: Callable[[Window], np.ndarray], truth: np.ndarray) -> dict[str, dict[str, float]]:
    """Class -> PQ, AR, and counts of true, matched and false entities, counted block by block."""
    span, keys, counts = int(truth.max()) + 1, [], []
    for y in range(0, truth.shape[0], BLOCK_PX):
        block = Window(y, 0, min(BLOCK_PX, truth.shape[0] - y), truth.shape[1])
        pairs = read(block).clip(0).astype(np.int64) * span + truth[block.slices].clip(0)
        present, pixels = np.unique(pairs, return_counts=True)
        keys.append(present)
        counts.append(pixels)
    present, number = np.unique(np.concatenate(keys), return_inverse=True)
    shared = np.bincount(number, np.concatenate(counts))
    predicted, true = np.divmod(present, span)
    predicted_areas, true_areas = np.bincount(predicted, shared), np.bincount(true, shared, span)
    entity = (predicted > 0) & (true > 0)
    predicted, true, shared = predicted[entity], true[entity], shared[entity]
    iou = shared / (predicted_areas[predicted] + true_areas[true] - shared)
    matched, is_right = np.zeros(span), np.zeros(len(predicted_areas), bool)
    matched[true[iou > 0.5]] = iou[iou > 0.5]
    is_right[predicted[iou > 0.5]] = True
    table = {}
    for name, (low, high) in CLASSES.items():
        of_class, false = (
            (areas > 0) & (np.sqrt(areas) >= low) & (np.sqrt(areas) < high) for areas in (true_areas, predicted_areas)
        )
        of_class[0] = false[0] = False
        false &= ~is_right
        ious = matched[of_class]
        right, wrong = int((ious > 0).sum()), int(false.sum())
        weight = (len(ious) + right + wrong) / 2
        table[name] = {
            "pq": float(ious.sum() / weight) if weight else float("nan"),
            "ar": float((ious[:, None] >= IOUS).mean()) if len(ious) else float("nan"),
            "true": len(ious),
            "matched": right,
            "false": wrong,
        }
    return table


def picture(read: Callable[[Window], np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8: every so many pixels of ids, an entity a colour."""
    step = max(1, max(shape) // SHOWN_PX)
    ids = np.concatenate([read(Window(y, 0, 1, shape[1]))[:, ::step] for y in range(0, shape[0], step)])
    colours = np.random.default_rng(0).integers(40, 256, (int(ids.max()) + 1, 3), np.uint8)
    colours[0] = 0
    return colours[ids.clip(0)]


def main() -> None:
    """Draw the scene where it is not there, predict and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scene", choices=("land", "photographs"), default="land")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ENTITY_DATA", "data")))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side", type=int, default=10_000)
    asked = parser.parse_args()
    folder = cast(Path, asked.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "scene.tif").exists():
        if asked.scene == "land":
            draw_land(folder, asked.seed, asked.side)
        else:
            draw_photographs(folder, asked.data, asked.side)
        print(f"drawn: {folder / 'scene.tif'}; the same command again predicts it")  # so that memory is prediction's
        return
    clock = Clock()
    readers, shape = predict(folder, clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    truth = np.load(folder / "truth.npy", mmap_mode="r")
    for side in ("tiles", "whole", "context"):
        for name, row in by_size(readers[side], truth).items():
            print(f"{side:8} {name:10} " + " ".join(f"{key} {value:.4g}" for key, value in row.items()))
        Image.fromarray(picture(readers[side], shape)).save(folder / f"{side}.png")
    seconds = clock.seconds
    alone = sum(seconds[stage] for stage in ("read", "network", "decode", "stitch tiles"))
    with_context = (
        alone - seconds["stitch tiles"] + sum(seconds[stage] for stage in ("whole", "both views", "stitch context"))
    )
    print("CPU-s: " + ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items()))
    print(f"tiles alone {alone:.1f} CPU-s, with context {with_context:.1f}: {with_context / alone:.3f} times; "
          f"peak {peak:.0f} MiB of both in one process")  # fmt: skip


if __name__ == "__main__":
    main()
