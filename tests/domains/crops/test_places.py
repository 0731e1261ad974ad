"""Whatever moves an image moves its truth with it: their centres of mass stay within a twentieth of a pixel.

The kinds of fault are those of libraries that shift a mask against its image (a resize that takes the upper left pixel
of each cell, a warp on a coarse grid); held here for every way in which training changes a picture.
"""

from __future__ import annotations

import numpy as np
import pytest

from domains.crops.augment import Turn
from domains.entities import EntityMap, EntitySample, Place
from domains.entities.resize import resize_sample

SIDE = 128
Y, X = np.mgrid[:SIDE, :SIDE]


def discs(count: int = 300, seed: int = 0):
    """Pictures of a white disc on black with its truth; centres anywhere between pixels."""
    rng = np.random.default_rng(seed)
    for cy, cx in rng.uniform(45, SIDE - 45, (count, 2)):
        reach = 14 - np.hypot(Y - cy, X - cx)
        picture = (255 * np.clip(reach + 0.5, 0, 1)).astype(
            np.uint8
        )  # soft at its rim, so that its centre is the disc's
        yield EntitySample(
            np.repeat(picture[..., None], 3, axis=2), (EntityMap((reach > 0).astype(np.int32)),), Place("disc")
        )


def shift(image: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(y, x) of the truth's centre less that of the picture's light."""
    light = image[..., 0].astype(float)
    rows, columns = np.indices(light.shape)
    lit = np.array([(rows * light).sum(), (columns * light).sum()]) / light.sum()
    return np.argwhere(ids > 0).mean(axis=0) - lit


@pytest.mark.parametrize("factor", [1 / 2, 1 / 4, 1 / 3, 0.7, 1.4, 2.0])
def test_another_size_keeps_places(factor):
    shifts = []
    for sample in discs():
        resized = resize_sample(sample, factor)
        shifts.append(shift(resized.image, resized.truth.ids) / factor)
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.05


@pytest.mark.parametrize("angle_deg", [-30.0, 7.5, 45.0, 90.0])
def test_a_turn_keeps_places(angle_deg):
    turn, shifts = Turn(45), []
    for sample in discs():
        image = turn.apply(sample.image, angle_deg=angle_deg)
        shifts.append(shift(image, turn.apply_to_mask(sample.truth.ids, angle_deg=angle_deg)))
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.05
