"""The flat map of a scene's forest at a granularity, without any network: one lookup, as anything can be written of."""

from __future__ import annotations

import numpy as np

from domains.entities import UNLABELLED, EntityMap
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction
from domains.tiling.scene_forest import SceneForest

STRIP_PX = 2**20


def prediction_of(forest: SceneForest, shown: np.ndarray) -> Prediction:
    """The entities that nodes are in a cut, numbered in the order of their nodes, with their rows of the table.

    shown: (N + 2,), as `Nodes.shown` or `Nodes.best` gives it.
    """
    chosen = np.zeros(forest.nodes.count + 1, bool)
    chosen[shown[1:-1]] = True
    chosen[0] = False
    number = np.where(chosen, np.cumsum(chosen), 0)
    lookup = np.append(number[shown[:-1]], UNLABELLED).astype(np.int32)
    table = forest.entities.only(chosen[1:])
    if forest.leaves is None:

        def read(window: Window) -> np.ndarray:
            return lookup[forest.read(window)].astype(np.int64)

        return Prediction(forest.shape, read, table, forest=forest)
    entities = EntityMap(looked_up(lookup, forest.leaves), table.scores, table.labels)
    return Prediction.in_memory(entities, table, forest)


def looked_up(lookup: np.ndarray, leaves: np.ndarray) -> np.ndarray:
    """(H, W) int32: `lookup[leaves]`, by strips, since an index of 64 bits for all pixels were large."""
    ids = np.empty(leaves.shape, np.int32)
    rows = max(1, STRIP_PX // max(1, leaves.shape[1]))
    for top in range(0, len(leaves), rows):
        np.take(lookup, leaves[top : top + rows], out=ids[top : top + rows], mode="wrap")
    return ids
