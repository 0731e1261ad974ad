"""Entities of the dense decoder's fields by a watershed: cores that rise above their saddles are seeds.

How far a core must rise is the granularity: at a greater height shallow neighbours are one. Basins are found once, and
merged across their saddles for every height (`basins.py`), which nests the entities of all heights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from scipy import ndimage

from adapters.proposals.basins import basins, join_roots, saddles
from adapters.proposals.proposals import Proposals
from domains.entities import EntityMap
from domains.entities.forest import NEVER, EntityForest, Levels, Nodes

FIELDS = ("foreground", "boundary_distance", "centre_distance", "boundary")
DECODED = ("foreground", "boundary_distance", "boundary")
"""Those that entities are made of; the centre's distance is learnt beside them."""
LEVELS = 1000
"""Whole levels of the core field between 0 and 1: plateaus are exact."""
DIGITS = 9
"""Of a height that is 1 less a granularity: 1 - 0.7 is 0.3, as `HEIGHTS` has it."""
HEIGHTS = (0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Saddle depths at which the nested entities of a field are cut: from noise to what parts two nuclei for certain."""


class WatershedOptions(Protocol):
    """What the watershed reads of a decoder's options; ranges and meanings stand there."""

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]]
    OF_WATERSHED: ClassVar[tuple[str, ...]]

    @property
    def foreground_threshold(self) -> float:
        """The least probability of a pixel inside an entity."""
        ...

    @property
    def granularity(self) -> float | None:
        """Where the forest is cut, in [0, 1]; None for 1 less the seed height."""
        ...

    @property
    def seed_height(self) -> float:
        """How far a core rises above the saddle to its neighbour, in [0, 1], to be a seed of its own."""
        ...

    @property
    def smoothing_px(self) -> float:
        """Standard deviation of the Gaussian over the core field, in pixels."""
        ...

    @property
    def min_area_px(self) -> int:
        """The least area of an entity, in pixels."""
        ...

    @property
    def min_score(self) -> float:
        """The least score of an entity, in [0, 1]."""
        ...


