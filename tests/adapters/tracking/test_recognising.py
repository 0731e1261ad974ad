"""Views of one place are laid over each other; views of another place are not."""

import numpy as np
import pytest

from adapters.tracking.looks import looks_of, with_ground, without_ground
from adapters.tracking.recognising import View, alone, recognised


def discs(shape: tuple[int, ...], centres: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """(H, W) int32: entities 1..N as discs."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    ids = np.zeros(shape[:2], np.int32)
    for number, ((cy, cx), area) in enumerate(zip(centres, areas, strict=True), start=1):
        ids[(y - cy) ** 2 + (x - cx) ** 2 < area / np.pi] = number
    return ids


def seen(picture: np.ndarray, centres: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """The looks of discs in a picture."""
    numbers = np.arange(1, len(areas) + 1)
    return looks_of(picture, discs(picture.shape, centres, areas), numbers, centres, areas)


def scene_of(seed: int, side: int = 400, count: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured picture (side, side, 3) uint8, and centres and areas of what lies in it."""
    generator = np.random.default_rng(seed)
    coarse = generator.random((side // 8, side // 8))
    picture = np.kron(coarse, np.ones((8, 8))) * 0.7 + 0.3 * generator.random((side, side))
    centres = generator.uniform(20, side - 20, (count, 2))
    return (np.repeat(picture[..., None], 3, 2) * 255).astype(np.uint8), centres, generator.uniform(60, 400, count)


def cropped(
    scene: tuple[np.ndarray, np.ndarray, np.ndarray], top: int, left: int, side: int
) -> tuple[View, np.ndarray]:
    """The view of a square of a scene, and the row of the scene that each of its entities is."""
    picture, centres, areas = scene
    inside = np.flatnonzero(((centres >= (top + 5, left + 5)) & (centres < (top + side - 5, left + side - 5))).all(1))
    places = centres[inside] - (top, left)
    return View(
        seen(picture[top : top + side, left : left + side], places, areas[inside]), places, areas[inside]
    ), inside


def test_a_crop_that_is_darker_is_laid_over_the_whole():
    picture, centres, areas = scene_of(0)
    before, rows = cropped((picture, centres, areas), 0, 0, 400)
    darker = (picture * 0.7 + 12).astype(np.uint8)
    now, shown = cropped((darker, centres, areas), 90, 130, 250)
    matched = recognised(now, before)
    assert matched is not None
    right = rows[matched] == shown
    assert (right & (matched >= 0)).mean() > 0.9
    assert not ((matched >= 0) & ~right).any()


def test_a_view_that_is_larger_and_shifted_by_parts_of_a_pixel_is_laid_over():
    scene = scene_of(1)
    before, _ = cropped(scene, 0, 0, 400)
    now = View(before.looks, before.centres * 1.25 + 7.3, before.areas * 1.25**2)
    matched = recognised(now, before)
    assert matched is not None and (matched == np.arange(len(now))).mean() > 0.95


def test_what_moved_by_itself_is_not_named_by_its_place():
    scene = scene_of(2)
    before, _ = cropped(scene, 0, 0, 400)
    centres = before.centres.copy()
    centres[:10] += 60
    matched = recognised(View(before.looks, centres, before.areas), before)
    assert matched is not None
    assert (matched[10:] == np.arange(10, len(centres))).mean() > 0.9
    assert (matched[:10] != np.arange(10)).all()


@pytest.mark.parametrize("seed", range(4))
def test_another_place_is_told_from_this_one(seed: int):
    before, _ = cropped(scene_of(10 + seed), 0, 0, 400)
    now, _ = cropped(scene_of(20 + seed), 0, 0, 400)
    assert recognised(now, before) is None
    looks = (kind(now.looks) @ kind(before.looks).T for kind in (with_ground, without_ground))
    assert (alone(*looks, now.areas, before.areas) == -1).all()


def test_nothing_in_view_is_nothing_recognised():
    view, _ = cropped(scene_of(3), 0, 0, 400)
    empty = View(view.looks[:0], view.centres[:0], view.areas[:0])
    assert recognised(empty, view) is None and recognised(view, empty) is None


def test_one_entity_is_recognised_by_its_looks_alone_and_twins_are_not():
    looks = np.eye(4, 9, dtype=np.float32)
    areas, unlike = np.full(4, 300.0), np.zeros((1, 4))
    assert alone(unlike, looks[:1] @ looks.T, areas[:1], areas).tolist() == [0]
    twins = np.concatenate([looks[:1], looks])
    assert alone(np.zeros((1, 5)), looks[:1] @ twins.T, areas[:1], np.full(5, 300.0)).tolist() == [-1]
    assert alone(unlike, looks[:1] @ looks.T, areas[:1] * 3, areas).tolist() == [-1]  # of another size
    assert alone(unlike, looks[:1] @ looks.T, areas[:1] / 3, areas / 3).tolist() == [
        -1
    ]  # too small to be unlike others
    assert alone(looks[:1] @ looks.T, unlike, areas[:1] / 3, areas / 3).tolist() == [0]  # but for what is beside it


def test_a_look_has_length_one_whatever_the_lamp_and_nothing_to_see_has_none():
    picture, centres, areas = scene_of(4)
    looks = seen(picture, centres, areas)
    assert np.allclose(np.linalg.norm(looks, axis=1), 1, atol=1e-5)
    brighter = seen((picture * 0.5 + 100).astype(np.uint8), centres, areas)
    assert ((looks * brighter).sum(1) > 0.98).all()
    assert not seen(np.full_like(picture, 90), centres, areas).any()
    assert seen(picture, centres[:0], areas[:0]).shape == (0, looks.shape[1])
