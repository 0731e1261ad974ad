from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon2mask

from domains.errors import InputError
from domains.layouts.polygons import Outline, draw, pixels, refuse_boxes, ring
from domains.tiling import Window

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
    assert (mask(Outline((outer,), (inner,))) == expected).all()


@pytest.mark.parametrize("seed", range(5))
def test_any_window_equals_that_part_of_the_whole(seed: int) -> None:
    outline = Outline((blob(seed), blob(seed + 9, (55.0, 40.0), 9.0)), (blob(seed, radius=7.0),))
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


def test_only_boxes_are_refused_and_one_outline_among_them_is_not(tmp_path) -> None:
    box = Outline((ring([(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)]),))
    with pytest.raises(InputError, match="got 2 bounding boxes; draw polygons"):
        refuse_boxes(tmp_path, [box, box])
    refuse_boxes(tmp_path, [box, Outline((blob(0),))])
    assert not Outline((ring([(0, 0), (4, 0), (4, 2), (2, 2), (2, 4), (0, 4)]),)).is_box
