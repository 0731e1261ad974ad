"""A slide of any size that takes a few megabytes: white glass that is not stored, and patches of tissue; with smaller
copies where they are asked for, as slides have them.

The patches are cut from a real slide where one is given; else they are generated, and their truth is known.

    python -m benchmarks.speed.sparse_scene FILE SIDE [--tiles 40] [--slide S.svs] [--annotations]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

from domains.entities import EntitySample
from domains.entities.outlines import outlines
from domains.entities.resize import resize_image
from domains.procedural.dataset import ProceduralScenes
from domains.scenes import Viewed, open_scene, plain_view

STORED_PX = 256  # side of a stored tile
PATCH_PX = 512  # side of a patch of tissue: two by two stored tiles
GLASS = 255
TISSUE = 200  # mean grey of a patch that is not mostly glass
PIXEL_UM = 0.5
SMALLER = 4  # a copy's sides are so many times shorter
SMALLEST_PX = 1024  # the copies end with the first that is no larger
_GDAL_NODATA = 42113  # the tag that says what an absent tile holds


class Patch(NamedTuple):
    """A piece of tissue at y, x of the scene. rings: outlines of its entities in the scene, empty where unknown."""

    y: int
    x: int
    image: np.ndarray
    rings: list[list[list[int]]]


def patches(side_px: int, count: int, seed: int, slide: Path | None = None) -> list[Patch]:
    """At places drawn by `seed`, none twice."""
    rng = np.random.default_rng(seed)
    cells = side_px // PATCH_PX
    places = rng.choice(cells * cells, count, replace=False)
    corners = [(int(place // cells) * PATCH_PX, int(place % cells) * PATCH_PX) for place in sorted(places)]
    if slide is not None:
        return [Patch(*corner, image, []) for corner, image in zip(corners, _cut(slide, count, rng), strict=True)]
    scenes = ProceduralScenes(["nuclei_he"], count, seed, PATCH_PX)
    return [Patch(*corner, scenes[i].image, _rings(scenes[i], *corner)) for i, corner in enumerate(corners)]


def _cut(slide: Path, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    scene = open_scene(slide)
    viewed = Viewed(scene, plain_view(scene))
    while count:
        y, x = (int(rng.integers(0, max(1, length - PATCH_PX))) for length in viewed.shape)
        image = viewed.read(y, x, PATCH_PX, PATCH_PX)
        if image.mean() < TISSUE:
            yield image
            count -= 1
    scene.close()


def _rings(sample: EntitySample, y: int, x: int) -> list[list[list[int]]]:
    polygons = [polygon for _, shapes in outlines(sample.truth.ids) for polygon in shapes]
    drawn = (polygon[0] for polygon in polygons if len(polygon[0]) > 5)  # a rectangle would be taken for a box
    return [[[a + x, b + y] for a, b in ring] for ring in drawn]


def write_scene(path: Path, side_px: int, tissue: list[Patch], pyramid: bool = False) -> None:
    """An RGB TIFF of side_px x side_px, tiled; only the patches are stored. pyramid: with smaller copies."""
    shrunk = [1]
    while pyramid and side_px / shrunk[-1] > SMALLEST_PX:
        shrunk.append(shrunk[-1] * SMALLER)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for factor in shrunk:
            side = -(-side_px // factor)
            stored, cells = _stored(tissue, factor, side), -(-side // STORED_PX)
            file.write(
                (stored[i].tobytes() if i in stored else b"" for i in range(cells * cells)),
                shape=(side, side, 3),
                dtype="uint8",
                photometric="rgb",
                tile=(STORED_PX, STORED_PX),
                resolution=(1e4 / PIXEL_UM / factor, 1e4 / PIXEL_UM / factor),
                resolutionunit="CENTIMETER",
                extratags=[(_GDAL_NODATA, "s", 0, str(GLASS), True)],
                subifds=len(shrunk) - 1 if factor == 1 else 0,
                subfiletype=0 if factor == 1 else 1,
            )


def _stored(tissue: list[Patch], factor: int, side: int) -> dict[int, np.ndarray]:
    """Tiles (STORED_PX, STORED_PX, 3) that hold tissue, by their number, of a copy whose sides are `factor` shorter."""
    tiles: dict[int, np.ndarray] = {}
    size, cells = max(1, PATCH_PX // factor), -(-side // STORED_PX)
    for patch in tissue:
        image = resize_image(patch.image, (size, size))
        y, x = patch.y // factor, patch.x // factor
        for dy in range(0, size, STORED_PX):
            for dx in range(0, size, STORED_PX):
                row, top = divmod(y + dy, STORED_PX)
                column, left = divmod(x + dx, STORED_PX)
                tile = tiles.setdefault(row * cells + column, np.full((STORED_PX, STORED_PX, 3), GLASS, np.uint8))
                pixels = image[dy : dy + STORED_PX, dx : dx + STORED_PX]
                tile[top : top + len(pixels), left : left + pixels.shape[1]] = pixels
    return tiles


def write_annotations(path: Path, tissue: list[Patch]) -> int:
    """What is known of the patches as QuPath's GeoJSON, each patch an annotated region; returns the number of
    entities.
    """
    features = []
    for patch in tissue:
        y, x = patch.y, patch.x
        square = [[x, y], [x + PATCH_PX, y], [x + PATCH_PX, y + PATCH_PX], [x, y + PATCH_PX], [x, y]]
        features.append(_feature(square, "annotation", "Region*"))
        features += [_feature(ring, "detection", "Nucleus") for ring in patch.rings]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return len(features) - len(tissue)


def _feature(ring: list[list[int]], kind: str, name: str) -> dict:
    properties = {"objectType": kind, "classification": {"name": name}}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def main() -> None:
    """Write the scene that the command line asks for, with smaller copies."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("file", type=Path)
    words.add_argument("side", type=int, help="in px")
    words.add_argument("--tiles", type=int, default=40, help=f"of {STORED_PX} px that hold tissue")
    words.add_argument("--slide", type=Path, help="where the tissue comes from")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--annotations", action="store_true", help="its outlines too, in a .geojson beside it")
    options = words.parse_args()
    options.file.parent.mkdir(parents=True, exist_ok=True)
    tissue = patches(options.side, max(1, options.tiles // 4), options.seed, options.slide)
    write_scene(options.file, options.side, tissue, pyramid=True)
    if options.annotations:
        write_annotations(options.file.with_suffix(".geojson"), tissue)


if __name__ == "__main__":
    main()
