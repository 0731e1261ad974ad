"""E-SAM: every entity of an image by SAM without training, and the parts within each.

After "E-SAM: Training-Free Segment Every Entity Model" (ICCV 2025): masks at three levels, overlaps resolved and pieces
merged, gaps filled (`esam_steps`). Its result there is a flat map; here the parts and subparts of the first step stay,
nested in the entities, so that one run gives every granularity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from skimage.segmentation import felzenszwalb

from adapters.proposals.automatic import grid
from adapters.proposals.esam_steps import (
    ESamOptions,
    Gallery,
    Levels,
    Predict,
    centroids,
    mask_generation,
    merged,
    nested_in,
    repaired,
    resolved,
)
from adapters.proposals.mask_set import MaskSet
from domains.entities import UNLABELLED
from domains.entities.forest import NEVER, EntityForest, Nodes

FELZENSZWALB = {"scale": 300.0, "sigma": 0.8, "min_size": 50}
"""Of an independent implementation; the paper says none."""
WHOLE, FINEST = 0.0, 1.0
"""Granularities at which a forest is cut for whole entities, and for its finest parts."""


class Embedded(Protocol):
    """An image that answers prompts and has features."""

    def predict(self, points: np.ndarray) -> MaskSet:
        """Three masks for each of points (P, n, 2)."""
        ...

    def features(self, points: np.ndarray) -> np.ndarray:
        """(P, D) at points (P, 2)."""
        ...


class Steps(NamedTuple):
    """Masks at three levels, then entities after each step: overlaps resolved, pieces merged, gaps filled."""

    levels: Levels
    resolved: MaskSet
    merged: MaskSet
    repaired: MaskSet


@dataclass(frozen=True)
class ESam:
    """How entities are found; by default as the paper has it where that says it. least_area_px: smaller parts are
    none.
    """

    options: ESamOptions = ESamOptions()
    least_area_px: int = 12

    def forest(self, image: np.ndarray, embedded: Embedded) -> EntityForest:
        """Entities and their parts of an image (H, W, 3) uint8 that was embedded."""
        return self.nested(self.steps(image, embedded))

    def steps(self, image: np.ndarray, embedded: Embedded) -> Steps:
        """What each step leaves of an image (H, W, 3) uint8 that was embedded."""
        superpixels = felzenszwalb(image, channel_axis=-1, **FELZENSZWALB).astype(np.int64)

        def predict(points: np.ndarray) -> MaskSet:
            return embedded.predict(points[:, None])

        return self.steps_of_superpixels(superpixels, predict, embedded.features)

    def nested(self, steps: Steps) -> EntityForest:
        """The forest of the last step's entities, and of the first one's parts in them."""
        return nested(steps.repaired, steps.levels.parts, steps.levels.subparts, self.least_area_px)

    def of_superpixels(
        self, superpixels: np.ndarray, predict: Predict, features: Callable[[np.ndarray], np.ndarray]
    ) -> EntityForest:
        """Entities and their parts by three steps. superpixels: (H, W) ids from 0; features: points (P, 2), x and y,
        to (P, D).
        """
        return self.nested(self.steps_of_superpixels(superpixels, predict, features))

    def steps_of_superpixels(
        self, superpixels: np.ndarray, predict: Predict, features: Callable[[np.ndarray], np.ndarray]
    ) -> Steps:
        """What each step leaves; as `of_superpixels`."""
        options, (height, width) = self.options, superpixels.shape
        extent = np.array([width, height])
        levels = mask_generation(predict, grid(options.points_per_side) * extent, superpixels, options)
        gallery = Gallery.of(predict, grid(options.gallery_per_side) * extent, options.score_gap)
        described = features(centroids(superpixels)[:, ::-1] + 0.5)
        split = resolved(levels.objects, gallery, options)
        joined = merged(split, gallery, superpixels, described, options)
        return Steps(levels, split, joined, repaired(joined, levels.parts, superpixels, predict, options))


def nested(entities: MaskSet, part_masks: MaskSet, subparts: MaskSet, least_area: int) -> EntityForest:
    """The forest of entities that share no pixel, and of what lies within: a node is coarser the more levels it holds,
    by a half each, so that a cut at 1 has the finest parts, and one at 0 the entities.
    """
    leaves = np.zeros(entities.shape, np.int32)
    parents: list[int] = []
    scores: list[float] = []
    heights: list[int] = []

    def grow(mask: np.ndarray, score: float, parent: int, below: list[MaskSet]) -> int:
        parents.append(parent)
        scores.append(score)
        heights.append(0)
        number = len(parents)
        leaves[mask] = number
        members = nested_in([mask], below[0], least_area)[0] if below else []
        heights[number - 1] = 1 + max((grow(*piece, number, below[1:]) for piece in members), default=-1)
        return heights[number - 1]

    for mask, score in zip(entities, entities.scores.tolist(), strict=True):
        grow(mask, score, 0, [part_masks, subparts])
    g = 1 - np.array(heights, np.float32) / 2
    gone = np.full(len(parents), NEVER, np.float32)
    sureness = np.clip(np.array(scores, np.float32), 0, 1)  # a predicted IoU may leave [0, 1]
    return EntityForest(leaves, Nodes(np.array(parents, np.int32), g, gone, sureness))


def roots_first(forest: EntityForest) -> EntityForest:
    """The same forest, its roots numbered first, in their order: so its cut at `WHOLE` has the numbers of its nodes."""
    nodes = forest.nodes
    order = np.argsort(nodes.parents > 0, kind="stable")
    number = np.zeros(nodes.count + 2, np.int32)  # of a node by that which it had; of 0 and -1 themselves
    number[order + 1] = np.arange(1, nodes.count + 1)
    number[-1] = UNLABELLED
    columns = (column[order] for column in (nodes.g, nodes.gone, nodes.scores))
    return EntityForest(number[forest.leaves], Nodes(number[nodes.parents][order], *columns), forest.pixel_scores)
