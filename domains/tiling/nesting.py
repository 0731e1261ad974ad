"""One forest of a scene, from the flat maps of its levels, of which each was stitched by itself.

The level of the flat map is as it is without a forest, to the pixel. What lies in it gives way: a part that was joined
across a seam at which its wholes were not is cut there. What holds it follows: groups are joined where a member is. So
the forest is laminar, and where tiles agree on what is nested in what, a cut of it is the stitched map of that cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from domains.entities import UNLABELLED
from domains.entities.forest import NEVER, Levels, Nodes, numbered
from domains.tiling.canvas import chunk_window
from domains.tiling.grid import Window
from domains.tiling.level_pieces import PieceIndex, Pieces, runs
from domains.tiling.prediction import Prediction
from domains.tiling.scene_forest import SceneForest
from domains.tiling.stitching import Entities


def nested(maps: Sequence[Prediction], levels: Levels) -> SceneForest:
    """The forest of a scene. maps: of each of the levels, the finest first, over the same tiles.

    Its first nodes are the entities of the flat map, in their order, with their rows; coarser ones follow, then finer.
    """
    flat = maps[levels.flat]
    pieces = Pieces.joined((Pieces.of(stack, window[:2]) for window, stack in blocks(maps)), len(maps))
    entities = laminar(np.maximum(pieces.ids, 0), levels.flat)
    tree = Tree.of(entities, pieces.area, levels.flat)
    nodes, table = tree.table(pieces, [level.entities.scores for level in maps], flat.entities, levels)
    leaf_of = Leaves(maps, PieceIndex(pieces.ids), tree.leaves)
    granularity = levels.finest_first[levels.flat]
    if flat.entity_map is None:
        return SceneForest(flat.shape, leaf_of.read, nodes, table, granularity)
    leaves = np.where(flat.entity_map.ids == UNLABELLED, UNLABELLED, 0).astype(np.int32)
    for window, _ in blocks(maps):
        leaves[window.slices] = leaf_of.read(window)
    return SceneForest.in_memory(leaves, nodes, table, granularity)


def of_one_tile(flat: Prediction, leaves: np.ndarray, tile_nodes: Nodes, levels: Levels) -> SceneForest:
    """What `nested` makes of a scene of one tile, from the tile's own forest: its maps are nested as they are.

    flat: the map at the level of the flat map; leaves: (H, W) int32 of the forest, at the scene's size.
    """
    starts, lengths = runs(leaves[None])
    leaf = leaves.ravel()[starts]
    areas = tile_nodes.summed(np.bincount(np.maximum(leaf, 0), lengths, tile_nodes.count + 1)[1:])
    cuts = [numbered(tile_nodes.lookup(granularity), areas > 0) for granularity in levels.finest_first]
    ids = np.stack([lookup[leaf] for lookup, _ in cuts], 1)
    pieces = Pieces.of_runs(starts, lengths, ids, leaves.shape[1])
    tree = Tree.of(laminar(np.maximum(pieces.ids, 0), levels.flat), pieces.area, levels.flat)  # for its order
    nodes, table = tree.table(pieces, [tile_nodes.scores[chosen - 1] for _, chosen in cuts], flat.entities, levels)
    piece = PieceIndex(pieces.ids).find(list(ids.T))
    node = np.where(piece >= 0, np.append(tree.leaves, 0)[piece], np.minimum(ids[:, 0], 0)).astype(np.int32)
    node_map = np.repeat(node, lengths).reshape(leaves.shape)
    return SceneForest.in_memory(node_map, nodes, table, levels.finest_first[levels.flat])


def blocks(maps: Sequence[Prediction]) -> Iterator[tuple[Window, np.ndarray]]:
    """(window, (K, h, w) ids) of the chunks of the scene that hold a box of an entity of any of the maps."""
    for key in sorted({key for flat in maps for key in flat.chunks()}):
        window = chunk_window(key, maps[0].shape)
        yield window, np.stack([flat.read(window) for flat in maps])


def laminar(ids: np.ndarray, flat: int) -> np.ndarray:
    """(U, K) int64: the entity of every piece at each level, 0 for none, such that of two entities of two levels that
    share a piece the coarser holds the finer. ids: (U, K) by the maps themselves, 0 or more; column `flat` stays.
    """
    entities = np.zeros_like(ids)
    entities[:, flat] = group = ids[:, flat]
    for level in range(flat + 1, ids.shape[1]):
        group = joined_groups(group, ids[:, level])
        is_entity = np.zeros(int(group.max(initial=0)) + 1, bool)
        is_entity[group[ids[:, level] > 0]] = True
        entities[:, level] = np.where(is_entity[group], group, 0)
    group = np.unique(entities[:, flat:], axis=0, return_inverse=True)[1].reshape(-1)  # outside the flat map too
    for level in range(flat - 1, -1, -1):
        pairs = group * (int(ids[:, level].max(initial=0)) + 1) + ids[:, level]
        group = np.unique(pairs, return_inverse=True)[1] + 1
        entities[:, level] = np.where(ids[:, level] > 0, group, 0)
    return entities


def joined_groups(groups: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(U,) int64 from 1 on: groups that share an id are one, as are ids that share a group; 0 for what has neither.

    groups, ids: (U,), 0 for none.
    """
    first_id = int(groups.max(initial=0))
    count = first_id + int(ids.max(initial=0)) + 1
    overlap = (groups > 0) & (ids > 0)
    edges = groups[overlap], ids[overlap] + first_id
    _, label = connected_components(coo_array((np.ones(int(overlap.sum()), bool), edges), shape=(count, count)), False)
    place = np.where(groups > 0, groups, np.where(ids > 0, ids + first_id, 0))
    return np.where(place > 0, label[place].astype(np.int64) + 1, 0)


