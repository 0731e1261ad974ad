"""Drawn maps that every metric is tried on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.entities.forest import EntityForest, Nodes

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


@pytest.fixture
def draw_forest() -> Callable[..., EntityForest]:
    """draw_forest(seed, nodes=25, side=48) -> rectangles in rectangles; some are no entity at all, or not below a g."""

    def drawn(seed: int, nodes: int = 25, side: int = 48) -> EntityForest:
        rng = np.random.default_rng(seed)
        leaves, parents, g, gone = np.zeros((side, side), np.int32), [], [], []
        for number in range(1, nodes + 1):
            parent = int(rng.choice(np.unique(leaves))) if rng.random() < 0.7 and 0 in leaves else int(leaves.min())
            rows, columns = np.nonzero(leaves == parent)
            at = int(rng.integers(len(rows)))
            height, width = rng.integers(4, 20 if parent == 0 else 8, 2)
            box = slice(rows[at], rows[at] + height), slice(columns[at], columns[at] + width)
            leaves[box][leaves[box] == parent] = number
            parents.append(parent)
            g.append(rng.uniform(g[parent - 1] if parent else 0, 1))
            gone.append(rng.choice([-1, -1, -1, g[-1], g[-1] / 2]))
        scores = rng.permutation(nodes).astype(np.float32) / nodes
        columns = np.array(g, np.float32), np.array(gone, np.float32), scores
        return EntityForest(leaves, Nodes(np.array(parents, np.int32), *columns))

    return drawn


@pytest.fixture
def masks_of() -> Callable[[EntityForest], np.ndarray]:
    """masks_of(forest) -> (N, H, W) bool: pixels of each node with those of all that lie in it, node by node."""

    def masks(forest: EntityForest) -> np.ndarray:
        def holds(node: int) -> list[int]:
            return [node, *(below for child in forest.children(node) for below in holds(child))]

        return np.stack([np.isin(forest.leaves, holds(node)) for node in range(1, forest.count + 1)])

    return masks
