from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (24, 30, 3), np.uint8)


@pytest.fixture
def prediction() -> EntityMap:
    """A ring with a hole, one in two parts, a single pixel, two that touch by a corner; an unlabelled patch."""
    ids = np.zeros((24, 30), np.int32)
    ids[2:9, 3:11] = 1
    ids[4:7, 5:9] = 0
    ids[5, 6] = 3
    ids[12:16, 1:5] = ids[18:22, 8:12] = 2
    ids[10:14, 20:24], ids[14:18, 24:28] = 4, 5
    ids[22:, 20:] = -1
    scores = np.array([0.9, 0.5, 0.25, 1.0, 0.75], np.float32)
    return EntityMap(ids, scores, np.array([0, 1, 0, 0, 1], np.int32), ("tumour", "stroma"))
