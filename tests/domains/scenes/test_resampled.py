from __future__ import annotations

import numpy as np
import pytest

from domains.resize import resize_image
from domains.scenes import Photograph
from domains.scenes.resampled import Resampled
from domains.tiling import windows


class Pyramid(Photograph):
    """Levels by plain means of 2 x 2; remembers which one was read."""

    def __init__(self, image: np.ndarray, count: int, **options) -> None:
        super().__init__(image, **options)
        self.images = [image]
        for _ in range(count - 1):
            height, width = self.images[-1].shape[:2]
            self.images.append(resize_image(self.images[-1], (height // 2, width // 2)))
        self.used: set[int] = set()

    @property
    def levels(self):
        return tuple(image.shape[:2] for image in self.images)

    def read(self, y, x, height, width, level=0):
        self.used.add(level)
        return Photograph(self.images[level], nodata=self.nodata).read(y, x, height, width)


@pytest.mark.parametrize("factor", [0.13, 0.5, 0.61, 0.99, 1.0, 1.7, 3.0])
def test_windows_are_those_of_the_whole_image_resized(textured, factor):
    image = textured(131, 97)
    scene = Resampled(Photograph(image, 0.5e-6), factor)
    whole = resize_image(image, scene.shape)
    assert scene.pixel_size_m == pytest.approx(0.5e-6 / factor)
    for window in windows(*scene.shape, 32, 7):
        difference = scene.read(*window).astype(int) - whole[window.slices]
        assert np.abs(difference).max() <= 1  # OpenCV counts in fixed point


def test_what_is_finer_than_the_new_pixels_is_averaged_not_picked():
    image = np.zeros((64, 64, 3), np.uint8)
    image[::2] = 255
    assert set(np.unique(Resampled(Photograph(image), 0.25).read(0, 0, 16, 16))) <= {127, 128}


@pytest.mark.parametrize("factor, level", [(1.0, 0), (0.7, 0), (0.5, 1), (0.4, 1), (0.25, 2), (0.1, 2), (2.0, 0)])
def test_the_coarsest_level_that_is_fine_enough_is_read(textured, factor, level):
    scene = Pyramid(textured(128, 96), 3)
    small = Resampled(scene, factor)
    small.read(0, 0, 8, 8)
    assert scene.used == {level} and small.direct == (factor in (1.0, 0.5, 0.25))


def test_windows_may_leave_a_resampled_scene(textured):
    scene = Resampled(Photograph(textured(), nodata=9), 0.5)
    window = scene.read(-4, -4, 10, 60)
    assert (window[:4] == 9).all() and (window[:, 49:] == 9).all()
    assert np.array_equal(window[4:, 4:49], scene.read(0, 0, 6, 45))
