"""All candidate regions of an image as one laminar forest, around the entities that were chosen for its flat map.

The chosen ones are nodes, and nothing crosses them. The others follow by their predicted IoU: each goes to the deepest
node that holds it, takes what it holds of that node's children as its own, and gives up what others have; one that most
of crosses what is there is left out. So of two candidates of different thresholds that cross, the better stays.

What merges is one order over all thresholds of the foreground and saddles of the core: a step down in either makes
regions larger, so by the sum of both steps (`coarseness`) nested candidates never stand the wrong way round. From it
nodes have their granularity, in tenths, the same for every image.
"""

from __future__ import annotations

import numpy as np

from adapters.proposals.regions import FEATURES, THRESHOLDS, Regions
from adapters.proposals.watershed import HEIGHTS
from domains.entities.forest import NEVER, EntityForest, Nodes

MOST_COVERED = 0.3
"""The share of a candidate that better ones may hold already; what is left of it becomes the node."""
INSIDE = 0.95
"""A node lies in another by at least this share."""
SMALLER = 0.8
"""A node is smaller than this share of what holds it: else they are the same."""
ALONE = 0.5
"""So is a node that is the sole one in another, which is else the same with a wider rim."""
TENTHS = 10
ENTITY, FINEST = 5, TENTHS
"""Granularities of the flat map's entities that have parts, and of what has none, in tenths."""
STEPS = 4
"""Granularities between these two, of parts that have parts, and as many below, of what holds entities."""
OF_THRESHOLD = 2
"""Steps of the order from one threshold to the next; from one saddle depth to the next it is one."""
COARSEST = len(HEIGHTS) - 1 + OF_THRESHOLD * (len(THRESHOLDS) - 1)
GROUND = 0


def coarseness(regions: Regions) -> np.ndarray:
    """(N,) int64, 0..`COARSEST`: of each candidate the step of the one order at which it comes to be."""
    thresholds, heights = (regions.features[:, FEATURES.index(name)] for name in ("threshold", "height"))
    lowered = len(THRESHOLDS) - 1 - np.searchsorted(np.asarray(THRESHOLDS, np.float32), thresholds)
    return np.searchsorted(np.asarray(HEIGHTS, np.float32), heights) + OF_THRESHOLD * lowered


