import numpy as np
import pytest

from domains.procedural.recolour import Recolour, hue_turn


def test_a_turn_of_the_hue_leaves_grey_as_it_is_and_keeps_the_mean() -> None:
    turn = hue_turn(1.2, 1.7)
    np.testing.assert_allclose(turn @ np.full(3, 90.0), np.full(3, 90.0))
    assert (turn @ np.array([200.0, 40.0, 90.0])).mean() == pytest.approx(110)


def test_a_full_turn_changes_nothing_and_a_third_permutes_the_channels() -> None:
    np.testing.assert_allclose(hue_turn(2 * np.pi, 1), np.eye(3), atol=1e-12)
    third = hue_turn(2 * np.pi / 3, 1)
    assert sorted(np.round(third @ np.array([1.0, 2.0, 3.0]), 9)) == [1, 2, 3]
    assert not np.allclose(third, np.eye(3))


def test_a_negative_turns_dark_to_bright() -> None:
    image = np.full((4, 4, 3), 10, np.uint8)
    recoloured = Recolour(saturation=0, cast=0, negative=1)(image, np.random.default_rng(0))
    assert recoloured.shape == image.shape and recoloured.dtype == np.uint8
    assert (recoloured == 245).all()


def test_the_same_draw_gives_the_same_picture() -> None:
    image = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    first, second = (Recolour()(image, np.random.default_rng(3)) for _ in range(2))
    assert (first == second).all() and (first != image).any()
