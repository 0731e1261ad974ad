"""What is held of a scene in memory, in bytes per pixel: with the 32 megapixels that `predict` holds, below 2 GiB."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from domains.scenes import Photograph
from domains.scenes.decode import decode
from domains.scenes.scene import read_whole
from domains.scenes.view import SAMPLE_BYTES, plain_view, sample_values
from tests.domains.memory import peak


class Flat:
    """A scene of any size and of any number of float bands that stores nothing."""

    nodata, pixel_size_m, georeference, dtype = None, None, None, np.dtype(np.float32)

    def __init__(self, side: int, bands: int):
        self.shape, self.channels = (side, side), ("",) * bands
        self.levels = (self.shape,)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        return np.arange(height * width * len(self.channels), dtype=np.float32).reshape(height, width, -1)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("scene", [Flat(4000, 16), Flat(100_000, 16)], ids=["whole", "by windows"])
def test_the_sample_of_sixteen_float_bands_is_small(scene):
    found = []
    assert peak(lambda: found.append(sample_values(scene)), per=1) < 1.5 * SAMPLE_BYTES
    values = found[0].reshape(-1, 16)
    assert SAMPLE_BYTES / 2 < values.nbytes <= SAMPLE_BYTES and np.array_equal(values[0], np.arange(16))


def test_a_view_of_three_bands_of_sixteen_samples_no_other():
    assert peak(lambda: plain_view(Flat(4000, 16), (0, 5, 9)), per=1) < 5 * SAMPLE_BYTES


def test_a_scene_is_read_whole_by_strips():
    image = np.random.default_rng(0).integers(0, 9, (5000, 700, 5), np.uint8)
    assert np.array_equal(read_whole(Photograph(image)), image)
    assert np.array_equal(read_whole(Photograph(image), bands=(4, 1)), image[..., [4, 1]])


def test_a_picture_is_decoded_by_strips(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1300, 2000, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png", compress_level=0)
    assert peak(lambda: decode(tmp_path / "a.png"), per=image.size) < 1.9  # Pillow's own copy is not counted
    assert np.array_equal(decode(tmp_path / "a.png").values, image)