class _Level(NamedTuple):
    """The entities of one level. nodes: (N + 1,) the node that each is, 0 first; new: (N + 1,) bool, at this one."""

    nodes: np.ndarray
    new: np.ndarray


@dataclass(frozen=True)
class Tree:
    """Nodes of laminar levels: entities of neighbouring levels that are the same pixels are one.

    at: (U, K) int64; the node, from 1 on, that each piece's entity is at each level, 0 for none. begins, ends: (N,) the
    first level, from the finest on, at which a node is an entity, and the last.
    """

    at: np.ndarray
    begins: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, entities: np.ndarray, area: np.ndarray, flat: int) -> Tree:
        """The tree of entities (U, K) of pieces of that area (U,). Nodes that are entities at level `flat` come first,
        in their order, then coarser ones, then finer.
        """
        at, before, count = np.zeros_like(entities), np.zeros(1, np.int64), 0
        begins: list[np.ndarray] = []
        for level, column in enumerate(entities.T):
            size = int(column.max(initial=0)) + 1
            totals = np.bincount(column, area, size)
            nodes = np.zeros(size, np.int64)
            if level:
                finer = entities[:, level - 1]
                equal = (finer > 0) & (column > 0)
                areas_before = np.bincount(finer, area)
                equal[equal] = areas_before[finer[equal]] == totals[column[equal]]
                nodes[column[equal]] = before[finer[equal]]
            new = np.flatnonzero((totals > 0) & (nodes == 0))
            new = new[new > 0]
            nodes[new] = np.arange(count + 1, count + len(new) + 1)
            begins.append(np.full(len(new), level))
            count += len(new)
            at[:, level], before = nodes[column], nodes
        ends = np.zeros(count + 1, np.int64)
        for level in range(at.shape[1]):
            ends[at[:, level]] = level
        return cls(at, np.concatenate([np.zeros(0, np.int64), *begins]), ends[1:])._ordered(entities[:, flat], flat)

    def _ordered(self, flat_ids: np.ndarray, flat: int) -> Tree:
        """The nodes in the order of `of`."""
        count = len(self.begins)
        entity = np.zeros(count + 1, np.int64)
        entity[self.at[:, flat]] = flat_ids
        is_flat = entity[1:] > 0
        order = np.lexsort((np.arange(count), -self.begins, np.where(is_flat, entity[1:], 0), ~is_flat))
        rank = np.zeros(count + 1, np.int64)
        rank[order + 1] = np.arange(1, count + 1)
        return Tree(rank[self.at], self.begins[order], self.ends[order])

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self.begins)

    @property
    def leaves(self) -> np.ndarray:
        """(U,) int64: the finest node that holds each piece, 0 for none."""
        return leftmost(self.at)

    def parents(self) -> np.ndarray:
        """(N,) int32: the node that holds each, 0 for none."""
        parents = np.zeros(self.count + 1, np.int64)
        for level in range(self.at.shape[1] - 1):
            nodes, above = self.at[:, level], leftmost(self.at[:, level + 1 :])
            ending = (nodes > 0) & (nodes != above)
            parents[nodes[ending]] = above[ending]
        return parents[1:].astype(np.int32)

    def table(
        self, pieces: Pieces, scores_of: Sequence[np.ndarray | None], flat_table: Entities, levels: Levels
    ) -> tuple[Nodes, Entities]:
        """The nodes, and their measures; those of the flat map have its rows.

        scores_of: (N,) of the entities of each level, None for 1; flat_table: of the flat map.
        """
        area, y, x, scores = (np.zeros(self.count + 1) for _ in range(4))
        low, high = np.full((self.count + 1, 2), np.iinfo(np.int32).max), np.zeros((self.count + 1, 2), np.int64)
        for level, of_entities in enumerate(scores_of):
            rows = np.flatnonzero((self.at[:, level] > 0) & (np.append(0, self.begins)[self.at[:, level]] == level))
            node, ids, weights = self.at[rows, level], pieces.ids[rows, level], pieces.area[rows]
            for total, values in ((area, weights), (y, pieces.sum_y[rows]), (x, pieces.sum_x[rows])):
                total += np.bincount(node, values, self.count + 1)
            np.minimum.at(low, node, pieces.low[rows])
            np.maximum.at(high, node, pieces.high[rows])
            scores += mean_scores(of_entities, node, ids, weights, self.count + 1)
        columns = [area[1:].astype(np.int64), y[1:] / area[1:], x[1:] / area[1:]]
        columns += [sides.astype(np.int32) for sides in (*low[1:].T, *high[1:].T)]
        columns.append(scores[1:].astype(np.float32))
        for column, values in zip(columns, flat_table[:8], strict=True):
            if values is not None:
                column[: len(values)] = values
        granularities = np.asarray([*levels.finest_first, NEVER], np.float32)
        after = np.where(self.at_level_after_its_last() > 0, len(scores_of), self.ends + 1)
        nodes = Nodes(self.parents(), granularities[self.begins], granularities[after], columns[-1])
        return nodes, Entities(*columns, labels=None)

    def at_level_after_its_last(self) -> np.ndarray:
        """(N,): what holds each node at the level after its last, 0 for none and beyond the coarsest."""
        above = np.zeros(self.count + 1, np.int64)
        for level in range(self.at.shape[1] - 1):
            above[self.at[:, level]] = self.at[:, level + 1]
        return above[1:]


