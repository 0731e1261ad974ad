"""Proposals that may lie in one another, the nodes of a forest, held against one annotator's truth.

Nodes are unions of leaves, so what they share with the truth is summed from what the leaves share: no pixel is looked
at twice, however deep the forest is. Entities of a flat map are proposals too, none of which lies in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from domains.entities.forest import EntityForest, Nodes
from domains.entities.map import EntityMap

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())  # pycocotools' own, to the last bit
RANKED = 1000
"""Proposals of an image that are matched, best first: as many as any metric asks for."""


@dataclass(frozen=True, eq=False)
class Proposed:
    """N proposals and T true entities; K pairs that share a labelled pixel.

    nodes: their table. all_px: (N,) pixels of each; visible_px: (N,) those that are labelled. pair_node, pair_true:
    (K,) indices from 0, by node; shared_px: (K,). true_px: (T,) labelled pixels of each true entity.
    """

    nodes: Nodes
    all_px: np.ndarray
    visible_px: np.ndarray
    pair_node: np.ndarray
    pair_true: np.ndarray
    shared_px: np.ndarray
    true_px: np.ndarray

    @classmethod
    def of_forest(cls, forest: EntityForest, true: np.ndarray, labelled: np.ndarray) -> Proposed:
        """The nodes of a forest against true (H, W) int32, entities from 1, where it is labelled (H, W) bool."""
        count, leaves = forest.count, np.where(labelled, np.maximum(forest.leaves, 0), 0)
        visible = forest.nodes.summed(np.bincount(leaves.ravel(), minlength=count + 1)[1:])
        overlap = (leaves > 0) & (true > 0)
        width = int(true.max(initial=0)) + 1
        codes, shared = np.unique(leaves[overlap].astype(np.int64) * width + true[overlap], return_counts=True)
        nodes, entities, shared_px = lifted(forest.nodes.parents, codes // width - 1, codes % width - 1, shared)
        true_px = np.bincount(true.ravel(), minlength=1)[1:]
        return cls(forest.nodes, forest.areas, visible, nodes, entities, shared_px, true_px)

    @classmethod
    def of_map(
        cls,
        scores: np.ndarray,
        areas_px: np.ndarray,
        pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
        true_px: np.ndarray,
    ) -> Proposed:
        """Entities that lie beside each other, of scores and areas (N,). pairs: (K,) of each entity and true entity,
        and their shared pixels.
        """
        row = EntityMap(np.arange(1, len(scores) + 1, dtype=np.int32)[None], scores)
        return cls(EntityForest.flat(row).nodes, areas_px, areas_px, *pairs, true_px)

    @cached_property
    def counts(self) -> np.ndarray:
        """(N,) bool: entities of some cut, of which half or more is labelled, as `compare` has it of flat maps."""
        return (self.visible_px > 0) & (2 * self.visible_px >= self.all_px) & (self.nodes.gone < self.nodes.g)

    @cached_property
    def iou(self) -> np.ndarray:
        """(K,) intersection over union of each pair where it is labelled, 0 for a node that does not count."""
        union = self.visible_px[self.pair_node] + self.true_px[self.pair_true] - self.shared_px
        return np.where(self.counts[self.pair_node], self.shared_px / union, 0)

    def covered(self, chosen: np.ndarray | None = None) -> float:
        """Each true entity's best IoU with one of the chosen nodes (N,) bool, weighted by its area; by default with any
        node. nan without a true entity.
        """
        best = np.zeros(len(self.true_px))
        pairs = slice(None) if chosen is None else chosen[self.pair_node]
        np.maximum.at(best, self.pair_true[pairs], self.iou[pairs])
        return float(self.true_px @ best / self.true_px.sum()) if self.true_px.sum() else float("nan")

    def cut(self, granularity: float) -> np.ndarray:
        """(N,) bool: the nodes that are entities at a granularity."""
        chosen = np.zeros(self.nodes.count + 1, bool)
        chosen[self.nodes.lookup(granularity)[:-1]] = True
        return chosen[1:]

    def of_cuts(self, granularities: np.ndarray, value: Callable[[np.ndarray], float]) -> np.ndarray:
        """(G,) the value of the nodes (N,) bool that are entities at each granularity (G,); asked once for each cut."""
        changes = np.unique(np.concatenate([self.nodes.g, self.nodes.gone]))  # between two of them no cut differs
        at = np.asarray(granularities, np.float32)
        cuts, first_at, cut = np.unique(np.searchsorted(changes, at), return_index=True, return_inverse=True)
        values = [value(self.cut(float(at[i]))) for i in first_at]
        return np.array(values, float).reshape(len(cuts))[cut]

    def promised(self, chosen: np.ndarray) -> float:
        """What chosen nodes (N,) bool would cover were each one's score its IoU: the sum of score times area, in px.

        It asks no truth, so that it can choose a cut of an image that nobody has labelled.
        """
        return float(self.nodes.scores[chosen].astype(np.float64) @ self.all_px[chosen])

    @cached_property
    def ranks(self) -> np.ndarray:
        """(10, T) int64: at each of `IOU_THRESHOLDS` the rank, from 0, of the proposal that a true entity is matched
        with, `RANKED` where there is none.

        As COCOeval: the best proposal is served first with what is free yet and overlaps it most, of equal ones the
        later; so what the best k match are the ranks below k.
        """
        numbers = np.flatnonzero(self.counts)
        order = numbers[np.argsort(-self.nodes.scores[numbers], kind="stable")][:RANKED]
        rank = np.full(self.nodes.count, RANKED)
        rank[order] = np.arange(len(order))
        close = np.flatnonzero((self.iou >= IOU_THRESHOLDS[0]) & (rank[self.pair_node] < RANKED))
        close = close[np.lexsort((-self.pair_true[close], -self.iou[close], rank[self.pair_node[close]]))]
        pairs = list(zip(rank[self.pair_node[close]], self.pair_true[close], self.iou[close], strict=True))
        ranks = np.full((len(IOU_THRESHOLDS), len(self.true_px)), RANKED)
        for row, threshold in zip(ranks, IOU_THRESHOLDS, strict=True):
            served = -1
            for place, truth, iou in pairs:
                if place != served and iou >= threshold and row[truth] == RANKED:
                    row[truth] = served = place
        return ranks

    def matched(self, true_parents: np.ndarray) -> np.ndarray:
        """(M,) the node, from 0, that is most like each true node, by an IoU of 1/2 or more; -1 for none.

        true_parents: (M,) of the T true entities, and after them of nodes that have no pixel of their own, ids from 1;
        a true node has the pixels of all that lies in it.
        """
        true, node, shared = lifted(true_parents, self.pair_true, self.pair_node, self.shared_px)
        areas = np.zeros(len(true_parents))
        for below, above in generations(true_parents, np.arange(len(self.true_px))):
            np.add.at(areas, above, self.true_px[below])
        iou = shared / (self.visible_px[node] + areas[true] - shared)
        close = np.flatnonzero((iou >= 0.5) & self.counts[node])
        close = close[np.lexsort((node[close], -iou[close]))]
        numbers = np.full(len(true_parents), -1)
        likest = np.unique(true[close], return_index=True)
        numbers[likest[0]] = node[close][likest[1]]
        return numbers


def inside(parents: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """(M, M) bool: whether node i of `numbers` (M,), from 0, lies in node j; none in itself. parents: (N,), 0 none."""
    table = np.zeros((len(numbers), len(numbers)), bool)
    for below, above in generations(parents, numbers):
        table[below] |= above[:, None] == numbers
    return table & (numbers[:, None] != numbers)


def lifted(
    parents: np.ndarray, nodes: np.ndarray, columns: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(nodes, columns, values) by node, then column: of each node and column the sum over all that lies in the node.

    parents: (N,) from 1, 0 none; nodes, columns, values: (K,), node and column from 0.
    """
    width = int(columns.max(initial=0)) + 1
    codes, sums = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for below, above in generations(parents, nodes):
        codes.append(above * width + columns[below])
        sums.append(values[below])
    distinct, place = np.unique(np.concatenate(codes), return_inverse=True)
    totals = np.bincount(place, np.concatenate(sums), len(distinct)).astype(np.int64)
    return distinct // width, distinct % width, totals


def generations(parents: np.ndarray, nodes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (which of the `nodes` (M,), what holds it), from 0: each itself, then its parent, then that one's, as far
    as there are any. parents: (N,) from 1, 0 none. Raises ValueError for parents in a circle.
    """
    up = np.append(0, parents).astype(np.int64)
    below, above = np.arange(len(nodes)), np.asarray(nodes, np.int64) + 1
    for _ in range(len(up)):
        below, above = below[above > 0], above[above > 0]
        if not len(above):
            return
        yield below, above - 1
        above = up[above]
    if above.any():
        raise ValueError(f"node {above.max()} lies in itself: the parents go in a circle")
