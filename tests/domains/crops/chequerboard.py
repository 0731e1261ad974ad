"""A sample whose pixels tell whether image and ids moved alike."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_erosion

from domains.entities import EntityMap, EntitySample, Place

BIG = 2**24 + 1  # the first id that float32 does not hold


def squares(
    height: int = 96, width: int = 120, base: int = BIG, annotators: int = 1, classes: bool = False
) -> EntitySample:
    """A chequerboard of 12 px: every second square an entity, in a colour of its own on a bright ground.

    Ids begin at `base`, those of each further annotator 1000 higher; classes: each entity's label is its id here.
    """
    rows, columns = np.arange(height) // 12, np.arange(width) // 12
    cells = rows[:, None] * 10 + columns
    ids = np.where((rows[:, None] + columns) % 2 == 0, base + cells, 0).astype(np.int32)
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.where(ids > 0, ids % 200, 250)
    maps = [np.where(ids > 0, ids + 1000 * i, 0) for i in range(annotators)]
    truths = tuple(EntityMap(ids, labels=np.arange(1, ids.max() + 1) if classes else None) for ids in maps)
    return EntitySample(image, truths, Place("squares", pixel_size_m=1e-6))


def same(one: EntitySample, other: EntitySample) -> bool:
    return np.array_equal(one.image, other.image) and np.array_equal(one.truth.ids, other.truth.ids)


def well_aligned(sample: EntitySample, blur_px: int) -> bool:
    """The inside of every entity, `blur_px` away from its border, shows one colour: image and ids moved alike."""
    ids, red = sample.truth.ids, sample.image[..., 0].astype(int)
    insides = [red[binary_erosion(ids == entity, iterations=blur_px)] for entity in np.unique(ids[ids > 0])]
    assert any(inside.size for inside in insides)
    return all(np.ptp(inside) <= 3 for inside in insides if inside.size)