def leftmost(at: np.ndarray) -> np.ndarray:
    """(U,): of each row (U, K) the first number that is not 0, else 0."""
    place = (at > 0).argmax(1)
    return np.take_along_axis(at, place[:, None], 1)[:, 0]


def mean_scores(
    scores: np.ndarray | None, node: np.ndarray, ids: np.ndarray, weights: np.ndarray, count: int
) -> np.ndarray:
    """(count,) means of the scores (N,) of entities `ids` (M,) by the node (M,) they belong to, by weight; 1 without
    scores, and 0 for the other nodes. An id of 0 has no say.
    """
    ids = np.maximum(ids, 0)
    score_of = np.append(0, np.ones(int(ids.max(initial=0))) if scores is None else scores)
    weights = np.where(ids > 0, weights, 0)
    totals = np.bincount(node, weights, count)
    return np.bincount(node, weights * score_of[ids], count) / np.maximum(totals, 1)


@dataclass(frozen=True)
class Leaves:
    """Reads the leaves of a scene from the maps of its levels. nodes: (U,) of each of the pieces of the index."""

    maps: Sequence[Prediction]
    index: PieceIndex
    nodes: np.ndarray

    def read(self, window: Window) -> np.ndarray:
        """(h, w) int64: the deepest node of each pixel, 0 for none, -1 unlabelled."""
        stack = np.stack([flat.read(window) for flat in self.maps])
        starts, lengths = runs(stack)
        ids = stack.reshape(len(stack), -1)[:, starts]
        piece = self.index.find(list(ids))
        node = np.where(piece >= 0, np.append(self.nodes, 0)[piece], np.minimum(ids[0], 0))
        return np.repeat(node, lengths).reshape(window.height, window.width)
