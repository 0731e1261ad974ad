from __future__ import annotations

import numpy as np
import pytest

from domains.entities.resize import resize_image
from domains.scenes import Photograph
from domains.scenes.georeference import Georeference
from domains.scenes.resampled import Resampled
from domains.tiling.grid import windows


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


def by_blocks(image: np.ndarray, step: int) -> np.ndarray:
    """Means of step x step pixels; what is left over is dropped."""
    height, width = image.shape[0] // step, image.shape[1] // step
    blocks = image[: height * step, : width * step].reshape(height, step, width, step, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


class Levels(Photograph):
    def __init__(self, *images: np.ndarray) -> None:
        super().__init__(images[0])
        self.images = images

    @property
    def levels(self):
        return tuple(image.shape[:2] for image in self.images)

    def read(self, y, x, height, width, level=0):
        return Photograph(self.images[level]).read(y, x, height, width)


@pytest.mark.parametrize("shape", [(301, 451), (305, 450), (300, 449)])
@pytest.mark.parametrize("step", [2, 4])
def test_a_level_made_of_blocks_and_one_that_was_resized_lie_where_they_do(textured, shape, step):
    image = textured(*shape)
    for level in (by_blocks(image, step), resize_image(image, (shape[0] // step, shape[1] // step))):
        scene = Resampled(Levels(image, level), 1 / step)
        seen = scene.read(0, 0, *scene.shape).astype(int)
        assert scene.source == level.shape[:2]
        assert np.abs(seen - resize_image(image, scene.shape))[1:-1, 1:-1].mean() < 1.5
        assert np.array_equal(scene.read(7, 9, 20, 30), seen[7:27, 9:39])


def test_discs_lie_in_their_place_at_the_end_of_an_odd_pyramid():
    rng, shifts = np.random.default_rng(0), []
    for _ in range(20):
        y, x = np.ogrid[:801, :803]
        cy, cx = rng.uniform(740, 770, 2)
        image = np.repeat((((y - cy) ** 2 + (x - cx) ** 2 < 400) * 255)[..., None], 3, 2).astype(np.uint8)
        scene = Resampled(Levels(image, by_blocks(image, 8)), 1 / 8)
        seen = scene.read(0, 0, *scene.shape)[..., 0].astype(float)
        ratios = [whole / new for whole, new in zip(image.shape, seen.shape, strict=False)]
        rows, columns = (np.indices(seen.shape) * seen).sum((1, 2)) / seen.sum()
        shifts.append([(rows + 0.5) * ratios[0] - 0.5 - cy, (columns + 0.5) * ratios[1] - 0.5 - cx])
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.05 * 8


def test_windows_may_leave_a_resampled_scene(textured):
    scene = Resampled(Photograph(textured(), nodata=9), 0.5)
    window = scene.read(-4, -4, 10, 60)
    assert (window[:4] == 9).all() and (window[:, 49:] == 9).all()
    assert np.array_equal(window[4:, 4:49], scene.read(0, 0, 6, 45))


def test_a_scene_keeps_its_place_on_the_ground_and_its_names(textured):
    below = Photograph(textured(40, 60), 0.5e-6)
    below.descriptions, below.remarks = ("a", "b", "c"), ("of several planes the first is read",)
    scene = Resampled(below, 0.5)
    assert scene.georeference is None
    assert (scene.descriptions, scene.remarks, scene.format) == (below.descriptions, below.remarks, below.format)
    below.georeference = Georeference("EPSG:32633", (10.0, 1.0, 500_000.0, 2.0, -10.0, 5e6))
    place = scene.georeference
    assert np.allclose(place.to_map(np.array([[20, 30]])), below.georeference.to_map(np.array([[40, 60]])))
    assert place.transform == (20.0, 2.0, 500_000.0, 4.0, -20.0, 5e6)
