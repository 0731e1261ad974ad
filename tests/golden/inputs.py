"""The images of a golden run: some drawn from a fixed seed, and small subsets of real sets, copied as they are.

All of it lies in the folder of the run, so that no job names a path outside of it.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

SIDE_PX, DRAWN, CELLS = 160, 4, 14
SCENE_PX = 512
SCENE_MPP = 0.499  # of the slide, as its description says
STAINED, CRACKS = 14, 14  # images of the real subsets, each of another group
GROUND, DYE = np.array([0.93, 0.80, 0.88]), np.array([0.42, 0.26, 0.58])


def make_inputs(folder: Path, data: Path | None) -> None:
    """Write drawn/ and map.tif, and of the real sets, where `data` names their folder, stained/, cracks/, scene.tif and
    real_map.tif."""
    for number in range(DRAWN):
        image, ids = drawn(np.random.default_rng(number))
        for kind, values in (("images", image), ("labels", ids)):
            (folder / "drawn" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / "drawn" / kind / f"{number}.png")
    write_map(folder / "map.tif", drawn(np.random.default_rng(DRAWN))[0])
    if data:
        copy_stained(data, folder)
        copy_cracks(data, folder)
        copy_scene(data / "slides" / "small_HE.svs", folder / "scene.tif")
        shutil.copyfile(data / "geotiff" / "neon_osbs" / "OSBS_029.tif", folder / "real_map.tif")


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Dyed ellipses on a pale ground, some touching: an image (H, W, 3) and its ids (H, W), 0 for the ground."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    ids, dye = np.zeros((SIDE_PX, SIDE_PX), np.uint8), np.zeros((SIDE_PX, SIDE_PX))
    for number in range(1, CELLS + 1):
        (middle_y, middle_x), radii = rng.uniform(8, SIDE_PX - 8, 2), rng.uniform(6, 13, 2)
        inside = ((y - middle_y) / radii[0]) ** 2 + ((x - middle_x) / radii[1]) ** 2 < 1
        ids[inside & (ids == 0)] = number
        dye[ids == number] = rng.uniform(0.6, 1.0)
    image = GROUND + dye[..., None] * (DYE - GROUND) + rng.normal(0, 0.03, (SIDE_PX, SIDE_PX, 1))  # (H, W, 3)
    return (image.clip(0, 1) * 255).astype(np.uint8), ids


def write_map(path: Path, image: np.ndarray) -> None:
    """A raster of EPSG:32633 with pixels of 0.5 m, in GeoTIFF's tags 33550 (scale), 33922 (tie point), 34735 (keys)."""
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)
    tags = [
        (33550, "d", 3, (0.5, 0.5, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 4e5, 5e6, 0.0), True),
        (34735, "H", len(keys), keys, True),
    ]
    tifffile.imwrite(path, image, photometric="rgb", metadata=None, extratags=tags)


def copy_stained(data: Path, folder: Path) -> None:
    """DSB2018's stained nuclei, the smaller pictures of the first groups; the table of groups is cut to them."""
    with (data / "index" / "dsb2018_he.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["width"] == "320"]
    kept = first_of_groups(rows, "source_group", STAINED)
    for row in kept:
        inside = Path("stage1_train") / row["image_id"]
        shutil.copytree(data / "dsb2018_he" / inside, folder / "stained" / inside, dirs_exist_ok=True)
    write_table(folder / "stained.csv", kept)


def copy_cracks(data: Path, folder: Path) -> None:
    """CrackForest, the first of its groups."""
    with (data / "index" / "crackforest.csv").open(newline="") as file:
        kept = first_of_groups(list(csv.DictReader(file)), "scene_group", CRACKS)
    for row in kept:
        for inside in (f"image/{row['id']}.jpg", f"groundTruth/{row['id']}.mat"):
            (folder / "cracks" / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(data / "crackforest" / inside, folder / "cracks" / inside)
    write_table(folder / "cracks.csv", kept)


def copy_scene(slide: Path, path: Path) -> None:
    """A crop from the middle of a slide's first level, tiled, with the size of its pixels."""
    pixels = tifffile.imread(slide, key=0)
    top, left = (pixels.shape[0] - SCENE_PX) // 2, (pixels.shape[1] - SCENE_PX) // 2
    crop = np.ascontiguousarray(pixels[top : top + SCENE_PX, left : left + SCENE_PX])
    per_cm = 1e4 / SCENE_MPP
    tifffile.imwrite(
        path,
        crop,
        photometric="rgb",
        tile=(128, 128),
        metadata=None,
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )


def first_of_groups(rows: Sequence[dict[str, str]], column: str, count: int) -> list[dict[str, str]]:
    """The first row of each of the first `count` groups, as the table has them."""
    groups: dict[str, dict[str, str]] = {}
    for row in rows:
        groups.setdefault(row[column], row)
    return list(groups.values())[:count]


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
