"""All shapes at once are those that scikit-image measures one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import regionprops

from domains.pathology import shapes as module
from domains.pathology.shapes import convex_areas, runs_of, shapes


def random_map(seed: int, height: int, width: int) -> np.ndarray:
    """Of noise, of blocks that touch, or of smooth entities side by side; below 1 is none."""
    rng = np.random.default_rng(seed)
    if seed % 3 == 0:
        return rng.integers(-1, 5, (height, width)).astype(np.int32)
    if seed % 3 == 1:
        blocks = rng.integers(0, 6, (height // 4 + 1, width // 4 + 1))
        return blocks.repeat(4, 0).repeat(4, 1)[:height, :width].astype(np.int32)
    return ndimage.gaussian_filter(rng.normal(size=(6, height, width)), (0, 3, 3)).argmax(0).astype(np.int32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 40, 2**20]))
def test_shapes_are_those_of_regionprops(seed: int, height: int, width: int, strip_px: int) -> None:
    ids = random_map(seed, height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STRIP_PX", strip_px)
        measured = shapes(ids)
    regions = regionprops(np.maximum(ids, 0))
    assert measured.ids.tolist() == [region.label for region in regions]
    for region, area, perimeter, eccentricity, solidity in zip(regions, *measured[1:], strict=True):
        thin = min(region.image.shape) < 2 or region.area < 3
        assert area == region.area and solidity == (1 if thin else region.solidity)
        assert perimeter == pytest.approx(region.perimeter, rel=1e-12)
        assert eccentricity == pytest.approx(region.eccentricity, abs=1e-6)


def test_runs_are_whole_stretches_of_one_entity_and_one_row() -> None:
    ids = np.array([[0, 1, 1, 2, 1], [1, -1, 2, 2, 2]])
    columns = [[1, 2, 1, 1, 2], [0, 0, 0, 1, 1], [1, 3, 4, 0, 2], [2, 3, 4, 0, 4]]
    assert [column.tolist() for column in runs_of(ids)] == columns


def test_the_hull_of_two_far_pieces_holds_the_rows_between_them() -> None:
    ids = np.zeros((9, 9), np.int32)
    ids[0, 0] = ids[8, 8] = 1
    assert convex_areas(runs_of(ids)._replace(entity=np.zeros(2, np.int64)), np.array([9])).tolist() == [9]


def test_a_map_without_entities_has_no_shapes() -> None:
    assert all(not len(column) for column in shapes(np.full((4, 4), -1)))
