"""Shape and stain of every entity, as QuPath lists them beside an object.

Area, perimeter, eccentricity and solidity are scikit-image's `regionprops`; the amount of haematoxylin is the mean
concentration by Ruifrok and Johnston's vectors (see `stain`), in units of optical density.
"""

from __future__ import annotations

import numpy as np
from skimage.measure import regionprops

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
    for region in regionprops(np.maximum(ids, 0)):
        inside = image[region.slice][region.image]  # (pixels, 3)
        measurements[int(region.label)] = {
            f"Area {unit}^2": round(float(region.area) * side**2, 3),
            f"Perimeter {unit}": round(float(region.perimeter) * side, 3),
            "Eccentricity": round(float(region.eccentricity), 4),
            "Solidity": round(solidity(region), 4),
            **({"Haematoxylin OD mean": round(float((DENSITY[inside] @ UNMIX).mean()), 4)} if stained else {}),
        }
    return measurements


def is_stained(ids: np.ndarray, image: np.ndarray) -> bool:
    """Whether entities are dyed: in colour, and no brighter than the ground, as what glows in fluorescence is."""
    inside = ids > 0
    if is_grey(image) or not inside.any():
        return False
    return bool(inside.all()) or bool(image[inside].mean() <= image[~inside].mean())


def solidity(region: object) -> float:
    """Share of the convex hull that the entity fills; 1 for what is too thin to have one."""
    area, (height, width) = region.area, region.image.shape  # type: ignore[attr-defined]
    return 1.0 if min(height, width) < 2 or area < 3 else float(region.solidity)  # type: ignore[attr-defined]
