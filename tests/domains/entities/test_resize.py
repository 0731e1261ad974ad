from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.entities import EntityMap, EntitySample, Place
from domains.entities.resize import resize_ids, resize_image, resize_sample
from domains.scenes import Photograph
from domains.scenes.resampled import Resampled

FACTORS = (1 / 2, 1 / 4, 1 / 3, 0.7, 0.99, 1.4, 1.5, 2.0, 3.0)


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - y) ** 2 + (columns - x) ** 2 < radius**2).astype(np.int32)


def centroid(weights: np.ndarray) -> np.ndarray:
    return (np.indices(weights.shape) * weights).sum((1, 2)) / weights.sum()


def shift_of_truth(shape: tuple[int, int], factor: float, count: int = 150) -> np.ndarray:
    """(2,) pixels of the network by which truth lies off its image, the mean over discs anywhere."""
    rng, shifts = np.random.default_rng(0), []
    for _ in range(count):
        radius = rng.uniform(6, 14)
        ids = disc(shape, rng.uniform(16, shape[0] - 16), rng.uniform(16, shape[1] - 16), radius)
        sample = EntitySample(np.repeat(ids[..., None] * 255, 3, 2).astype(np.uint8), (EntityMap(ids),), Place("disc"))
        small = resize_sample(sample, factor)
        shifts.append(centroid(small.truth.ids) - centroid(small.image[..., 0].astype(float)))
    return np.mean(shifts, axis=0)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("shape", [(128, 96), (129, 97), (101, 150)])
def test_truth_lies_on_its_image_at_every_scale(shape, factor):
    assert np.abs(shift_of_truth(shape, factor)).max() < 0.05


def test_truth_lies_on_its_image_in_every_corner_when_an_odd_size_is_halved():
    rng = np.random.default_rng(0)
    for corner in ((16, 16), (16, 240), (240, 16)):
        shifts = []
        for _ in range(60):
            ids = disc((257, 257), corner[0] + rng.uniform(-4, 4), corner[1] + rng.uniform(-4, 4), 9)
            seen = resize_image(np.repeat(ids[..., None] * 255, 3, 2).astype(np.uint8), (128, 128))[..., 0]
            shifts.append(centroid(resize_ids(ids, (128, 128))) - centroid(seen.astype(float)))
        assert np.abs(np.mean(shifts, axis=0)).max() < 0.1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.integers(0, 9))
def test_a_resized_map_holds_only_pixels_that_lie_under_the_new_ones(height, width, tall, wide, seed):
    ids = np.arange(height * width).reshape(height, width)
    y, x = np.divmod(resize_ids(ids, (tall, wide)), width)
    for source, old, new, axis in ((y, height, tall, 0), (x, width, wide, 1)):
        centre = np.expand_dims((np.arange(new) + 0.5) * old / new, 1 - axis)
        assert np.abs(source + 0.5 - centre).max() <= 0.5 + 3 / 8


@pytest.mark.parametrize(
    "old, new", [((64, 48), (32, 24)), ((64, 48), (44, 34)), ((65, 49), (32, 24)), ((9, 6), (27, 9))]
)
def test_a_mirrored_map_gives_the_mirrored_result(old, new):
    ids = np.random.default_rng(0).integers(0, 99, old)
    small = resize_ids(ids, new)
    whole = [side % 2 == 0 or parent % 2 == 1 for side, parent in zip(new, old, strict=True)]
    rows, columns = (
        slice(None) if even else np.arange(side) != side // 2 for even, side in zip(whole, new, strict=True)
    )
    assert np.array_equal(resize_ids(ids[::-1], new)[::-1][rows], small[rows])
    assert np.array_equal(resize_ids(ids[:, ::-1], new)[:, ::-1][:, columns], small[:, columns])
    assert np.array_equal(resize_ids(ids.T, new[::-1]), small.T)


def test_a_line_of_two_pixels_is_in_every_row_at_half_its_size():
    for column in (*range(1, 31), *range(32, 62)):  # in the middle the turns face each other: half the rows
        ids = np.zeros((64, 64), np.int32)
        ids[:, column : column + 2] = 1
        assert (resize_ids(ids, (32, 32)).sum(1) == 1).all() and (resize_ids(ids.T, (32, 32)).sum(0) == 1).all()


def test_a_line_of_one_pixel_no_longer_vanishes_at_half_its_size():
    for column in range(64):
        ids = np.zeros((64, 64), np.int32)
        ids[:, column] = 1
        assert resize_ids(ids, (32, 32)).sum() == 16


def test_an_axis_that_grows_does_not_shift_the_one_that_shrinks():
    image = np.zeros((20, 160, 3), np.uint8)
    image[:, 64:96] = 255  # in the middle
    resized = resize_image(image, (21, 40))[10, :, 0].astype(float)
    assert np.array_equal(resized, resized[::-1])
    scene = Resampled(Photograph(image), 0.25)
    assert np.array_equal(scene.read(0, 0, *scene.shape), resize_image(image, scene.shape))
