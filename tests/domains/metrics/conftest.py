"""Drawn maps that every metric is tried on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from domains.entities import EntityMap

Draw = Callable[..., tuple[EntityMap, EntityMap]]


@pytest.fixture
def draw() -> Draw:
    """draw(seed, entities=12, side=48, unlabelled=False) -> (scored prediction, truth): shifted, split, missed."""

    def drawn(seed: int, entities: int = 12, side: int = 48, unlabelled: bool = False) -> tuple[EntityMap, EntityMap]:
        rng = np.random.default_rng(seed)
        truth, prediction = np.zeros((side, side), np.int32), np.zeros((side, side), np.int32)
        for i in range(1, entities + 1):
            y, x = rng.integers(0, side - 6, 2)
            height, width = rng.integers(3, 11, 2)
            truth[y : y + height, x : x + width] = i
            y, x = np.maximum((y, x) + rng.integers(-1, 2, 2), 0)
            if rng.random() < 0.8:
                prediction[y : y + height, x : x + width] = i
            if rng.random() < 0.2:
                prediction[y : y + height // 2, x : x + width] = entities + i
        if unlabelled:
            truth[side // 3 : side // 2, : side // 2] = -1
        scored = EntityMap.from_ids(prediction)
        scores = rng.permutation(scored.count).astype(np.float32) / max(scored.count, 1)
        return EntityMap(scored.ids, scores), EntityMap.from_ids(truth)

    return drawn
