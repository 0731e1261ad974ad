"""Nested entities of one image, from wholes to parts, of which every level is a flat map.

A leaf map says the deepest node at each pixel, a table of nodes says what each lies in, and one lookup cuts the forest
at a granularity. So a forest takes hardly more room than a map, and what works on maps of ids works on its leaves.

Granularity g runs from 0, the wholes, to 1, the finest parts, wherever a user or a file says one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from domains.entities.map import BACKGROUND, UNLABELLED, EntityMap

LEVELS = ("whole", "part", "subpart")
"""What nodes are called by how many others hold them: none, one, two or more."""
STRIP_PX = 2**20
NEVER = -1.0
"""`gone` of a node that is an entity down to granularity 0, or inside one."""


@dataclass(frozen=True)
class Levels:
    """The granularities at which the forests of a network change: of any other, cuts are those of the next finer one.

    finest_first: falling, the first is 1; flat: the index of that at which the flat map is cut.
    """

    finest_first: tuple[float, ...]
    flat: int

    @classmethod
    def of(cls, granularities: set[float], flat: float) -> Levels:
        """The levels of granularities in [0, 1], 1 among them, with the flat map cut at `flat`."""
        falling = tuple(sorted(granularities, reverse=True))
        return cls(falling, max(i for i, g in enumerate(falling) if np.float32(g) >= np.float32(flat)))


@dataclass(frozen=True)
class Nodes:
    """The table of a forest: N nodes, numbered from 1; node i at index i - 1.

    parents: (N,) int32; the node that holds it, 0 for none.
    g: (N,) float32 in [0, 1]; the finest granularity at which it is an entity. A parent's is less than its children's.
    gone: (N,) float32; from this granularity on down it is none any more, `NEVER` for never.
    scores: (N,) float32 in [0, 1].

    In the cut at a granularity a node is an entity where gone < granularity <= g, unless a node that holds it has
    granularity <= g too. Raises ValueError for columns of other lengths, parents out of range, in a circle, or no
    coarser than their children.
    """

    parents: np.ndarray
    g: np.ndarray
    gone: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("parents", "g", "gone", "scores")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"a forest wants columns of one length; got {lengths}")
        children = np.flatnonzero(self.parents)
        parents = self.parents[children]
        if (parents < 0).any() or (parents > self.count).any():
            raise ValueError(f"a forest of {self.count} nodes has parents {parents.min()} to {parents.max()}")
        _ = self.depths
        finer = children[self.g[parents - 1] >= self.g[children]]
        if len(finer):
            raise ValueError(f"node {finer[0] + 1} has g {self.g[finer[0]]:g}, no finer than what holds it")

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self.parents)

    @cached_property
    def depths(self) -> np.ndarray:
        """(N,) int32: how many nodes hold each, one in another. Raises ValueError for parents in a circle."""
        above = np.concatenate([[0], self.parents]).astype(np.int64)
        depths = (above > 0).astype(np.int32)
        for _ in range(self.count.bit_length() + 1):
            if not above.any():
                return depths[1:]
            depths, above = depths + depths[above], above[above]  # every turn doubles the generations
        circle = int(np.flatnonzero(above)[0])
        raise ValueError(f"node {circle} lies in itself: the parents go in a circle")

    @cached_property
    def has_children(self) -> np.ndarray:
        """(N,) bool."""
        return np.bincount(self.parents, minlength=self.count + 1)[1:] > 0

    @property
    def levels(self) -> list[str]:
        """Of each node its name of `LEVELS`."""
        return [LEVELS[depth] for depth in np.minimum(self.depths, len(LEVELS) - 1).tolist()]

    def ancestors(self, node: int) -> list[int]:
        """The nodes that hold a node, the nearest first."""
        line = []
        while node := int(self.parents[node - 1]):
            line.append(node)
        return line

    def children(self, node: int) -> list[int]:
        """The nodes that lie in a node and in none between, by number; of 0 the roots."""
        return (np.flatnonzero(self.parents == node) + 1).tolist()

    def deepest_first(self) -> list[np.ndarray]:
        """The indices (M,) of the nodes of each depth, the deepest first and roots last."""
        order = np.argsort(-self.depths, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.depths[order])) + 1) if self.count else []

    def summed(self, by_leaf: np.ndarray) -> np.ndarray:
        """(N,): what each node holds in all, from what lies in it and in none of its children (N,)."""
        sums = np.concatenate([[0], by_leaf])
        for indices in self.deepest_first()[:-1]:
            np.add.at(sums, self.parents[indices], sums[indices + 1])
        return sums[1:]

    def lookup(self, granularity: float | None = None, level: str | None = None) -> np.ndarray:
        """(N + 2,) int32: the entity that a leaf's pixels belong to in a cut; 0 at 0, and -1 at -1.

        One of the two is said: granularity in [0, 1], or a name of `LEVELS`: there each node of that depth is an
        entity, and of shallower ones those that nothing lies in; wholes are there at granularity 0 too, without what is
        gone by then. Raises ValueError for any other.
        """
        if level is None:
            return self._climbed(*self._by_granularity(1.0 if granularity is None else granularity))
        if level not in LEVELS:
            raise ValueError(f"level is {level!r}; known: {', '.join(LEVELS)}")
        depth = LEVELS.index(level)
        is_entity = ((self.depths == depth) | ~self.has_children) & (self.gone < (self.g if depth else 0))
        return self._climbed(self._to_depth(depth), np.append(False, is_entity))

    def at_depth(self, depth: int) -> np.ndarray:
        """(N + 2,) int32, as `lookup`: of each node that which holds it, or it is, and lies in `depth` others."""
        return self._climbed(self._to_depth(depth), np.append(False, self.depths == depth))

    def _climbed(self, top: np.ndarray, is_entity: np.ndarray) -> np.ndarray:
        """(N + 2,) int32: where `top` (N + 1,) leads from each node in the end, if that is an entity (N + 1,) bool."""
        while not np.array_equal(above := top[top], top):
            top = above
        return np.append(np.where(is_entity[top], top, BACKGROUND), UNLABELLED).astype(np.int32)

    def _to_depth(self, depth: int) -> np.ndarray:
        """(N + 1,): the parent of nodes deeper than that, the node itself of others."""
        number = np.arange(self.count + 1)
        return np.where(np.append(0, self.depths) > depth, np.append(0, self.parents), number)

    def _by_granularity(self, granularity: float) -> tuple[np.ndarray, np.ndarray]:
        """(up, is_entity), (N + 1,): of each node the one that takes its place, and whether it is an entity itself."""
        if not 0 <= granularity <= 1:
            raise ValueError(f"granularity is {granularity!r}; wanted 0, the wholes, to 1, the finest parts")
        at = np.float32(granularity)  # as the table has it: 0.2 is less than its float32
        g = np.concatenate([[-np.inf], self.g])
        up, number = np.concatenate([[0], self.parents]), np.arange(self.count + 1)
        return np.where(g[up] >= at, up, number), (g >= at) & (np.concatenate([[np.inf], self.gone]) < at)

    def best(self, areas_px: np.ndarray, least_px: float = 0, most_px: float = np.inf) -> np.ndarray:
        """(N + 2,) int32, as `lookup`: of all choices of nodes from least to most in area, none in another, that with
        the greatest sum of score times area. areas_px: (N,) of all nodes.
        """
        worth = np.where((areas_px >= least_px) & (areas_px <= most_px) & (self.gone < self.g), self.scores, 0)
        worth = np.concatenate([[0], worth * areas_px])
        below = np.zeros(self.count + 1)
        for indices in self.deepest_first():
            np.add.at(below, self.parents[indices], np.maximum(worth, below)[indices + 1])
        chosen = (worth > 0) & (worth >= below)
        table = np.where(chosen, np.arange(self.count + 1), BACKGROUND)
        for indices in self.deepest_first()[::-1]:
            inherited = table[self.parents[indices]]
            table[indices + 1] = np.where(inherited > 0, inherited, table[indices + 1])
        return np.append(table, UNLABELLED).astype(np.int32)


@dataclass(frozen=True)
class EntityForest:
    """Trees of nodes over an image.

    leaves: (H, W) int32; at each pixel the deepest node that holds it, 0 none, -1 unlabelled.
    nodes: their table.
    pixel_scores: (H, W) float16 in [0, 1] as in `EntityMap`, None where nobody said.

    Raises ValueError for a leaf that the table does not have.
    """

    leaves: np.ndarray
    nodes: Nodes
    pixel_scores: np.ndarray | None = None

    def __post_init__(self) -> None:
        if int(self.leaves.max(initial=0)) > self.nodes.count:
            raise ValueError(f"the leaves hold node {self.leaves.max()}, the table {self.nodes.count} nodes")

    @classmethod
    def flat(cls, entities: EntityMap) -> EntityForest:
        """A forest of trees of one node: the map's entities, at every granularity."""
        count = entities.count
        scores = np.ones(count, np.float32) if entities.scores is None else entities.scores
        columns = np.ones(count, np.float32), np.full(count, NEVER, np.float32), scores
        return cls(entities.ids, Nodes(np.zeros(count, np.int32), *columns), entities.pixel_scores)

    @classmethod
    def nested(cls, entities: EntityMap) -> EntityForest:
        """The forest of a map with parents: 1 for what holds nothing, a step less for every level that an entity holds,
        and the step a half, or less where more than two levels are held.
        """
        flat = cls.flat(entities)
        if entities.parents is None:
            return flat
        levels = np.zeros(entities.count + 1, np.int32)  # that each entity holds; row 0 is of none
        above = np.concatenate([[0], entities.parents])
        for _ in range(entities.count):
            deeper = levels.copy()
            np.maximum.at(deeper, above[1:], levels[1:] + 1)
            deeper[0] = 0
            if np.array_equal(deeper, levels):
                break
            levels = deeper
        g = 1 - levels[1:] / np.float32(max(2, levels.max()))
        return cls(flat.leaves, Nodes(entities.parents, g, flat.nodes.gone, flat.nodes.scores), flat.pixel_scores)

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return self.nodes.count

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image."""
        height, width = self.leaves.shape
        return height, width

    @cached_property
    def areas(self) -> np.ndarray:
        """(N,) int64: pixels of each node, with those of all that lie in it."""
        return self.nodes.summed(leaf_areas(self.leaves, self.count))

    @cached_property
    def boxes(self) -> np.ndarray:
        """(N, 4) int32: y0, x0, y1, x1 of each node with all in it, ends exclusive; 0 of one without pixels."""
        large = np.iinfo(np.int32).max
        boxes = np.full((self.count + 1, 4), [large, large, 0, 0], np.int32)
        for number, box in enumerate(ndimage.find_objects(np.maximum(self.leaves, 0)), 1):
            if box is not None:
                boxes[number] = [side.start for side in box] + [side.stop for side in box]
        for indices in self.nodes.deepest_first()[:-1]:
            parents = self.nodes.parents[indices]
            np.minimum.at(boxes[:, :2], parents, boxes[indices + 1, :2])
            np.maximum.at(boxes[:, 2:], parents, boxes[indices + 1, 2:])
        return np.where(boxes[1:, 2:3] > 0, boxes[1:], 0)

    def ancestors(self, node: int) -> list[int]:
        """The nodes that hold a node, the nearest first."""
        return self.nodes.ancestors(node)

    def children(self, node: int) -> list[int]:
        """The nodes that lie in a node and in none between; of 0 the roots."""
        return self.nodes.children(node)

    def cut(self, granularity: float | None = None, *, level: str | None = None) -> EntityMap:
        """The entities at a granularity or a level, as `Nodes.lookup` takes them, numbered in the order of their nodes,
        with scores and pixel scores.
        """
        return self._map(self.nodes.lookup(granularity, level))

    def best(self, areas: tuple[float, float] = (0, np.inf)) -> EntityMap:
        """The entities of areas in pixels from least to most that have the greatest sum of score times area."""
        return self._map(self.nodes.best(self.areas, *areas))

    def _map(self, entity_of: np.ndarray) -> EntityMap:
        lookup, chosen = numbered(entity_of, self.areas > 0)
        return EntityMap(looked_up(lookup, self.leaves), self.nodes.scores[chosen - 1], pixel_scores=self.pixel_scores)


def numbered(entity_of: np.ndarray, has_pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lookup, chosen): (N + 2,) int32, the nodes of `entity_of` numbered 1..M in their order, 0 and -1 as they are;
    (M,) those nodes. has_pixels: (N,) bool; a node without pixels has no number.
    """
    is_chosen = np.zeros(len(entity_of) - 1, bool)
    is_chosen[entity_of[:-1]] = True
    is_chosen[0] = False
    is_chosen[1:] &= has_pixels
    number = np.where(is_chosen, np.cumsum(is_chosen), 0)
    return np.append(number[entity_of[:-1]], UNLABELLED).astype(np.int32), np.flatnonzero(is_chosen)


def looked_up(lookup: np.ndarray, leaves: np.ndarray) -> np.ndarray:
    """(H, W) int32: `lookup[leaves]`, by strips, since an index of 64 bits for all pixels were large."""
    ids = np.empty(leaves.shape, np.int32)
    for rows in strips(leaves.shape):
        np.take(lookup, leaves[rows], out=ids[rows], mode="wrap")
    return ids


def leaf_areas(leaves: np.ndarray, count: int) -> np.ndarray:
    """(N,) int64: pixels of each node of `count` that no other in it has."""
    areas = np.zeros(count + 1, np.int64)
    for rows in strips(leaves.shape):
        areas += np.bincount(np.maximum(leaves[rows], 0).ravel(), minlength=count + 1)
    return areas[1:]


def strips(shape: tuple[int, ...]) -> list[slice]:
    """Rows of a map (height, width), some `STRIP_PX` pixels at a time."""
    step = max(1, STRIP_PX // max(1, shape[1]))
    return [slice(top, top + step) for top in range(0, shape[0], step)]
