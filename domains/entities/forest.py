"""Nested entities of one image, from parts to wholes, of which every level is a flat map.

A leaf map says the deepest node at each pixel, a table of nodes says what each lies in, and one lookup cuts the forest
at a granularity. So a forest takes hardly more room than a map, and what works on maps of ids works on its leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from domains.entities.map import BACKGROUND, UNLABELLED, EntityMap


@dataclass(frozen=True)
class EntityForest:
    """Trees of nodes: N nodes, numbered from 1.

    leaves: (H, W) int32; at each pixel the deepest node that holds it, 0 none, -1 unlabelled.
    parents: (N,) int32; the node that holds node i at index i - 1, 0 for none.
    born, gone: (N,) float32; a node is an entity of the cuts at granularity g with born <= g < gone, unless a node that
        holds it has been born too. A parent is born after its children.
    scores: (N,) float32 in [0, 1].
    pixel_scores: (H, W) float16 in [0, 1] as in `EntityMap`, None where nobody said.

    Granularity runs from 0, the finest parts, to 1, the coarsest wholes; what lies between is the proposal's to say.
    Raises ValueError for tables of other lengths, parents out of range or born no later than their children.
    """

    leaves: np.ndarray
    parents: np.ndarray
    born: np.ndarray
    gone: np.ndarray
    scores: np.ndarray
    pixel_scores: np.ndarray | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("parents", "born", "gone", "scores")}
        if len(set(lengths.values())) > 1 or int(self.leaves.max(initial=0)) > len(self.parents):
            raise ValueError(f"a forest wants tables of one length, of all nodes; got {lengths}")
        children = np.flatnonzero(self.parents)
        parents = self.parents[children]
        if (parents < 0).any() or (parents > self.count).any():
            raise ValueError(f"a forest of {self.count} nodes has parents {parents.min()} to {parents.max()}")
        if (self.born[parents - 1] <= self.born[children]).any():
            raise ValueError("a node of a forest is born after its children")

    @classmethod
    def flat(cls, entities: EntityMap, born: float = 0.0) -> EntityForest:
        """A forest of trees of one node: the map's entities, at every granularity from `born` on."""
        count = entities.count
        scores = np.ones(count, np.float32) if entities.scores is None else entities.scores
        return cls(
            entities.ids,
            np.zeros(count, np.int32),
            np.full(count, born, np.float32),
            np.full(count, np.inf, np.float32),
            scores,
            entities.pixel_scores,
        )

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self.parents)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image."""
        height, width = self.leaves.shape
        return height, width

    def shown(self, granularity: float) -> np.ndarray:
        """(N + 2,) int32: the node that a leaf's pixels belong to in the cut; 0 at 0, and -1 at -1."""
        at = np.float32(granularity)  # as the table has it: 0.2 is less than its float32
        table = np.zeros(self.count + 2, np.int32)
        table[-1] = UNLABELLED
        number = np.arange(1, self.count + 1, dtype=np.int32)
        above = np.concatenate([[np.inf], self.born])[self.parents]  # (N,) when the parent is born, inf for none
        itself = np.where((self.born <= at) & (at < self.gone), number, BACKGROUND)
        for level in np.unique(self.born)[::-1]:  # parents before their children
            nodes = np.flatnonzero(self.born == level)
            inherited = table[self.parents[nodes]]
            table[nodes + 1] = np.where(above[nodes] <= at, inherited, itself[nodes])
        return table

    def cut(self, granularity: float) -> EntityMap:
        """The entities at a granularity, numbered in the order of their nodes, with scores and pixel scores."""
        entities = EntityMap.from_ids(self.shown(granularity)[self.leaves], self.scores)
        return replace(entities, pixel_scores=self.pixel_scores)
