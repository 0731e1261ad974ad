"""Entities of a decoder that answers prompts: a grid of points asks, and of masks that overlap the surest are entities.

The masks are those of `automatic`, without its NMS of boxes, which knows nothing of what a flat map wants. The surest
mask is an entity, then the next one with the pixels that are free, unless surer ones have taken most of it. The other
masks are parts and groups of the entities in the forest (`nested_prompts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from adapters.proposals.automatic import Embedded, grid, stability
from adapters.proposals.mask_set import Bits, MaskSet, mask_nms
from adapters.proposals.nested_prompts import ENTITIES, nested_masks
from adapters.proposals.proposals import Proposals
from domains.entities import EntityMap
from domains.entities.forest import EntityForest, Levels

ALIKE = 0.8
"""IoU from which on the less sure of two masks adds nothing to a forest."""
GENERATIONS = 4
"""Of parts, and of groups, whose granularities are levels of a scene's forest."""
Look = Callable[[Mapping[str, Any], int, tuple[int, int]], Embedded]
"""From a batch's outputs, a number in it and the size (H, W) of that image to what takes prompts."""


class GridOptions(Protocol):
    """What is read of a decoder's options; ranges and meanings stand there."""

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]]

    @property
    def points_per_side(self) -> int:
        """Of the grid."""
        ...

    @property
    def least_iou(self) -> float:
        """The least predicted IoU."""
        ...

    @property
    def least_stability(self) -> float:
        """The least stability."""
        ...

    @property
    def most_taken(self) -> float:
        """The largest share of a mask that surer ones have taken, if it is an entity."""
        ...

    @property
    def min_area_px(self) -> int:
        """The least area of an entity, in pixels."""
        ...


@dataclass(frozen=True)
class GridMasks(Proposals):
    """Masks of a grid of points, the surest first; scores are predicted IoUs, within [0, 1]."""

    options: GridOptions
    look: Look

    @property
    def granularity(self) -> float:
        """That of entities which have parts, always."""
        return ENTITIES

    @property
    def levels(self) -> Levels:
        """Half, then halfway to 1 from generation to generation of parts, and halfway to 0 of groups."""
        halves = [0.5**generation for generation in range(1, GENERATIONS + 1)]
        return Levels.of({1.0, *halves, *(0.5 + half / 2 for half in halves)}, ENTITIES)

    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """The least predicted IoU and stability, how much of an entity may be taken, and its least area."""
        return self.options.TUNED

    def prepared(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> MaskSet:
        """All masks of the grid that a calibration could let through, the surest first."""
        embedded = self.look(outputs, index, size)
        options = self.options
        least, steady = (min(getattr(options, name), *options.TUNED[name]) for name in ("least_iou", "least_stability"))
        height, width = size
        points = grid(options.points_per_side) * (width, height)
        bits, rows = [], []
        for batch in embedded.candidates(points[:, None], least_iou=least):
            columns = (batch.ious.tolist(), batch.prompts.tolist(), batch.levels.tolist())
            for logits, *row in zip(batch.logits, *columns, strict=True):
                field = embedded.upsampled(logits)
                steadiness = stability(field)
                if steadiness >= steady:
                    bits.append(Bits.of((field > 0).cpu().numpy()))
                    rows.append((row[0], steadiness, *row[1:]))
        masks = MaskSet.of_bits(size, bits, *np.array(rows, float).reshape(-1, 4).T)
        return masks.take(np.argsort(-masks.scores, kind="stable"))

    def masks(self, prepared: MaskSet) -> MaskSet:
        """Those that pass the thresholds as they are, the surest first."""
        options = self.options
        sure = (prepared.scores >= options.least_iou) & (prepared.stability >= options.least_stability)
        return prepared.take(sure & (prepared.areas >= max(options.min_area_px, 1)))

    def forest(self, prepared: MaskSet, nested: bool = True) -> EntityForest:
        """Entities, and with `nested` the other masks as parts and groups of them."""
        masks = self.masks(prepared)
        entities = surest_first(masks, self.options.most_taken, self.options.min_area_px)
        return nested_masks(entities, masks.take(mask_nms(masks, ALIKE))) if nested else EntityForest.flat(entities)


def surest_first(masks: MaskSet, most_taken: float, min_area_px: int) -> EntityMap:
    """The flat map of masks, the surest first: each has the pixels that are free, unless of its own more than a share
    are taken or too few are left.
    """
    ids = np.zeros(masks.shape, np.int32)
    scores = []
    for number in range(len(masks)):
        down, across, crop = masks.pixels(number)
        seen = ids[down, across]
        free = crop & (seen == 0)
        count, area = np.count_nonzero(free), masks.areas[number]
        if count < max(min_area_px, 1) or area - count > most_taken * area:
            continue
        scores.append(float(np.clip(masks.scores[number], 0, 1)))
        seen[free] = len(scores)
    return EntityMap(ids, np.array(scores, np.float32))
