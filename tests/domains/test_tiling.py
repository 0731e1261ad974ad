from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from domains.entities import EntityMap
from domains.errors import InputError
from domains.resize import resize_map
from domains.tiling import Window, predict_tiled, stitch, windows


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to numbering: background and unlabelled agree, and ids pair one to one."""
    if not np.array_equal(np.minimum(a, 0), np.minimum(b, 0)):
        return False
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def cut(truth: EntityMap, tile_px: int, overlap_px: int) -> list[tuple[Window, EntityMap]]:
    return [(window, truth.crop(*window)) for window in windows(*truth.shape, tile_px, overlap_px)]


def connected(ids: np.ndarray) -> EntityMap:
    """Each connected part an entity of its own, as a decoder that sees only this tile would have it."""
    return EntityMap(np.asarray(label(np.maximum(ids, 0), background=0, connectivity=2)))


@st.composite
def cases(draw) -> tuple[EntityMap, int, int]:
    """(truth, tile_px, overlap_px), at most 5 tiles each way.

    Entities are connected: from noise with many diagonal threads to blobs larger than a tile, some pixels unlabelled.
    """
    tile_px = draw(st.integers(2, 20))
    overlap_px = draw(st.integers(1, tile_px - 1))
    side = st.integers(1, tile_px + 4 * (tile_px - overlap_px))
    shape = draw(st.tuples(side, side))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grain = draw(st.sampled_from([1, 2, 5, 13]))
    coarse = rng.integers(0, draw(st.integers(1, 4)) + 1, [-(-side // grain) for side in shape])
    values = np.kron(coarse, np.ones((grain, grain), int))[: shape[0], : shape[1]]
    ids = np.asarray(label(values, background=0, connectivity=2))
    ids = np.where(rng.random(shape) < draw(st.sampled_from([0, 0.1])), -1, ids)
    return EntityMap(np.where(ids < 0, -1, connected(ids).ids)), tile_px, overlap_px


@settings(max_examples=100, deadline=None)
@given(cases())
def test_cut_then_stitch_returns_the_map_for_every_overlap_from_one_pixel_on(case):
    truth, tile_px, overlap_px = case
    stitched = stitch(truth.shape, cut(truth, tile_px, overlap_px))
    assert same_partition(stitched.ids, truth.ids)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(0, 29))
def test_windows_cover_the_scene_with_the_asked_overlap_and_never_leave_it(height, width, tile_px, overlap_px):
    overlap_px = min(overlap_px, tile_px - 1)
    tiles = windows(height, width, tile_px, overlap_px)
    covered = np.zeros((height, width), int)
    for window in tiles:
        assert window.y >= 0 and window.x >= 0
        assert (window.height, window.width) == (min(tile_px, height), min(tile_px, width))
        assert covered[window.slices].shape == (window.height, window.width)
        covered[window.slices] += 1
    assert covered.min() == 1
    for starts, tile in (
        (sorted({w.y for w in tiles}), tiles[0].height),
        (sorted({w.x for w in tiles}), tiles[0].width),
    ):
        assert all(b - a <= tile - overlap_px for a, b in zip(starts, starts[1:], strict=False))
    assert len(set(tiles)) == len(tiles)


def test_the_last_window_is_moved_inward():
    assert windows(10, 25, 10, 2) == [Window(0, 0, 10, 10), Window(0, 8, 10, 10), Window(0, 15, 10, 10)]


def test_an_image_smaller_than_a_tile_is_one_window():
    assert windows(5, 7, 64, 16) == [Window(0, 0, 5, 7)]


@pytest.mark.parametrize("wrong", [(10, 10, 8, 8), (10, 10, 8, -1), (0, 10, 8, 2), (10, 10, 0, 0)])
def test_impossible_tilings_are_refused(wrong):
    with pytest.raises(InputError, match="tile_px"):
        windows(*wrong)


def test_stitching_joins_an_entity_cut_by_four_tiles():
    ids = np.zeros((40, 40), np.int32)
    ids[14:26, 13:27] = 1
    stitched = stitch((40, 40), cut(EntityMap(ids), 24, 8))
    assert len(cut(EntityMap(ids), 24, 8)) == 4 and np.array_equal(stitched.ids, ids)


def test_a_ring_larger_than_a_tile_comes_back_as_one_though_tiles_see_arcs():
    y, x = np.mgrid[:90, :90]
    radius = np.hypot(y - 44, x - 44)
    ids = ((radius > 30) & (radius < 38)).astype(np.int32)
    tiles = [(window, connected(ids[window.slices])) for window in windows(90, 90, 32, 8)]
    assert same_partition(stitch((90, 90), tiles).ids, ids)


def test_both_arms_of_a_u_join_the_tile_below_that_sees_one_entity():
    ids = np.zeros((40, 30), np.int32)
    ids[2:38, 4:8] = ids[2:38, 20:26] = ids[32:38, 4:26] = 1
    tiles = [(window, connected(ids[window.slices])) for window in windows(40, 30, 30, 10)]
    assert tiles[0][1].count == 2 and tiles[1][1].count == 1
    assert np.array_equal(stitch((40, 30), tiles).ids, ids)


def test_two_pieces_that_one_tile_knows_to_be_one_entity_stay_one():
    ids = np.zeros((12, 40), np.int32)
    ids[2:5, 2:38] = ids[8:10, 2:38] = 1  # never connected
    assert np.array_equal(stitch((12, 40), cut(EntityMap(ids), 16, 4)).ids, ids)


def test_touching_entities_are_not_merged_where_a_border_runs_along_them():
    ids = np.zeros((20, 40), np.int32)
    ids[5:15, 10:18], ids[5:15, 18:22], ids[5:15, 22:30] = 1, 2, 3
    for overlap_px in range(1, 19):
        assert np.array_equal(stitch((20, 40), cut(EntityMap(ids), 20, overlap_px)).ids, ids)


def test_a_tile_that_takes_two_entities_for_one_joins_only_the_larger():
    left, right = np.zeros((10, 20), np.int32), np.zeros((10, 20), np.int32)
    left[2:8, 12:20] = 1
    right[2:5, 2:14], right[5:8, 2:10] = 1, 2
    stitched = stitch((10, 30), [(Window(0, 0, 10, 20), EntityMap(left)), (Window(0, 10, 10, 20), EntityMap(right))])
    assert stitched.count == 2
    assert stitched.ids[3, 23] == stitched.ids[3, 12] != stitched.ids[6, 17]


def test_what_a_tile_makes_up_at_its_border_is_cut_off():
    left, right = np.zeros((10, 20), np.int32), np.zeros((10, 20), np.int32)
    left[:, 17:] = 1  # not seen by the tile whose centre is nearer
    stitched = stitch((10, 32), [(Window(0, 0, 10, 20), EntityMap(left)), (Window(0, 12, 10, 20), EntityMap(right))])
    assert stitched.count == 0


def test_entities_that_disagree_too_much_are_not_joined():
    left, right = np.zeros((10, 20), np.int32), np.zeros((10, 20), np.int32)
    left[0:5, 8:20], right[4:10, 0:14] = 1, 1  # in the shared 10 x 8: rows 0-4 and 4-9
    tiles = [(Window(0, 0, 10, 20), EntityMap(left)), (Window(0, 12, 10, 20), EntityMap(right))]
    assert stitch((10, 32), tiles).count == 2
    assert stitch((10, 32), tiles, threshold=0.1).count == 1


def test_scores_are_means_by_area_and_labels_those_of_the_largest_part():
    ids = np.ones((4, 10), np.int32)
    halves = [Window(0, 0, 4, 8), Window(0, 6, 4, 4)]  # centres 3.5 and 7.5: columns 0-5 and 6-9 after one tie
    tiles = [
        (window, EntityMap(ids[window.slices], np.array([score], np.float32), np.array([index]), ("oak", "elm")))
        for window, score, index in zip(halves, (0.9, 0.4), (1, 0), strict=True)
    ]
    stitched = stitch((4, 10), tiles)
    assert stitched.scores is not None and stitched.labels is not None
    assert stitched.scores == pytest.approx([0.6 * 0.9 + 0.4 * 0.4])
    assert stitched.labels.tolist() == [1] and stitched.vocabulary == ("oak", "elm")


def test_tiles_without_entities_do_not_take_the_scores_away():
    empty, one = EntityMap(np.zeros((4, 4), np.int32)), EntityMap(np.ones((4, 4), np.int32), np.array([0.5]))
    stitched = stitch((4, 8), [(Window(0, 0, 4, 4), empty), (Window(0, 4, 4, 4), one)])
    assert stitched.scores is not None and stitched.scores.tolist() == [0.5]


def test_pixels_of_no_tile_are_unlabelled():
    stitched = stitch((4, 8), [(Window(0, 0, 4, 4), EntityMap(np.ones((4, 4), np.int32)))])
    assert (stitched.ids[:, :4] == 1).all() and (stitched.ids[:, 4:] == -1).all()
    assert (stitch((4, 8), []).ids == -1).all()


def test_a_map_of_another_size_than_its_window_is_refused():
    with pytest.raises(ValueError, match="shape"):
        stitch((8, 8), [(Window(0, 0, 8, 8), EntityMap(np.zeros((4, 4), np.int32)))])


def test_predict_tiled_reads_each_window_once_and_hands_over_batches():
    rng = np.random.default_rng(0)
    truth = EntityMap.from_ids(np.kron(rng.integers(0, 40, (7, 9)), np.ones((9, 9), int)))
    scene = np.repeat(truth.ids[..., None], 3, axis=2).astype(np.uint8)
    batches: list[int] = []

    def predict(images: list[np.ndarray]) -> list[EntityMap]:
        batches.append(len(images))
        return [EntityMap.from_ids(image[..., 0]) for image in images]

    stitched = predict_tiled(lambda window: scene[window.slices], truth.shape, predict, 32, 12, batch=5)
    assert batches == [5, 5, 2] and len(windows(*truth.shape, 32, 12)) == 12
    expected = stitch(truth.shape, cut(truth, 32, 12))
    assert same_partition(stitched.ids, expected.ids)


def test_pixel_scores_are_stitched_to_the_pixel_and_dropped_where_a_tile_has_none():
    rng = np.random.default_rng(0)
    truth = np.kron(rng.integers(0, 3, (10, 12)), np.ones((7, 7), int)).astype(np.int32)
    whole = EntityMap.from_ids(truth)
    field = rng.random(truth.shape).astype(np.float16)
    whole = EntityMap(whole.ids, np.ones(whole.count, np.float32), pixel_scores=field)
    tiles = [(window, whole.crop(*window)) for window in windows(*truth.shape, 32, 9)]
    assert np.array_equal(stitch(truth.shape, tiles).pixel_scores, field)
    one = tiles[1][1]
    tiles[1] = tiles[1][0], EntityMap(one.ids, one.scores)
    assert stitch(truth.shape, tiles).pixel_scores is None


def test_pixel_scores_follow_a_map_to_another_size():
    field = np.arange(12, dtype=np.float16).reshape(3, 4) / 16
    twice = resize_map(EntityMap(np.zeros((3, 4)), pixel_scores=field), (6, 8))
    assert np.array_equal(twice.pixel_scores, field.repeat(2, 0).repeat(2, 1))
    with pytest.raises(ValueError, match="pixel_scores have shape"):
        EntityMap(np.zeros((3, 4)), pixel_scores=field.T)
