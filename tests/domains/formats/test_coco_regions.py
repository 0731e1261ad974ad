from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from domains.formats.coco_regions import FlawedRegion, region


def drawn(segmentation, shape) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask.flat[region(segmentation, shape)] = True
    return mask


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.05, 0.95), st.integers(0, 10**6))
def test_compressed_and_plain_runs_give_the_mask_that_pycocotools_packed(height, width, share, seed):
    mask = np.random.default_rng(seed).random((height, width)) < share
    mask[0, 0] = True
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = {"size": [height, width], "counts": packed["counts"].decode()}
    assert (drawn(text, mask.shape) == mask).all()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel().astype(int)]))).tolist()
    counts = np.diff([0, *edges, mask.size]).tolist()
    assert (drawn({"size": [height, width], "counts": counts}, mask.shape) == mask).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' decode, numpy 2
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-20, 60), st.floats(-20, 60)), min_size=3, max_size=8), st.integers(0, 2))
def test_polygons_cover_what_pycocotools_says(points, parts):
    polygons = [[value for point in points for value in point]] + [[1, 1, 9, 1, 9, 7.5]] * parts
    packed = coco_mask.merge(coco_mask.frPyObjects(polygons, 30, 40))
    expected = coco_mask.decode(packed).astype(bool)
    try:
        assert (drawn(polygons, (30, 40)) == expected).all()
    except FlawedRegion as error:
        assert not expected.any() and "covers no pixel" in str(error)


def test_a_part_of_two_points_is_left_out_beside_a_whole_one():
    assert drawn([[2, 2, 8, 2, 8, 6, 2, 6], [1, 1, 12, 12]], (20, 30)).sum() == 24
