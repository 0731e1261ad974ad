"""A slide of any size that takes a few megabytes: white glass that is not stored, and patches of tissue.

The patches are cut from a real slide where one is given; else they are generated, and their truth is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

from domains.entities import EntitySample
from domains.entities.outlines import outlines
from domains.procedural.dataset import ProceduralScenes
from domains.scenes import Viewed, open_scene, plain_view

STORED_PX = 256  # side of a stored tile
PATCH_PX = 512  # side of a patch of tissue: two by two stored tiles
GLASS = 255
TISSUE = 200  # mean grey of a patch that is not mostly glass
PIXEL_UM = 0.5
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
    shown = Viewed(scene, plain_view(scene))
    while count:
        y, x = (int(rng.integers(0, max(1, length - PATCH_PX))) for length in shown.shape)
        image = shown.read(y, x, PATCH_PX, PATCH_PX)
        if image.mean() < TISSUE:
            yield image
            count -= 1
    scene.close()


def _rings(sample: EntitySample, y: int, x: int) -> list[list[list[int]]]:
    polygons = [polygon for _, found in outlines(sample.truth.ids) for polygon in found]
    drawn = (polygon[0] for polygon in polygons if len(polygon[0]) > 5)  # a rectangle would be taken for a box
    return [[[a + x, b + y] for a, b in ring] for ring in drawn]


def write_scene(path: Path, side_px: int, tissue: list[Patch]) -> None:
    """An RGB TIFF of side_px x side_px, tiled; only the patches are stored."""
    cells = -(-side_px // STORED_PX)
    stored: dict[int, np.ndarray] = {}
    for patch in tissue:
        for dy in range(0, PATCH_PX, STORED_PX):
            for dx in range(0, PATCH_PX, STORED_PX):
                index = (patch.y + dy) // STORED_PX * cells + (patch.x + dx) // STORED_PX
                stored[index] = patch.image[dy : dy + STORED_PX, dx : dx + STORED_PX]
    tifffile.imwrite(
        path,
        (stored[i].tobytes() if i in stored else b"" for i in range(cells * cells)),
        shape=(side_px, side_px, 3),
        dtype="uint8",
        photometric="rgb",
        tile=(STORED_PX, STORED_PX),
        resolution=(1e4 / PIXEL_UM, 1e4 / PIXEL_UM),
        resolutionunit="CENTIMETER",
        extratags=[(_GDAL_NODATA, "s", 0, str(GLASS), True)],
        bigtiff=True,
    )


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
