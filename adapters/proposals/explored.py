"""Nested regions of an image by a frozen backbone's features and colour: no label, no decoder.

Self-exploration after SOHES (Cao et al., CVPR 2024, https://arxiv.org/abs/2404.12386): cells merge by their vectors
(`domains.entities.merging`), small regions are looked at again in a magnified crop, and outlines go to the image's
edges. Departures: an outline is the line of the watershed of the image's gradient between what is sure of either side
(scikit-image), as there is no CascadePSP here; the flat map takes the regions that persist over most thresholds, an
excess of mass as in HDBSCAN (Campello et al., PAKDD 2013), where SOHES keeps all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from skimage.segmentation import watershed

from domains.entities.forest import NEVER, EntityForest, Nodes, leaf_areas, looked_up
from domains.entities.map import UNLABELLED
from domains.entities.merging import Snapshots, grid_pairs, merged

Features = Callable[[np.ndarray], np.ndarray]
"""From an image (H, W, 3) uint8 to the vectors (h, w, D) of its cells, h and w a whole number for so many pixels."""
FLAT = 0.5
"""The granularity of the flat map."""
BY_LIFE, BY_AREA = 0.9, 0.1
"""What a score is made of; the area parts those of one life, the larger first."""
CROP_PX = 128
"""Side to which a crop of a small region is magnified."""
AROUND = 0.25
"""Of a region's longer side, on each side of it, that a crop shows."""
SMOOTHED_PX = 1.0


@dataclass(frozen=True)
class Exploration:
    """How images are explored.

    thresholds: cosines in falling order, a snapshot at each. least_cells: regions of fewer are none. small: share of
    the image below which a region is looked at again, in a magnified crop. most_crops: of these, the largest.
    """

    thresholds: Sequence[float]
    least_cells: int = 4
    small: float = 0.02
    most_crops: int = 24


def explored(image: np.ndarray, features: Features, options: Exploration) -> EntityForest:
    """The forest of an image (H, W, 3) uint8, whose cut at `FLAT` is its flat map: nodes 1, 2, ... in their order.

    Pixels in no region of `least_cells` cells are unlabelled.
    """
    grown = Grown.of(image, features, options)
    small = options.small * grown.leaves.size
    areas, parents = grown.forest().areas, grown.parents
    is_small = np.append((areas < small) & (areas > 0), False)  # the last is what holds a root
    again = [n for n in np.argsort(-areas, kind="stable").tolist() if is_small[n] and not is_small[parents[n] - 1]]
    for index in again[: options.most_crops]:
        grown.graft(index + 1, image, features, options)
    return ranked(flattened(grown.forest()))


