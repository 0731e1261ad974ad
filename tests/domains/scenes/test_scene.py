from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from domains.errors import InputError
from domains.scenes import Photograph, Scene, open_scene
from domains.tiling.grid import windows


def test_a_photograph_is_a_scene_of_one_level(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    scene: Scene = open_scene(tmp_path / "a.png")
    assert scene.shape == (13, 17) and scene.levels == ((13, 17),) and scene.dtype == np.uint8
    assert scene.pixel_size_m is None and scene.georeference is None
    assert np.array_equal(scene.read(0, 0, 13, 17), image)


def test_windows_of_a_photograph_are_its_pixels():
    image = np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)
    scene = Photograph(image, pixel_size_m=2.5e-7)
    for window in windows(*scene.shape, 8, 3):
        assert np.array_equal(scene.read(*window), image[window.slices])
    assert scene.pixel_size_m == 2.5e-7


@pytest.mark.parametrize("window", [(-1, 0, 4, 4), (0, 14, 4, 4), (10, 0, 4, 4), (-3, -2, 30, 40), (20, 3, 2, 2)])
def test_what_lies_outside_of_a_scene_is_nodata(window):
    image = np.random.default_rng(0).integers(1, 256, (13, 17, 3), np.uint8)
    y, x, height, width = window
    around = np.full((13 + 80, 17 + 80, 3), 7, np.uint8)
    around[40:53, 40:57] = image
    expected = around[y + 40 : y + 40 + height, x + 40 : x + 40 + width]
    assert np.array_equal(Photograph(image, nodata=7).read(*window), expected)


def test_a_photograph_knows_no_second_level_and_no_other_shape():
    with pytest.raises(ValueError, match="levels 0 to 0"):
        Photograph(np.zeros((4, 4, 3), np.uint8)).read(0, 0, 2, 2, level=1)
    with pytest.raises(ValueError, match="H, W, C"):
        Photograph(np.zeros((4, 4), np.uint8))


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="a.png"):
        open_scene(tmp_path / "a.png")
