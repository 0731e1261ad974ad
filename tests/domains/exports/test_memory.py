"""Memory that an export holds of a scene: with the 32 megapixels that `predict` holds, below 2 GiB in all."""

from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap, Place
from domains.exports import Destination, open_exports
from domains.exports.formats import DEFAULT
from domains.tiling.prediction import Prediction
from tests.domains.memory import SIDE, peak


@pytest.mark.parametrize("word", DEFAULT)
def test_a_format_of_every_run_takes_little_beside_the_map(word, tmp_path):
    ids = np.zeros((SIDE, SIDE), np.int32)
    ids.reshape(64, 64, 64, 64).swapaxes(1, 2)[:, :, :60, :60] = np.arange(1, 4097).reshape(64, 64, 1, 1)
    found = EntityMap(ids, np.full(4096, 0.5, np.float32), pixel_scores=np.zeros(ids.shape, np.float16))
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    with open_exports([word], Destination(tmp_path, False), ["a"]) as exports:
        assert peak(lambda: exports.stream(Prediction.of_map(found, "a", Place("a"), image))) < 22
