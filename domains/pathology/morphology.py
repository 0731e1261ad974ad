"""Shape and stain of every entity, as QuPath lists them beside an object.

Area, perimeter, eccentricity and solidity are those of scikit-image's `regionprops` (see `shapes`); the amount of
haematoxylin is the mean concentration by Ruifrok and Johnston's vectors (see `stain`), in units of optical density.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from domains.pathology.shapes import shapes
from domains.pathology.stain import DENSITY, HED, is_grey

UNMIX = np.linalg.inv(HED)[:, 0].astype(np.float32)
"""(3,) from RGB optical density to haematoxylin."""


def morphology(ids: np.ndarray, image: np.ndarray, pixel_size_m: float | None) -> dict[int, dict[str, float]]:
    """{id: {name: value}} of every entity of ids (H, W), 0 for none; image (H, W, 3) uint8.

    With a pixel size area and perimeter are in micrometres, without in pixels, and their names say so. Convex hulls of
    entities of one or two pixels are their own. Haematoxylin is told of what is stained alone.
    """
    side, unit = (1.0, "px") if pixel_size_m is None else (pixel_size_m * 1e6, "µm")
    measurements, stained = {}, is_stained(ids, image)
    boxes = ndimage.find_objects(ids) if stained else []
    for number, area, perimeter, eccentricity, solidity in zip(
        *(column.tolist() for column in shapes(ids)), strict=True
    ):
        measurements[number] = {
            f"Area {unit}^2": round(area * side**2, 3),
            f"Perimeter {unit}": round(perimeter * side, 3),
            "Eccentricity": round(eccentricity, 4),
            "Solidity": round(solidity, 4),
        }
        if stained:
            box = boxes[number - 1]
            measurements[number]["Haematoxylin OD mean"] = round(haematoxylin(image[box][ids[box] == number]), 4)
    return measurements


def haematoxylin(pixels: np.ndarray) -> float:
    """The mean optical density of haematoxylin in pixels (P, 3) uint8."""
    return float((DENSITY[pixels] @ UNMIX).mean())


def is_stained(ids: np.ndarray, image: np.ndarray) -> bool:
    """Whether entities are dyed: in colour, and no brighter than the ground, as what glows in fluorescence is."""
    inside = ids > 0
    count = int(np.count_nonzero(inside))
    if is_grey(image) or not count:
        return False
    light, ground = int(image[inside].sum(dtype=np.int64)), inside.size - count
    around = int(image.sum(dtype=np.int64)) - light
    return not ground or light / (3 * count) <= around / (3 * ground)  # means, without a copy of the ground
