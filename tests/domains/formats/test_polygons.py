from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from domains.errors import InputError
from domains.formats.coco_regions import FlawedRegion, region
from domains.formats.polygons import Outline, Part, draw, outline_of, pixels, refuse_boxes, ring
from domains.tiling.grid import Window

WHOLE = Window(0, 0, 60, 80)


def blob(seed: int, centre: tuple[float, float] = (40.0, 30.0), radius: float = 18.0) -> np.ndarray:
    """(24, 2): a star-shaped ring around x, y."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    reach = radius * rng.uniform(0.6, 1.0, 24)
    return np.column_stack([centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)])


def mask(outline: Outline, window: Window = WHOLE) -> np.ndarray:
    found = np.zeros((window.height, window.width), bool)
    found.flat[pixels(outline, window)] = True
    return found


def test_a_rectangle_covers_its_pixels_and_a_hole_uncovers_some() -> None:
    outer, inner = ring([(2, 1), (8, 1), (8, 6), (2, 6), (2, 1)]), ring([(4, 2), (6, 2), (6, 4), (4, 4)])
    expected = np.zeros((60, 80), bool)
    expected[1:6, 2:8] = True
    assert (mask(Outline((outer,))) == expected).all()
    expected[2:4, 4:6] = False
    assert (mask(Outline((Part(outer, (inner,)),))) == expected).all()


@pytest.mark.parametrize("seed", range(5))
def test_any_window_equals_that_part_of_the_whole(seed: int) -> None:
    outline = Outline((Part(blob(seed), (blob(seed, radius=7.0),)), Part(blob(seed + 9, (55.0, 40.0), 9.0))))
    whole = mask(outline)
    for y, x, height, width in [(0, 0, 20, 80), (25, 33, 11, 9), (-10, -10, 50, 60), (29, 39, 1, 1), (0, 0, 5, 5)]:
        part = np.zeros((height, width), bool)
        inside = np.pad(whole, 20)[y + 20 : y + 20 + height, x + 20 : x + 20 + width]
        part[: inside.shape[0], : inside.shape[1]] = inside
        assert (mask(outline, Window(y, x, height, width)) == part).all()


@pytest.mark.parametrize("seed", range(5))
def test_what_is_covered_differs_from_scikit_image_at_the_border_only(seed: int) -> None:
    points = blob(seed)
    second = polygon2mask((60, 80), points[:, ::-1] - 0.5)  # its pixels are centred on whole numbers
    ours = mask(Outline((points,)))
    assert np.count_nonzero(ours ^ second) <= 0.08 * second.sum()
    assert abs(int(ours.sum()) - int(second.sum())) <= 0.02 * second.sum()


def test_the_smaller_of_two_lies_on_top_and_keeps_its_label() -> None:
    large = Outline((ring([(0, 0), (10, 0), (10, 10), (0, 10)]),), label="tumour")
    small = Outline((ring([(4, 4), (6, 4), (6, 6), (4, 6)]),), label="immune")
    far = Outline((ring([(50, 50), (60, 50), (60, 55)]),), label="tumour")
    found = draw([small, far, large], Window(0, 0, 20, 20), ("immune", "tumour"))
    assert found.areas.tolist() == [4, 96] and found.labels is not None
    assert [found.vocabulary[i] for i in found.labels] == ["immune", "tumour"]
    assert draw([small, large], Window(0, 0, 20, 20)).labels is None


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([(1, 1), (2, 2)], "2 different points"),
        ([(1, 1)] * 5, "1 different"),
        ([(0, 0), (1, 0), (np.nan, 1)], "finite"),
        ([(0, 0), (1, 0), (1e12, 1)], "beyond any slide"),
    ],
)
def test_a_ring_that_cannot_be_drawn_says_why(points: list, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ring(points)


RING = [(10, 10), (50, 10), (50, 50), (10, 50)]
HOLE = [(15, 15), (45, 15), (45, 45), (15, 45)]
ISLAND = [(25, 25), (35, 25), (35, 35), (25, 35)]


@pytest.mark.parametrize(
    ("polygons", "area"),
    [
        ([[RING, HOLE], [ISLAND]], 40 * 40 - 30 * 30 + 10 * 10),  # an island in a hole
        ([[RING, HOLE], [HOLE]], 40 * 40),  # another part fills the hole
        ([[RING], [ISLAND, [(26, 26), (30, 26), (30, 30)]]], 40 * 40),  # a hole of a part that another covers
        ([[RING], [[(30, 30), (60, 30), (60, 60), (30, 60)]]], 40 * 40 + 30 * 30 - 20 * 20),  # parts that overlap
        ([[RING, HOLE, ISLAND]], 40 * 40 - 30 * 30),  # holes that overlap
        ([[RING], [[(1, 1), (1, 1), (2, 2)]]], 40 * 40),  # a part that covers nothing
        ([[RING, [(20, 20), (30, 30)]]], 40 * 40),  # a hole that covers nothing
        ([[]] + [[RING]], 40 * 40),
    ],
)
def test_a_thing_is_the_union_of_its_parts_each_with_holes_of_its_own(polygons, area) -> None:
    assert mask(outline_of(polygons)).sum() == area


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-40, 70), st.integers(-40, 70))
def test_a_window_gives_the_same_pixels_wherever_it_begins(seed: int, y: int, x: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform(-30, 90, (rng.integers(3, 12), 2)), int(rng.integers(0, 4)))
    outline = Outline((Part(points, (points[:3] / 2,)),))
    whole, window = mask(outline, Window(-40, -40, 150, 150)), Window(y, x, 40, 40)
    assert (mask(outline, window) == whole[y + 40 : y + 80, x + 40 : x + 80]).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_pixels_of_a_picture_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform(0, 90, (rng.integers(3, 20), 2)), int(rng.integers(0, 4)))
    theirs = np.zeros((60, 80), bool)
    with suppress(FlawedRegion):  # covers no pixel
        theirs.flat[region([points.ravel().tolist()], (60, 80))] = True
    assert (mask(Outline((points,))) == theirs).all()


def test_which_of_two_lies_on_top_does_not_depend_on_the_window() -> None:
    large, small = Outline((blob(0, (40, 30), 25),)), Outline((blob(1, (60, 30), 12),))
    whole = draw([large, small], WHOLE)
    corner = draw([large, small], Window(20, 55, 20, 20))
    assert ((corner.ids == corner.ids.max()) == (whole.ids[20:40, 55:75] == 2)).all() and whole.count == 2


def test_only_boxes_are_refused_and_one_outline_among_them_is_not(tmp_path) -> None:
    box = Outline((ring([(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)]),))
    with pytest.raises(InputError, match="got 2 bounding boxes; draw polygons"):
        refuse_boxes(tmp_path, [box, box])
    refuse_boxes(tmp_path, [box, Outline((blob(0),))])
    assert not Outline((ring([(0, 0), (4, 0), (4, 2), (2, 2), (2, 4), (0, 4)]),)).is_box
