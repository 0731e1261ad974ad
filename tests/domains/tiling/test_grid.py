from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from domains.entities import EntityMap
from domains.entities.measures import measure
from domains.entities.resize import resize_map
from domains.errors import InputError
from domains.tiling.grid import Clock, Grid, Window, predict_tiles, windows
from domains.tiling.running import stitch
from domains.tiling.stitching import Stitcher, joined


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to numbering: background and unlabelled agree, and ids pair one to one."""
    if not np.array_equal(np.minimum(a, 0), np.minimum(b, 0)):
        return False
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def cut(truth: EntityMap, tile_px: int, overlap_px: int) -> tuple[Grid, list[tuple[int, EntityMap]]]:
    grid = Grid(truth.shape, tile_px, overlap_px)
    return grid, [(i, truth.crop(*grid.window(i))) for i in range(len(grid))]


def of_maps(shape: tuple[int, int], tile_px: int, *maps: np.ndarray) -> tuple[Grid, list[tuple[int, EntityMap]]]:
    """Tiles in a row, whose overlap follows from the shape."""
    step = (shape[1] - tile_px) // (len(maps) - 1)
    grid = Grid(shape, tile_px, tile_px - step)
    assert len(grid) == len(maps)
    return grid, [(i, EntityMap(ids)) for i, ids in enumerate(maps)]


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
    stitched = stitch(*cut(truth, tile_px, overlap_px))
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
    stitched = stitch(*cut(EntityMap(ids), 24, 8))
    assert len(Grid((40, 40), 24, 8)) == 4 and np.array_equal(stitched.ids, ids)


def test_a_ring_larger_than_a_tile_comes_back_as_one_though_tiles_see_arcs():
    y, x = np.mgrid[:90, :90]
    radius = np.hypot(y - 44, x - 44)
    ids = ((radius > 30) & (radius < 38)).astype(np.int32)
    grid = Grid((90, 90), 32, 8)
    tiles = [(i, connected(ids[grid.window(i).slices])) for i in range(len(grid))]
    assert same_partition(stitch(grid, tiles).ids, ids)


def test_both_arms_of_a_u_join_the_tile_below_that_sees_one_entity():
    ids = np.zeros((40, 30), np.int32)
    ids[2:38, 4:8] = ids[2:38, 20:26] = ids[32:38, 4:26] = 1
    grid = Grid((40, 30), 30, 10)
    tiles = [(i, connected(ids[grid.window(i).slices])) for i in range(len(grid))]
    assert tiles[0][1].count == 2 and tiles[1][1].count == 1
    assert np.array_equal(stitch(grid, tiles).ids, ids)


def test_two_pieces_that_one_tile_knows_to_be_one_entity_stay_one():
    ids = np.zeros((12, 40), np.int32)
    ids[2:5, 2:38] = ids[8:10, 2:38] = 1  # never connected
    assert np.array_equal(stitch(*cut(EntityMap(ids), 16, 4)).ids, ids)


def test_touching_entities_are_not_merged_where_a_border_runs_along_them():
    ids = np.zeros((20, 40), np.int32)
    ids[5:15, 10:18], ids[5:15, 18:22], ids[5:15, 22:30] = 1, 2, 3
    for overlap_px in range(1, 19):
        assert np.array_equal(stitch(*cut(EntityMap(ids), 20, overlap_px)).ids, ids)


def test_a_tile_that_takes_two_entities_for_one_joins_only_the_larger():
    left, right = np.zeros((10, 20), np.int32), np.zeros((10, 20), np.int32)
    left[2:8, 12:20] = 1
    right[2:5, 2:14], right[5:8, 2:10] = 1, 2
    stitched = stitch(*of_maps((10, 30), 20, left, right))
    assert stitched.count == 2
    assert stitched.ids[3, 23] == stitched.ids[3, 12] != stitched.ids[6, 17]


def test_what_a_tile_makes_up_at_its_border_is_cut_off():
    left, right = np.zeros((10, 20), np.int32), np.zeros((10, 20), np.int32)
    left[:, 17:] = 1  # not seen by the tile whose centre is nearer
    stitched = stitch(*of_maps((10, 32), 20, left, right))
    assert stitched.count == 0


def test_entities_that_disagree_too_much_are_not_joined():
    left, right = np.zeros((10, 20), np.int32), np.zeros((10, 20), np.int32)
    left[0:5, 8:20], right[4:10, 0:14] = 1, 1  # in the shared 10 x 8: rows 0-4 and 4-9
    tiles = of_maps((10, 32), 20, left, right)
    assert stitch(*tiles).count == 2
    assert stitch(*tiles, threshold=0.1).count == 1


def test_scores_are_means_by_area_and_labels_those_of_the_largest_part():
    grid = Grid((4, 10), 7, 4)  # starts 0 and 3, centres 3 and 6: columns 0-4 and 5-9
    shorter = np.ones((4, 7), np.int32)
    shorter[:, 5:] = 0  # columns 8 and 9 of the scene
    maps = [
        EntityMap(ids, np.array([score], np.float32), np.array([index]), ("oak", "elm"))
        for ids, score, index in ((np.ones((4, 7), np.int32), 0.9, 1), (shorter, 0.4, 0))
    ]
    stitched = stitch(grid, enumerate(maps))
    assert stitched.scores is not None and stitched.labels is not None
    assert stitched.scores == pytest.approx([(5 * 0.9 + 3 * 0.4) / 8])
    assert stitched.labels.tolist() == [1] and stitched.vocabulary == ("oak", "elm")


def test_tiles_without_entities_do_not_take_the_scores_away():
    empty, one = EntityMap(np.zeros((4, 4), np.int32)), EntityMap(np.ones((4, 4), np.int32), np.array([0.5]))
    stitched = stitch(Grid((4, 8), 4, 0), [(0, empty), (1, one)])
    assert stitched.scores is not None and stitched.scores.tolist() == [0.5]


def test_pixels_of_no_tile_are_unlabelled():
    stitched = stitch(Grid((4, 8), 4, 0), [(0, EntityMap(np.ones((4, 4), np.int32)))])
    assert (stitched.ids[:, :4] == 1).all() and (stitched.ids[:, 4:] == -1).all()
    assert (stitch(Grid((4, 8), 4, 0), []).ids == -1).all()


def test_a_map_of_another_size_than_its_window_is_refused():
    with pytest.raises(ValueError, match="shape"):
        stitch(Grid((8, 8), 8, 0), [(0, EntityMap(np.zeros((4, 4), np.int32)))])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(0, 29), st.integers(0, 29))
def test_cores_part_the_scene_and_lie_where_their_tile_is_nearest(height, width, tile_px, overlap_px, origin_px):
    overlap_px = min(overlap_px, tile_px - 1, max(1, tile_px // 2))
    grid = Grid((height, width), tile_px, overlap_px, min(origin_px, tile_px - overlap_px - 1))
    owner = np.full((height, width), -1)
    for i in range(len(grid)):
        assert (owner[grid.core(i).slices] == -1).all()
        owner[grid.core(i).slices] = i
        assert grid.core(i).shared(grid.window(i)) == grid.core(i)
    y, x = np.mgrid[:height, :width]
    distances = [
        (2 * (y - w.y) - w.height + 1) ** 2 + (2 * (x - w.x) - w.width + 1) ** 2
        for w in (grid.window(i) for i in range(len(grid)))
    ]
    assert np.array_equal(owner, np.argmin(distances, axis=0))


@settings(max_examples=60, deadline=None)
@given(cases(), st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_a_result_of_another_size_is_the_stitched_map_resized(case, shape):
    truth, tile_px, overlap_px = case
    tiles = cut(truth, tile_px, overlap_px)
    assert same_partition(stitch(*tiles, shape=shape).ids, resize_map(stitch(*tiles), shape).ids)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_the_table_of_entities_is_what_the_map_shows(case):
    truth, tile_px, overlap_px = case
    grid, tiles = cut(truth, tile_px, overlap_px)
    stitcher = Stitcher(grid)
    placed = [stitcher.add(i, entities) for i, entities in tiles]
    _, table = joined(np.concatenate([one.fragments for one in placed]), np.concatenate([one.links for one in placed]))
    found = measure(stitch(grid, tiles))
    assert [entity.area_px for entity in found] == table.area_px.tolist()
    assert [(entity.y, entity.x) for entity in found] == list(zip(table.y0, table.x0, strict=True))
    assert [entity.y + entity.height for entity in found] == table.y1.tolist()
    assert [entity.x + entity.width for entity in found] == table.x1.tolist()
    assert np.allclose([entity.centroid_y for entity in found], table.centroid_y, atol=0.01)


def scripted(images: list[np.ndarray]) -> list[EntityMap]:
    """Connected bright regions: the receptive field of a pixel is the entity that it belongs to."""
    return [connected((image[..., 0] > 127).astype(np.int32)) for image in images]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 64), st.integers(20, 64), st.integers(0, 7))
def test_tiled_prediction_depends_neither_on_the_size_nor_on_the_origin_of_tiles(seed, one_px, two_px, origin_px):
    rng = np.random.default_rng(seed)
    scene = np.zeros((97, 120, 3), np.uint8)
    for y, x in rng.integers(0, (90, 113), (40, 2)):
        scene[y : y + rng.integers(1, 8), x : x + rng.integers(1, 8)] = 255  # what touches is one, and larger
    grids = Grid(scene.shape[:2], one_px, 10), Grid(scene.shape[:2], two_px, 10, origin_px)
    one, two = (stitch(grid, predict_tiles(lambda w: scene[w.slices], grid, scripted, 3, readers=0)) for grid in grids)
    whole = scripted([scene])[0]
    assert same_partition(one.ids, whole.ids) and same_partition(two.ids, whole.ids)


@pytest.mark.parametrize("readers", [0, 2])
def test_each_window_is_read_once_and_handed_over_in_batches(readers):
    rng = np.random.default_rng(0)
    truth = EntityMap.from_ids(np.kron(rng.integers(0, 40, (7, 9)), np.ones((9, 9), int)))
    scene = np.repeat(truth.ids[..., None], 3, axis=2).astype(np.uint8)
    batches: list[int] = []
    read: list[Window] = []

    def predict(images: list[np.ndarray]) -> list[EntityMap]:
        batches.append(len(images))
        return [EntityMap.from_ids(image[..., 0]) for image in images]

    def reading(window: Window) -> np.ndarray:
        read.append(window)
        return scene[window.slices]

    grid, clock = Grid(truth.shape, 32, 12), Clock()
    stitched = stitch(grid, predict_tiles(reading, grid, predict, 5, readers=readers, clock=clock))
    assert batches == [5, 5, 2] and sorted(read) == [grid.window(i) for i in range(12)] and clock.tiles == 12
    assert same_partition(stitched.ids, stitch(*cut(truth, 32, 12)).ids)


def test_a_tile_of_one_colour_is_asked_for_once_and_a_tile_that_is_not_wanted_never():
    scene = np.zeros((16, 64, 3), np.uint8)
    scene[4:8, 4:8] = 255
    scene[:, 32:48] = 9
    asked: list[int] = []

    def predict(images: list[np.ndarray]) -> list[EntityMap]:
        asked.extend(int(image.max()) for image in images)
        return scripted(images)

    grid = Grid((16, 64), 8, 0)
    tiles = predict_tiles(lambda w: scene[w.slices], grid, predict, 4, worth=lambda w: w.x < 48)
    stitched = stitch(grid, tiles)
    assert sorted(asked) == [0, 9, 255] and stitched.count == 1
    assert (stitched.ids[:, 48:] == -1).all() and (stitched.ids[:, 32:48] == 0).all()


def test_what_a_reading_thread_raises_reaches_the_caller():
    def read(window: Window) -> np.ndarray:
        raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        list(predict_tiles(read, Grid((16, 16), 8, 0), scripted, 2))


def test_pixel_scores_are_stitched_to_the_pixel_and_dropped_where_a_tile_has_none():
    rng = np.random.default_rng(0)
    truth = np.kron(rng.integers(0, 3, (10, 12)), np.ones((7, 7), int)).astype(np.int32)
    whole = EntityMap.from_ids(truth)
    field = rng.random(truth.shape).astype(np.float16)
    whole = EntityMap(whole.ids, np.ones(whole.count, np.float32), pixel_scores=field)
    grid, tiles = cut(whole, 32, 9)
    assert np.array_equal(stitch(grid, tiles).pixel_scores, field)
    twice = stitch(grid, tiles, (2 * truth.shape[0], 2 * truth.shape[1]))
    assert np.array_equal(twice.pixel_scores, field.repeat(2, 0).repeat(2, 1))
    one = tiles[1][1]
    tiles[1] = tiles[1][0], EntityMap(one.ids, one.scores)
    assert stitch(grid, tiles).pixel_scores is None


def test_pixel_scores_follow_a_map_to_another_size():
    field = np.arange(12, dtype=np.float16).reshape(3, 4) / 16
    twice = resize_map(EntityMap(np.zeros((3, 4)), pixel_scores=field), (6, 8))
    assert np.array_equal(twice.pixel_scores, field.repeat(2, 0).repeat(2, 1))
    with pytest.raises(ValueError, match="pixel_scores have shape"):
        EntityMap(np.zeros((3, 4)), pixel_scores=field.T)


@pytest.mark.parametrize("density", [0, 0.02, 0.6, 1])
def test_windows_that_hold_anything_are_found_in_order_and_empty_ones_hardly_asked_for(density):
    grid = Grid((1000, 700), 40, 7)
    marks = np.random.default_rng(1).random(grid.shape) < density / 900
    asked = []

    def worth(window: Window) -> bool:
        asked.append(window)
        return bool(marks[window.slices].any())

    assert list(grid.windows) == windows(1000, 700, 40, 7) and len(grid.windows) == len(grid)
    expected = [window for window in grid.windows if marks[window.slices].any()]
    assert list(grid.windows.holding(worth)) == expected
    assert len(asked) <= len(grid.axes[0].starts) + 12 * len(expected)