@dataclass
class Grown:
    """A forest while parts are added. leaves: (H, W) int32, the deepest node, 0 for none; of each node, from 1, the
    parent (0 for none), its granularity so far, and the share of the thresholds over which it persists.
    """

    leaves: np.ndarray
    parents: np.ndarray
    g: np.ndarray
    life: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, features: Features, options: Exploration, inside: np.ndarray | None = None) -> Grown:
        """The regions of an image; where a mask (H, W) bool is given of those cells alone of which it has most."""
        cells = features(image)
        height, width = cells.shape[:2]
        kept = np.ones((height, width), bool)
        if inside is not None:
            share = cv2.resize(inside.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
            kept = share > 0.5
        merges = merged(cells[kept], grid_pairs(kept), min(options.thresholds))
        snapshots = Snapshots.of(merges, options.thresholds, options.least_cells)
        region = np.zeros((height, width), np.int32)
        region[kept] = snapshots.region + 1
        count = len(options.thresholds)
        g = 1 - snapshots.begins / count
        life = (snapshots.ends - snapshots.begins + 1) / count
        return cls(to_edges(region, image), snapshots.parents + 1, g, life)

    def nodes(self) -> Nodes:
        """The table, with a score of each node by how long it persists and, among equals, by its area."""
        g, never = self.g.astype(np.float32), np.full(len(self.g), NEVER, np.float32)
        bare = Nodes(self.parents.astype(np.int32), g, never, np.ones(len(g), np.float32))
        share = bare.summed(leaf_areas(self.leaves, len(g))) / self.leaves.size
        scores = BY_LIFE * self.life + BY_AREA * np.sqrt(share)
        return Nodes(bare.parents, g, never, np.clip(scores, 0, 1).astype(np.float32))

    def forest(self) -> EntityForest:
        """The forest as it stands."""
        return EntityForest(self.leaves, self.nodes())

    def graft(self, node: int, image: np.ndarray, features: Features, options: Exploration) -> None:
        """Give a node the parts that a magnified crop shows, if it shows any, in place of those that it has."""
        members = np.arange(len(self.g) + 1) == node
        above = np.append(0, self.parents)
        while not np.array_equal(further := members | members[above], members):
            members = further
        members[0] = False
        inner = members[self.leaves]
        y, x = np.nonzero(inner)
        margin = round(AROUND * max(np.ptp(y), np.ptp(x)) + 1)
        window = tuple(slice(max(0, int(axis.min()) - margin), int(axis.max()) + 1 + margin) for axis in (y, x))
        crop, mask = image[window], inner[window]
        zoom = CROP_PX / max(mask.shape)
        if zoom <= 1:
            return
        size = tuple(max(1, round(side * zoom)) for side in mask.shape[::-1])
        large = cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC)
        inside = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        pieces = Grown.of(large, features, options, inside)
        counts = np.bincount(pieces.leaves[inside], minlength=len(pieces.g) + 1)
        if len(pieces.g) < 2 or (counts[1:] > 0.9 * inside.sum()).any():
            return
        small = cv2.resize(pieces.leaves.astype(np.float32), mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
        offset = len(self.g)
        shown = np.where(small > 0, small.astype(np.int32) + offset, node)
        self.leaves[window] = np.where(mask, shown, self.leaves[window])
        self.parents = np.append(self.parents, np.where(pieces.parents > 0, pieces.parents + offset, node))
        self.g = np.append(self.g, 1 + pieces.g)  # finer than all that the whole image shows
        self.life = np.append(self.life, pieces.life)


def to_edges(region: np.ndarray, image: np.ndarray) -> np.ndarray:
    """(H, W) int32: regions of cells (h, w), 0 for none, outlined along the edges of the image (H, W, 3) uint8.

    What lies deeper in a region than a cell, or than half of its greatest depth where that is less, is sure; the rest,
    and what is in no region, goes to whichever the watershed of the gradient, in CIE Lab, brings it to.
    """
    if not region.any():
        return np.zeros(image.shape[:2], np.int32)
    height, width = image.shape[:2]
    rows, columns = (np.arange(side) * cells // side for side, cells in zip((height, width), region.shape, strict=True))
    coarse = region[rows[:, None], columns]
    rim = np.zeros(coarse.shape, np.uint8)
    for step in (np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1]):
        apart = coarse[step[0]] != coarse[step[1]]
        rim[step[0]][apart] = rim[step[1]][apart] = 1
    depth = cv2.distanceTransform(1 - rim, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) if rim.any() else np.ones(rim.shape)
    deepest = np.zeros(int(coarse.max()) + 1)
    np.maximum.at(deepest, coarse, depth)
    sure = depth >= np.minimum(height / region.shape[0], deepest / 2)[coarse]
    lab = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32), (0, 0), SMOOTHED_PX)
    slopes = [cv2.Sobel(lab, cv2.CV_32F, *step, ksize=3) for step in ((1, 0), (0, 1))]
    steepness = np.sqrt(sum((slope**2).sum(2) for slope in slopes))
    return watershed(steepness, np.where(sure, coarse, 0)).astype(np.int32)


def ranked(forest: EntityForest) -> EntityForest:
    """The forest with scores for ranking and as weights: of the mean of how long a node persists and the fourth root of
    its share of the image, since of small regions there are many, and few of them are entities.
    """
    nodes = forest.nodes
    scores = (nodes.scores + np.sqrt(np.sqrt(forest.areas / forest.leaves.size))) / 2
    return EntityForest(forest.leaves, replace(nodes, scores=np.clip(scores, 0, 1).astype(np.float32)))


def flattened(forest: EntityForest) -> EntityForest:
    """The forest with the granularities at which its cut at `FLAT` is the choice of nodes that persist most: those of
    the greatest sum of score times area. They come first; nodes without a pixel are left out.
    """
    nodes, areas = forest.nodes, forest.areas
    chosen = np.zeros(nodes.count + 1, bool)
    chosen[nodes.best(areas)[:-1]] = True
    chosen = chosen[1:] & (areas > 0)
    above = np.zeros(nodes.count + 1, bool)
    for indices in nodes.deepest_first()[:-1]:
        above[nodes.parents[indices]] |= chosen[indices] | above[indices + 1]
    spread = nodes.g / max(float(nodes.g.max(initial=0)), 1e-6)
    finer = FLAT + (1 - FLAT) * spread
    g = np.where(above[1:], 0.99 * FLAT * spread, np.where(chosen, np.where(nodes.has_children, FLAT, 1.0), finer))
    order = np.flatnonzero(areas > 0)
    order = order[np.argsort(~chosen[order], kind="stable")]
    number = np.zeros(nodes.count + 2, np.int32)
    number[order + 1] = np.arange(1, len(order) + 1)
    number[-1] = UNLABELLED
    table = Nodes(
        number[nodes.parents[order]], g[order].astype(np.float32), nodes.gone[order], nodes.scores[order]
    )  # a parent of a node with pixels has these too
    leaves = looked_up(number, forest.leaves)
    return EntityForest(np.where(leaves == 0, UNLABELLED, leaves).astype(np.int32), table)
