"""Two views of a scene: where they agree nothing changes; where they do not, the mean of both borders decides."""

from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.tiling.views import STANDS, Overview, of_both

TALL, WIDE, TIMES = 120, 160, 4


def halves(at: int = 80) -> np.ndarray:
    """Two regions, side by side."""
    ids = np.ones((TALL, WIDE), np.int32)
    ids[:, at:] = 2
    return ids


def line(score: float = 1.0, at: int = 80, gap: int = 0) -> np.ndarray:
    """A boundary of that score along the seam, open for `gap` px."""
    boundary = np.zeros((TALL, WIDE), np.float32)
    boundary[gap:, at - 1 : at + 1] = score
    return boundary


def overview(ids: np.ndarray, boundary: np.ndarray, large_px: float = 40) -> Overview:
    """The same scene, a quarter as long each way."""
    small = np.ascontiguousarray(ids[::TIMES, ::TIMES])
    score = boundary.reshape(TALL // TIMES, TIMES, WIDE // TIMES, TIMES).max((1, 3))
    return Overview(small, score, (TALL, WIDE), large_px)


@pytest.mark.parametrize("score", [0.0, 0.3, 0.99])
def test_identical_views_average_to_the_identity(score: float) -> None:
    ids = halves()
    ids[20:30, 20:34], ids[30:40, 25:40] = 3, 4  # small things that touch each other
    tile = EntityMap(ids, np.array([0.9, 0.8, 0.7, 0.6], np.float32))
    same = Overview(ids, line(score), (TALL, WIDE), 40)
    assert of_both(tile, line(score), same, 0, 0) is tile


def test_identical_views_of_random_regions_average_to_the_identity() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        ids = np.kron(rng.integers(0, 6, (6, 8)), np.ones((20, 20), int)).astype(np.int32)
        tile, boundary = EntityMap.from_ids(ids), rng.random((TALL, WIDE)).astype(np.float32)
        joint = of_both(tile, boundary, Overview(tile.ids, boundary, (TALL, WIDE), float(rng.uniform(5, 60))), 0, 0)
        np.testing.assert_array_equal(joint.ids, tile.ids)


def test_a_whole_without_anything_large_changes_nothing() -> None:
    tile = EntityMap(halves())
    assert of_both(tile, line(), overview(np.ones_like(tile.ids), line(), large_px=1000), 0, 0) is tile


def test_a_leak_is_closed_to_the_pixel_of_the_tiles_border() -> None:
    leaked = EntityMap(np.ones((TALL, WIDE), np.int32), np.array([0.5], np.float32))
    joint = of_both(leaked, line(gap=12), overview(halves(82), line(at=82)), 0, 0)
    assert joint.count == 2 and joint.scores is not None
    np.testing.assert_allclose(joint.scores, 0.5)
    assert len(np.unique(joint.ids[20:, :79])) == len(np.unique(joint.ids[20:, 81:])) == 1
    assert joint.ids[60, 78] != joint.ids[60, 81]


@pytest.mark.parametrize(("score", "count"), [(2 * STANDS - 0.1, 1), (2 * STANDS + 0.1 - 1, 2)])
def test_a_border_of_the_whole_alone_stands_if_the_mean_of_both_does(score: float, count: int) -> None:
    of_tile = line(score) if count == 2 else line(0)
    joint = of_both(EntityMap(np.ones((TALL, WIDE), np.int32)), of_tile, overview(halves(), line(min(score, 1))), 0, 0)
    assert joint.count == (2 if (min(score, 1) + of_tile.max()) / 2 >= STANDS else 1)


def test_a_border_of_the_tile_alone_falls_where_neither_sees_it_clearly() -> None:
    plain = overview(np.ones((TALL, WIDE), np.int32), np.zeros((TALL, WIDE), np.float32))
    assert of_both(EntityMap(halves()), line(0.9), plain, 0, 0).count == 1
    assert (
        of_both(EntityMap(halves()), line(0.9), overview(np.ones((TALL, WIDE), np.int32), line(0.9)), 0, 0).count == 2
    )


def test_what_both_part_is_never_joined() -> None:
    faint = np.zeros((TALL, WIDE), np.float32)
    assert of_both(EntityMap(halves()), faint, overview(halves(), faint), 0, 0).count == 2


def stones() -> np.ndarray:
    """A region that lies in pieces of 10 px, beside a plain one with a thing of 12 px on it."""
    ids = halves(100)
    ids[:, :100] = np.kron(np.arange(3, 123).reshape(12, 10), np.ones((10, 10), int))
    ids[50:62, 120:132] = 200
    return ids


def test_pieces_that_touch_each_other_inside_a_large_region_are_its_texture() -> None:
    tile = EntityMap.from_ids(stones())
    joint = of_both(tile, np.zeros((TALL, WIDE), np.float32), overview(halves(100), line(at=100)), 0, 0)
    assert joint.count == 3
    assert len(np.unique(joint.ids[:, :100])) == 1
    thing = joint.ids[55, 125]
    np.testing.assert_array_equal(joint.ids == thing, stones() == 200)


def test_pieces_with_a_clear_rim_are_no_texture() -> None:
    tile = EntityMap.from_ids(stones())
    clear = np.ones((TALL, WIDE), np.float32)
    joint = of_both(tile, clear, overview(halves(100), line(at=100)), 0, 0)
    assert joint.count == tile.count


def test_a_window_sees_its_part_of_the_whole() -> None:
    view = overview(halves(), line())
    np.testing.assert_array_equal(view.seen(view.ids, 0, 0, TALL, WIDE), halves())
    np.testing.assert_array_equal(view.seen(view.ids, 7, 70, 20, 30), halves()[7:27, 70:100])
    leaked = EntityMap(np.ones((TALL, 80), np.int32))
    assert of_both(leaked, line(gap=12)[:, 40:120], view, 0, 40).count == 2


def test_scores_of_pixels_stay_and_those_of_entities_are_means() -> None:
    heat = np.full((TALL, WIDE), 0.25, np.float16)
    tile = EntityMap(halves(40), np.array([1.0, 0.2], np.float32), pixel_scores=heat)
    blank = np.zeros((TALL, WIDE), np.float32)
    joint = of_both(tile, blank, overview(np.ones((TALL, WIDE), np.int32), blank), 0, 0)
    assert joint.count == 1 and joint.scores is not None and joint.pixel_scores is heat
    assert joint.scores[0] == pytest.approx(0.4)


def test_what_is_no_entity_stays_none() -> None:
    ids = halves()
    ids[:30] = 0
    blank = np.zeros((TALL, WIDE), np.float32)
    joint = of_both(EntityMap(ids), blank, overview(np.ones((TALL, WIDE), np.int32), blank), 0, 0)
    np.testing.assert_array_equal(joint.ids, ids > 0)
