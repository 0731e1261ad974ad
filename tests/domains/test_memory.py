"""What is held of a scene in memory, in bytes per pixel: with the 32 megapixels that `predict` holds, below 2 GiB."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from domains.entities import EntityMap, Place
from domains.exports import Destination, open_exports
from domains.exports.formats import DEFAULT
from domains.scenes import Photograph
from domains.scenes.decode import decode
from domains.scenes.scene import read_whole
from domains.scenes.view import SAMPLE_BYTES, plain_view, sample_values
from domains.tiling.grid import Grid
from domains.tiling.prediction import Prediction
from domains.tiling.running import stitch

SIDE = 4096


def peak(work: Callable[[], object], per: int = SIDE**2) -> float:
    """Bytes that were held at once, per pixel."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / per
    finally:
        tracemalloc.stop()


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


def test_stitching_holds_one_map_of_32_bits_and_the_scores():
    grid = Grid((SIDE, SIDE), 512, 32)
    blank = EntityMap(np.zeros((512, 512), np.int32), np.zeros(0, np.float32))
    assert peak(lambda: stitch(grid, ((i, blank) for i in range(len(grid))))) < 8


@pytest.mark.parametrize("word", DEFAULT)
def test_a_format_of_every_run_takes_little_beside_the_map(word, tmp_path):
    ids = np.zeros((SIDE, SIDE), np.int32)
    ids.reshape(64, 64, 64, 64).swapaxes(1, 2)[:, :, :60, :60] = np.arange(1, 4097).reshape(64, 64, 1, 1)
    found = EntityMap(ids, np.full(4096, 0.5, np.float32), pixel_scores=np.zeros(ids.shape, np.float16))
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    with open_exports([word], Destination(tmp_path, False), ["a"]) as exports:
        assert peak(lambda: exports.stream(Prediction.of_map(found, "a", Place("a"), image))) < 22


def test_a_picture_is_decoded_by_strips(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1300, 2000, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png", compress_level=0)
    assert peak(lambda: decode(tmp_path / "a.png"), per=image.size) < 1.9  # Pillow's own copy is not counted
    assert np.array_equal(decode(tmp_path / "a.png").values, image)