class RegionForest:
    """A forest while candidates are added to it; nodes count from 1, and maps are kept flat, (H W,).

    entities, as long as `add_entity` is called, then the deepest node of each pixel: `leaves`.
    """

    def __init__(self, regions: Regions, scores: np.ndarray) -> None:
        self.regions, self.coarseness = regions, coarseness(regions).tolist()
        self.scores = scores
        self.leaves = np.zeros(regions.size[0] * regions.size[1], np.int32)
        self.candidates = [-1]
        self.parents = [GROUND]
        self.sizes = [0]
        self.children: list[list[int]] = [[]]
        self.entities = 0

    def _node(self, candidate: int, parent: int, size: int) -> int:
        node = len(self.parents)
        self.candidates.append(candidate)
        self.parents.append(parent)
        self.children.append([])
        self.children[parent].append(node)
        self.sizes.append(size)
        return node

    def add_entity(self, candidate: int, least_px: int) -> bool:
        """Give a candidate the pixels that are free yet, if those are most of it."""
        inside = self.regions.pixels[candidate]
        free = inside[self.leaves[inside] == GROUND]
        if len(free) < max(least_px, (1 - MOST_COVERED) * len(inside)):
            return False
        self.entities = self.leaves[free] = self._node(candidate, GROUND, len(free))
        return True

    def add(self, candidate: int, least_px: int) -> bool:
        """Make a candidate a node at its place, if it has one."""
        inside = self.regions.pixels[candidate]
        leaf = self.leaves[inside]
        counts = np.bincount(leaf)
        touched = np.flatnonzero(counts).tolist()
        held = {node: int(counts[node]) for node in touched}
        parent = self._deepest(held, len(inside))
        shares = self._shares(held, parent)
        members = [node for node, share in shares.items() if share >= INSIDE * self.sizes[node]]
        free = inside[leaf == parent]
        kept = len(free) + sum(shares[node] for node in members)
        size = len(free) + sum(self.sizes[node] for node in members)
        if kept < (1 - MOST_COVERED) * len(inside) or not self._is_new(size, members, parent, least_px):
            return False
        node = self._node(candidate, parent, size)
        for member in members:
            self.parents[member] = node
        self.children[node] = members
        self.children[parent] = [child for child in self.children[parent] if self.parents[child] == parent]
        self.leaves[free] = node
        return True

    def _deepest(self, held: dict[int, int], area: int) -> int:
        """The deepest node that a candidate lies in, which has so many pixels in each leaf."""
        node = GROUND
        while True:
            inner = [child for child, share in self._shares(held, node).items() if share >= INSIDE * area]
            if not inner:
                return node
            node = inner[0]

    def _shares(self, held: dict[int, int], node: int) -> dict[int, int]:
        """Pixels that a candidate has in each child of a node, from those it has in each leaf."""
        shares: dict[int, int] = {}
        for leaf, count in held.items():
            below = GROUND
            while leaf not in (node, GROUND):
                below, leaf = leaf, self.parents[leaf]
            if leaf == node and below != GROUND:
                shares[below] = shares.get(below, 0) + count
        return shares

    def _is_new(self, size: int, members: list[int], parent: int, least_px: int) -> bool:
        """Whether what would have so many pixels differs from what it holds and from what holds it."""
        if size < least_px or (parent != GROUND and size >= SMALLER * self.sizes[parent]):
            return False
        limit = (ALONE if len(members) == 1 else SMALLER) * size
        return all(self.sizes[member] < limit for member in members)

    def grown(self, heat: np.ndarray, least_iou: float) -> EntityForest:
        """The forest as it stands, without nodes that no granularity is left for: their pixels go to what holds them.

        Roots that are no entities of the flat map and hold none are there in finer cuts alone: the finer, the less of
        `least_iou` they have. heat: (H, W) float16 pixel scores.
        """
        is_group = self._groups()
        levels = self._levels(is_group)
        gone = self._gone(is_group, levels, least_iou)
        kept = (levels >= 1) & (levels <= FINEST)
        kept[GROUND] = True
        parents, to = np.asarray(self.parents), np.arange(len(kept))
        while not kept[to].all():
            to = np.where(kept[to], to, parents[to])
        number, rows = (np.cumsum(kept) - 1).astype(np.int32), np.flatnonzero(kept)[1:]
        columns = (
            number[to[parents[rows]]],
            (levels[rows] / TENTHS).astype(np.float32),
            np.where(gone[rows] > 0, gone[rows] / TENTHS, NEVER).astype(np.float32),
            self.scores[np.asarray(self.candidates)[rows]],
        )
        return EntityForest(number[to][self.leaves].reshape(self.regions.size), Nodes(*columns), heat)

    def _groups(self) -> np.ndarray:
        """(N + 1,) bool: nodes that hold an entity of the flat map."""
        is_group = np.zeros(len(self.parents), bool)
        for entity in range(1, self.entities + 1):
            node = self.parents[entity]
            while node != GROUND and not is_group[node]:
                is_group[node], node = True, self.parents[node]
        return is_group

    def _levels(self, is_group: np.ndarray) -> np.ndarray:
        """(N + 1,) int64: the finest granularity of each node in tenths, less than its children's; beyond 1 to `FINEST`
        where none is left between those.
        """
        levels = np.full(len(self.parents), ENTITY)
        downwards = self._downwards()
        for node in reversed(downwards):
            if is_group[node]:
                inner = (levels[child] for child in self.children[node] if is_group[child] or child <= self.entities)
                levels[node] = min(ENTITY - 1 - self._step(node), min(inner) - 1)
        for node in downwards:
            if node > self.entities and not is_group[node]:
                finer = ENTITY if is_group[self.parents[node]] else levels[self.parents[node]]
                levels[node] = max(FINEST - 1 - self._step(node), finer + 1)
                if levels[node] >= FINEST:
                    levels[node] = FINEST + 1
                if not self.children[node]:
                    levels[node] = FINEST
        undivided = [node for node in range(1, self.entities + 1) if not self.children[node]]
        levels[undivided] = FINEST
        return levels

    def _gone(self, is_group: np.ndarray, levels: np.ndarray, least_iou: float) -> np.ndarray:
        """(N + 1,) int64: in tenths, from where on down a node is none any more; 0 for never."""
        gone = np.zeros(len(self.parents), np.int64)
        for node in range(self.entities + 1, len(self.parents)):
            parent = self.parents[node]
            if not is_group[node] and (parent == GROUND or is_group[parent]):
                doubt = 1 - min(float(self.scores[self.candidates[node]]) / max(least_iou, 1e-6), 1)
                gone[node] = min(ENTITY + round(STEPS * doubt), levels[node] - 1)
        return gone

    def _step(self, node: int) -> int:
        """0..`STEPS` - 1, by the coarseness of its candidate."""
        return self.coarseness[self.candidates[node]] * STEPS // (COARSEST + 1)

    def _downwards(self) -> list[int]:
        """All nodes, each after what holds it."""
        order = list(self.children[GROUND])
        for node in order:  # grows meanwhile
            order += self.children[node]
        return order
