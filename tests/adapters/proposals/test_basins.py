"""Basins and their merging, against flooding from the h-maxima that skimage finds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from adapters.proposals.basins import basins, join_shallow, merge_shallow, saddles


def flooded_from_h_maxima(level: np.ndarray, mask: np.ndarray, height: int) -> np.ndarray:
    """The slow way to the same regions."""
    level = np.where(mask, level, 0)
    cut = reconstruction(level - height, level)
    seeds = label(local_maxima(cut) & mask, connectivity=2)
    return watershed(-level, seeds, mask=mask)


def field(seed: int, sigma: float) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((64, 80)), sigma)
    return np.round(1000 * (noise - noise.min()) / np.ptp(noise)).astype(np.int32)


@pytest.mark.parametrize("height", [20, 100, 300])
@pytest.mark.parametrize("seed", range(4))
def test_regions_are_those_of_a_flood_from_h_maxima(seed: int, height: int) -> None:
    level = field(seed, 2.5)
    mask = level > 300
    merged, peaks = merge_shallow(*basins(level, mask), level, height)
    slow = flooded_from_h_maxima(level, mask, height)
    assert merged.max() == slow.max() == len(peaks) - 1
    assert (peaks == ndimage.maximum(level, merged, np.arange(len(peaks))))[1:].all()
    # a pixel that two floods reach at once may go either way
    pairs, counts = np.unique(np.stack([merged.ravel(), slow.ravel()]), axis=1, return_counts=True)
    agreeing = sum(counts[pairs[0] == one].max() for one in range(len(peaks)))
    assert agreeing / merged.size > 0.99


def test_a_pass_is_the_highest_of_a_common_border() -> None:
    level = np.array([[9, 5, 8], [9, 3, 8], [9, 4, 8]])
    ids = np.array([[1, 1, 2], [1, 1, 2], [1, 1, 2]], np.int32)
    first, second, height = saddles(ids, level)
    assert (first.tolist(), second.tolist(), height.tolist()) == ([1], [2], [5])


@pytest.mark.parametrize(("height", "regions"), [(2, 2), (3, 1), (5, 1)])
def test_the_lower_peak_joins_where_it_rises_no_higher_than_asked(height: int, regions: int) -> None:
    level = np.array([[9, 8, 5, 7, 8]])
    merged, peaks = merge_shallow(*basins(level, level > 0), level, height)
    assert merged.max() == regions
    assert peaks.tolist() == [0, 9, 8][: regions + 1]


def test_what_does_not_rise_above_the_ground_joins_it() -> None:
    level = np.array([[3, 3, 0, 7, 7]])
    merged, peaks = merge_shallow(*basins(level, level > 0), level, 3)
    assert merged.tolist() == [[0, 0, 0, 1, 1]]
    assert peaks.tolist() == [0, 7]


def test_an_empty_mask_has_no_basin() -> None:
    level = np.ones((4, 4), np.int32)
    merged, peaks = merge_shallow(*basins(level, level > 1), level, 1)
    assert not merged.any() and peaks.tolist() == [0]


@pytest.mark.parametrize(
    "order", [np.asfortranarray, lambda values: values.T.copy().T, lambda values: values[::-1][::-1]]
)
def test_the_order_in_memory_changes_nothing(order) -> None:
    level = field(3, 2.5)
    mask = level > 300
    ids, peaks = basins(level, mask)
    again, tops = basins(order(level), order(mask))
    assert np.array_equal(ids, again) and np.array_equal(peaks, tops)
    assert (ids[mask] > 0).all()


def test_a_mirrored_field_gives_the_mirrored_regions_but_for_pixels_as_near_to_both() -> None:
    level = np.array([[9, 7, 5, 3, 5, 7, 9]] * 5)
    ids, _ = basins(level, level > 0)
    mirrored, _ = basins(level[:, ::-1], level > 0)
    for half in (np.s_[:, :3], np.s_[:, 4:]):
        assert len(np.unique(ids[half])) == len(np.unique(mirrored[half])) == 1
    assert ids[0, 0] != ids[0, 6]


@pytest.mark.parametrize("levels", [3, 1000])
def test_saddles_are_those_of_every_pair_of_neighbours(levels: int) -> None:
    rng = np.random.default_rng(levels)
    ids, level = rng.integers(0, 5, (9, 12)).astype(np.int32), rng.integers(0, levels, (9, 12)).astype(np.int32)
    highest: dict[tuple[int, int], int] = {}
    for y, x in np.ndindex(ids.shape):
        for v, u in product(range(max(0, y - 1), min(9, y + 2)), range(max(0, x - 1), min(12, x + 2))):
            pair = int(ids[y, x]), int(ids[v, u])
            if 0 < pair[0] < pair[1]:
                highest[pair] = max(highest.get(pair, 0), int(min(level[y, x], level[v, u])))
    ordered = sorted(((a, b, height) for (a, b), height in highest.items()), key=lambda row: (-row[2], row[:2]))
    assert list(zip(*(column.tolist() for column in saddles(ids, level)), strict=True)) == ordered


@pytest.mark.parametrize("levels", [20, 1000])
def test_joining_height_after_height_is_joining_at_once(levels: int) -> None:
    smooth = field(1, 1.2) // (1000 // levels) * (1000 // levels)  # of few levels many are equal
    ids, peaks = basins(smooth, smooth > 200)
    across, node, tops, passes = saddles(ids, smooth), np.arange(len(peaks)), peaks, saddles(ids, smooth)
    for height in (10, 50, 100, 200):
        step, tops = join_shallow(tops, passes, height)
        node, passes = step[node], passes.merged(step)
        at_once, once_tops = join_shallow(peaks, across, height)
        assert np.array_equal(node, at_once) and np.array_equal(tops, once_tops) and len(tops) > 2


def test_a_field_without_a_mask_around_it_floods_to_the_frame() -> None:
    level = field(2, 2.5)
    full, cut = np.ones_like(level, bool), np.zeros_like(level, bool)
    cut[10:40, 20:60] = True
    ids, peaks = basins(level, cut)
    inner, inner_peaks = basins(np.pad(level[10:40, 20:60], 1), np.pad(cut[10:40, 20:60], 1))
    assert np.array_equal(ids[10:40, 20:60], inner[1:-1, 1:-1]) and np.array_equal(peaks, inner_peaks)
    assert not ids[~cut].any() and (basins(level, full)[0] > 0).all()
