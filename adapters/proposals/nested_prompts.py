"""The masks of prompts as a forest: SAM gives three of a point, finer and coarser, of which the flat map has one.

The entities of the flat map come first and stay as they are. Of the other masks those that lie in an entity are its
parts, and parts of one another; those that hold entities whole are groups, and groups of one another. A mask that does
neither, such as one that cuts an entity in two, is in no forest.
"""

from __future__ import annotations

import numpy as np

from adapters.proposals.mask_set import MaskSet
from domains.entities import EntityMap
from domains.entities.forest import NEVER, EntityForest, Nodes

INSIDE, SMALLER = 0.9, 0.8
"""What lies in another does so by at least the one share of itself, and is smaller than the other share of that."""
ENTITIES = 0.5
"""The granularity of the flat map's entities that have parts."""


def nested_masks(entities: EntityMap, masks: MaskSet) -> EntityForest:
    """The forest of a flat map and of masks of the same image, whose first nodes are the entities by their numbers.

    Its cut at `ENTITIES` is the map. The masks' scores are predicted IoUs, within [0, 1] here.
    """
    growing = _Growing(entities)
    order = np.argsort(masks.areas, kind="stable")
    for number in order[::-1].tolist():
        growing.add_part(masks[number], float(masks.scores[number]))
    for number in order.tolist():
        growing.add_group(masks[number], float(masks.scores[number]))
    return growing.forest()


class _Growing:
    """A forest while masks are added to it: all parts, the large before the small, then groups, the small first."""

    def __init__(self, entities: EntityMap) -> None:
        self.count = entities.count
        self.leaves, self.roots = entities.ids.copy(), entities.ids.copy()
        self.parents = [0] * self.count
        self.sizes = entities.areas.tolist()
        scores = np.ones(self.count) if entities.scores is None else entities.scores
        self.scores = scores.tolist()

    def _node(self, score: float, parent: int) -> int:
        self.parents.append(parent)
        self.scores.append(min(max(score, 0.0), 1.0))
        return len(self.parents)

    def add_part(self, mask: np.ndarray, score: float) -> None:
        """Make a mask (H, W) bool the part of the deepest node that holds it, if that is larger and it is free."""
        area, held = int(mask.sum()), np.bincount(np.maximum(self.leaves[mask], 0), minlength=1)
        held[0] = 0
        home = int(held.argmax())
        if not home or held[home] < INSIDE * area or area >= SMALLER * self.sizes[home - 1]:
            return
        self.leaves[mask & (self.leaves == home)] = self._node(score, home)
        self.sizes.append(int(held[home]))

    def add_group(self, mask: np.ndarray, score: float) -> None:
        """Make a mask (H, W) bool the group of roots that it holds whole, if it cuts none and is larger than each."""
        held = np.bincount(np.maximum(self.roots[mask], 0), minlength=len(self.parents) + 1)
        areas = np.bincount(np.maximum(self.roots, 0).ravel(), minlength=len(held))
        members = np.flatnonzero(held[1:]) + 1
        holds = held[members] >= INSIDE * areas[members]
        grazes = held[members] <= (1 - INSIDE) * areas[members]
        members = members[holds]
        if not len(members) or not (holds | grazes).all() or areas[members].max() >= SMALLER * mask.sum():
            return
        group = self._node(score, 0)
        for member in members.tolist():
            self.parents[member - 1] = group
        self.leaves[mask & (self.leaves == 0)] = group
        self.roots[np.isin(self.roots, members) | (mask & (self.roots == 0))] = group

    def forest(self) -> EntityForest:
        """The forest as it stands: the finest parts, and what has none, are there up to granularity 1."""
        parents = np.array(self.parents, np.int32)
        above, below = np.zeros(len(parents) + 1, int), np.zeros(len(parents) + 1, int)
        for node in range(self.count, 0, -1):  # generations of groups, from the entities up
            line, height = parents[node - 1], 1
            while line:
                above[line] = max(above[line], height)
                line, height = parents[line - 1], height + 1
        for node in range(len(parents), 0, -1):  # generations of parts, from the finest up: they have greater numbers
            if not above[node] and parents[node - 1] and not above[parents[node - 1]]:
                below[parents[node - 1]] = max(below[parents[node - 1]], below[node] + 1)
        is_entity, g = np.arange(1, len(parents) + 1) <= self.count, 0.5 + 0.5 ** (below[1:] + 1.0)
        g = np.where(is_entity & (below[1:] > 0), ENTITIES, g)
        g = np.where(above[1:] > 0, ENTITIES * 0.5 ** above[1:], g).astype(np.float32)
        columns = np.full(len(parents), NEVER, np.float32), np.array(self.scores, np.float32)
        return EntityForest(self.leaves, Nodes(parents, g, *columns))
