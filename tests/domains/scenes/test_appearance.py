"""How an image looks in numbers: finite for all images, of scenes as of pictures, edges and hues by hand."""

from __future__ import annotations

import numpy as np
import pytest

from domains.procedural.scene import draw_scene
from domains.scenes import Photograph
from domains.scenes.appearance import (
    MOST_PX,
    PIECE_PX,
    SIZE,
    appearance,
    appearance_of_image,
    appearance_of_scene,
    busiest,
    hues,
    of_window,
    windows,
)
from tests.domains.scenes.test_resampled import Pyramid


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 700, 3), (192, 192, 3), (300, 260, 1), (64, 64, 5)])
@pytest.mark.parametrize("fill", ["black", "white", "noise"])
def test_every_image_has_finite_numbers(shape, fill):
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    image = {"black": np.zeros(shape, np.uint8), "white": np.full(shape, 255, np.uint8), "noise": noise}[fill]
    look = appearance(image)
    assert look.shape == (SIZE,) and look.dtype == np.float32 and np.isfinite(look).all()


def test_the_first_numbers_are_colours_and_a_hue_is_where_it_is():
    image = np.zeros((200, 200, 3), np.uint8)
    image[..., 0] = 255  # red
    look = appearance(image)
    np.testing.assert_allclose(look[:8], [1, 0, 0, 0, 0, 0, 1, 0], atol=1e-6)
    red = hues(np.array([[[1.0, 0, 0]]], np.float32))
    blue = hues(np.array([[[0, 0, 1.0]]], np.float32))
    assert np.count_nonzero(red) == 1 and red.argmax() != blue.argmax()
    np.testing.assert_allclose(red.max() ** 2, np.hypot(1, 0.5), rtol=1e-6)


def test_edges_of_a_step_are_by_hand():
    window = np.zeros((64, 64, 3), np.uint8)
    window[:, 32:] = 255
    look = of_window(window)
    np.testing.assert_allclose(np.exp(look[16]), 1 / 63, rtol=1e-5)  # of 63 differences across each row one is 1
    np.testing.assert_allclose(np.exp(look[18]), 1e-4, rtol=1e-5)  # none down


def test_kinds_of_generated_images_lie_apart():
    def looks(family: str) -> np.ndarray:
        return np.stack([appearance(draw_scene(family, (0, i), 224, 224).image) for i in range(6)])

    stained, fluorescent = looks("nuclei_he"), looks("nuclei_fluo")
    spread = np.concatenate([stained - stained.mean(0), fluorescent - fluorescent.mean(0)]).std(0) + 1e-6
    assert (np.abs(stained.mean(0) - fluorescent.mean(0)) / spread).max() > 3


def test_a_scene_looks_as_its_picture_and_a_large_one_as_its_busiest_part():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (300, 400, 3), np.uint8)
    np.testing.assert_array_equal(appearance_of_scene(Photograph(small)), appearance(small))
    large = np.full((2 * PIECE_PX, MOST_PX + PIECE_PX, 3), 240, np.uint8)
    large[PIECE_PX:, :PIECE_PX] = 255 * rng.integers(0, 2, (PIECE_PX, PIECE_PX, 1), np.uint8)
    assert busiest(Photograph(large)) == (PIECE_PX, 0)
    part = large[PIECE_PX:, :PIECE_PX]
    np.testing.assert_array_equal(appearance_of_scene(Photograph(large)), appearance(part))
    np.testing.assert_array_equal(appearance_of_image(large), appearance(part))


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_an_image_looks_to_a_router_as_to_the_fit(channels):
    image = np.random.default_rng(1).integers(0, 200, (210, 260, channels), np.uint8)
    np.testing.assert_array_equal(appearance_of_image(image), appearance(image))


@pytest.mark.parametrize(
    ("shape", "distinct"), [((64, 64, 3), 1), ((64, 90, 3), 3), ((192, 300, 3), 3), ((300, 300, 3), 6)]
)
def test_windows_that_coincide_are_measured_once_and_count_as_often(shape, distinct, monkeypatch):
    image, places = np.random.default_rng(0).integers(0, 256, shape, np.uint8), []
    expected = np.mean([of_window(window) for _, window in windows(image)], axis=0)
    monkeypatch.setattr("domains.scenes.appearance.of_window", lambda window: places.append(1) or of_window(window))
    np.testing.assert_array_equal(appearance(image), expected.astype(np.float32))
    assert len(places) == distinct


def test_the_busiest_square_of_a_pyramid_is_found_on_a_coarser_level():
    image = np.full((4096, 4096, 3), 200, np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (PIECE_PX, PIECE_PX, 3), np.uint8)
    image[2048 : 2048 + PIECE_PX, 1024 : 1024 + PIECE_PX] = noise
    scene = Pyramid(image, 3)
    y, x = busiest(scene)
    assert scene.used == {2}
    assert abs(y - 2048) <= PIECE_PX // 2 and abs(x - 1024) <= PIECE_PX // 2
