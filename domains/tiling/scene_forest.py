"""The nested entities of a scene of any size: leaves that are read by windows, and the table of all nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from domains.entities.forest import EntityForest, Nodes
from domains.tiling.grid import Window
from domains.tiling.stitching import Entities


@dataclass(frozen=True)
class SceneForest:
    """shape: (height, width). read: a window to the (h, w) deepest nodes there, 0 for none, -1 unlabelled.

    nodes: their table; entities: areas, centroids, boxes and scores of the nodes, with all that lies in each.
    granularity: at which the flat map is cut; its entities are the nodes 1, 2, ... in its order.
    leaves: (H, W) int32, all of what `read` gives, where that is in memory.
    """

    shape: tuple[int, int]
    read: Callable[[Window], np.ndarray]
    nodes: Nodes
    entities: Entities
    granularity: float
    leaves: np.ndarray | None = None

    @classmethod
    def in_memory(cls, leaves: np.ndarray, nodes: Nodes, entities: Entities, granularity: float) -> SceneForest:
        """A forest whose leaves (H, W) int32 are in memory."""
        height, width = leaves.shape

        def read(window: Window) -> np.ndarray:
            return leaves[window.slices]

        return cls((height, width), read, nodes, entities, granularity, leaves)

    @classmethod
    def of_forest(cls, forest: EntityForest, granularity: float) -> SceneForest:
        """A forest in memory, whose flat map is its cut at a granularity, with the table of its nodes."""
        flat, nodes = np.maximum(forest.leaves, 0).ravel(), forest.nodes
        y, x = np.divmod(np.arange(flat.size), forest.shape[1])
        centroid_y, centroid_x = (
            nodes.summed(np.bincount(flat, at, nodes.count + 1)[1:]) / np.maximum(forest.areas, 1) for at in (y, x)
        )
        centroid = centroid_y, centroid_x
        entities = Entities(forest.areas, *centroid, *forest.boxes.T, scores=nodes.scores, labels=None)
        return cls.in_memory(forest.leaves, nodes, entities, granularity)

    @property
    def entity_forest(self) -> EntityForest:
        """The forest of all of the scene; where its leaves are in memory alone."""
        assert self.leaves is not None
        return EntityForest(self.leaves, self.nodes)