@dataclass(frozen=True)
class Watershed(Proposals):
    """Entities at one foreground threshold; a score is the mean foreground score times the height of the core."""

    options: WatershedOptions
    DEPTHS: ClassVar[tuple[float, ...]] = HEIGHTS
    """How much parts two basins, at which the nested entities are cut."""

    @property
    def granularity(self) -> float:
        """What is left of 1 by the height of seeds: at a greater height fewer entities are left, and coarser ones."""
        return 1 - self.depth

    @property
    def depth(self) -> float:
        """How much must part two basins of the flat map: how far a core rises to be a seed of its own."""
        granularity = self.options.granularity
        return self.options.seed_height if granularity is None else round(1 - granularity, DIGITS)

    @property
    def levels(self) -> Levels:
        """Of every height."""
        return Levels.of(set(granularities(self._heights)), self.granularity)

    @property
    def _heights(self) -> list[float]:
        return sorted({*self.DEPTHS, self.depth})

    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """All five options of the watershed."""
        return {name: self.options.TUNED[name] for name in self.options.OF_WATERSHED}

    def prepared(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """The fields of `fields_of`."""
        return fields_of(outputs, index, size)

    def forest(self, prepared: Mapping[str, np.ndarray], nested: bool = True) -> EntityForest:
        """Nested: at every one of `DEPTHS` and at that of the flat map."""
        options = self.options
        heights = self._heights if nested else [self.depth]
        mask = prepared["foreground"] > options.foreground_threshold
        heat = half(prepared["foreground"])
        if not mask.any():
            return nothing(heat)
        level = np.round(core_field(prepared, options.smoothing_px) * LEVELS).astype(np.int32)
        leaves, nodes = self.merged(level, mask, prepared["boundary"], heights)
        flat = leaves.ravel()
        areas, foreground = (nodes.totals(np.bincount(flat, row)) for row in (None, prepared["foreground"].ravel()))
        scores = foreground / np.maximum(areas, 1) * nodes.peaks / LEVELS
        dropped = (areas < options.min_area_px) | (scores < options.min_score)
        at = np.asarray([*granularities(heights), NEVER], np.float32)
        g, gone = (at[np.searchsorted(np.asarray(heights, np.float32), column)] for column in (nodes.born, nodes.gone))
        scores = np.clip(scores, 0, 1).astype(np.float32)
        return EntityForest(leaves, Nodes(nodes.parents, g, np.where(dropped, g, gone), scores), heat)

    def merged(
        self, level: np.ndarray, mask: np.ndarray, boundary: np.ndarray, heights: Sequence[float]
    ) -> tuple[np.ndarray, Nested]:
        """(leaves (H, W) int32, nodes) of the basins of a core field in whole levels, within a mask, by the depths of
        their saddles; boundary: (H, W) in [0, 1].
        """
        return nested_basins(level, mask, heights)


def granularities(heights: Sequence[float]) -> list[float]:
    """Of heights, ascending; the lowest leaves the finest parts."""
    return [1.0, *(1 - height for height in heights[1:])]


class Nested(NamedTuple):
    """Nested basins, node i at index i - 1.

    parents (N,) int32; born, gone (N,) float32, the heights from which on it is, and is none any more; peaks (N,)
    levels.
    """

    parents: np.ndarray
    born: np.ndarray
    gone: np.ndarray
    peaks: np.ndarray

    def totals(self, by_leaf: np.ndarray) -> np.ndarray:
        """(N,): the sum over the leaves that each node holds; by_leaf: (up to N + 1,), index 0 the ground."""
        sums = np.zeros(len(self.parents) + 1, by_leaf.dtype)
        sums[: len(by_leaf)] = by_leaf
        for height in np.unique(self.born)[:-1]:
            nodes = np.flatnonzero((self.born == height) & (self.parents > 0))
            np.add.at(sums, self.parents[nodes], sums[nodes + 1])
        return sums[1:]


def nested_basins(level: np.ndarray, mask: np.ndarray, heights: Sequence[float]) -> tuple[np.ndarray, Nested]:
    """(leaves, nodes): the basins of a field at each of the heights, which are nested; equal ones are one node.

    level: (H, W) whole levels; mask: (H, W) bool; heights: ascending, in [0, 1] of `LEVELS`. At a height the ground
    takes what does not rise above it, so such a node is gone from then on. Nodes are numbered by the basin of their
    highest peak, then by height: at any one height in the order in which `merge_shallow` has them.
    """
    ids, peaks = basins(level, mask)
    passes = saddles(ids, level)
    leaf_of, nodes = nested_roots(peaks, heights, [join_roots(peaks, passes, round(h * LEVELS)) for h in heights])
    return leaf_of[ids], nodes


def nested_roots(
    peaks: np.ndarray, heights: Sequence[float], roots_of: Sequence[np.ndarray]
) -> tuple[np.ndarray, Nested]:
    """(leaves (N + 1,) int32, of basins; nodes), as `nested_basins` has them, of what each basin has joined.

    peaks: (N + 1,); roots_of: (N + 1,) by height, the basin of the highest peak of those that are one, 0 the ground.
    """
    node = np.zeros(len(peaks), np.int64)  # of each basin the node that it belongs to at a height; the ground's is 0
    tops, born, gone = [0], [0.0], [np.inf]
    pairs: list[tuple[int, int]] = []
    deepest = node
    for height, roots in zip(heights, roots_of, strict=True):
        before, sizes, new_sizes = node, np.bincount(node, minlength=len(tops)), np.bincount(roots)
        node_of = np.zeros(len(peaks), np.int64)
        for top in np.unique(roots[roots > 0]).tolist():
            node_of[top] = before[top]
            if not before[top] or sizes[before[top]] != new_sizes[top]:
                node_of[top] = len(tops)
                tops.append(top)
                born.append(height)
                gone.append(np.inf)
        node = node_of[roots]
        if height == heights[0]:
            deepest = node
        for child, parent in np.unique(np.stack([before, node], 1), axis=0).tolist():
            if child and not parent:
                gone[child] = height
            elif child and child != parent:
                pairs.append((child, parent))
    order = np.lexsort((born, tops))  # index 0, the ground, stays first
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    parents = np.zeros(len(order), np.int32)
    for child, parent in pairs:
        parents[rank[child]] = rank[parent]
    birth, death = (np.asarray(values, np.float32)[order][1:] for values in (born, gone))
    return rank[deepest], Nested(parents[1:], birth, death, peaks[np.asarray(tops)[order]][1:])


def core_field(fields: Mapping[str, np.ndarray], smoothing_px: float) -> np.ndarray:
    """(H, W) float: the mean of the boundary distance and of one minus the boundary score, smoothed.

    Either alone misses seams that the other sees.
    """
    core = (fields["boundary_distance"] + 1 - fields["boundary"]) / 2
    return ndimage.gaussian_filter(core, smoothing_px) if smoothing_px else core


def fields_of(outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """The fields `DECODED` of the dense decoder, of one image of a batch, each (H, W) float32 in [0, 1]."""
    return {name: outputs[name][index, 0, : size[0], : size[1]].float().sigmoid().cpu().numpy() for name in DECODED}


def half(values: np.ndarray) -> np.ndarray:
    """float32 values as float16, rounded as numpy does; torch has the processor's own instruction for it."""
    return torch.from_numpy(values).half().numpy()


def nothing(heat: np.ndarray) -> EntityForest:
    """A forest without a node; heat: (H, W) float16 pixel scores."""
    return EntityForest.flat(EntityMap(np.zeros(heat.shape, np.int32), np.zeros(0, np.float32), pixel_scores=heat))
