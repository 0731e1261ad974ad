"""The flat map of a scene's forest at a granularity, without any network: one lookup, as anything can be written of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from domains.entities import EntityMap
from domains.entities.forest import looked_up, numbered
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction
from domains.tiling.scene_forest import SceneForest


def prediction_of(forest: SceneForest, entity_of: np.ndarray) -> Prediction:
    """The entities that nodes are in a cut, numbered in the order of their nodes, with their rows of the table.

    entity_of: (N + 2,), as `Nodes.lookup` or `Nodes.best` gives it.
    """
    lookup, chosen = numbered(entity_of, forest.entities.area_px > 0)
    table = forest.entities.only(np.isin(np.arange(1, forest.nodes.count + 1), chosen))
    if forest.leaves is None:

        def read(window: Window) -> np.ndarray:
            return lookup[forest.read(window)].astype(np.int64)

        return Prediction(forest.shape, read, table, forest=forest)
    entities = EntityMap(looked_up(lookup, forest.leaves), table.scores, table.labels)
    return Prediction.in_memory(entities, table, forest)


def layers(forest: SceneForest) -> Iterator[tuple[np.ndarray, Prediction]]:
    """(nodes, their prediction) of every depth of the forest, the wholes first; entity i is the node at index i - 1 of
    `nodes` (M,), with all that lies in it.
    """
    depths, has_pixels = forest.nodes.depths, forest.entities.area_px > 0
    for depth in range(int(depths.max(initial=-1)) + 1):
        nodes = np.flatnonzero((depths == depth) & has_pixels) + 1
        yield nodes, prediction_of(forest, forest.nodes.at_depth(depth))
