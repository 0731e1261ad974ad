"""Entities of the query decoder: each query's mask, painted on one map, the strongest on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.proposals.proposals import Proposals
from domains.entities import EntityMap
from domains.entities.forest import EntityForest
from domains.errors import InputError

Prepared = tuple[Tensor, Tensor, tuple[int, int]]
"""Mask logits (Q, h, w), quality (Q,) in [0, 1], and the size (H, W)."""


class PaintOptions(Protocol):
    """What painting reads of a decoder's options; ranges and meanings stand there."""

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]]

    @property
    def mask_stride(self) -> int:
        """Pixels of the image per cell of a mask."""
        ...

    @property
    def score_threshold(self) -> float:
        """The least score of a query that counts, in [0, 1]."""
        ...

    @property
    def mask_threshold(self) -> float:
        """The least probability of a pixel inside a mask."""
        ...

    @property
    def min_area_px(self) -> int:
        """The least area of an entity, in pixels."""
        ...


@dataclass(frozen=True)
class Painted(Proposals):
    """One entity a query at most; the score is objectness x predicted IoU x mean mask score. Nothing is nested."""

    options: PaintOptions

    @property
    def granularity(self) -> float:
        """1: there is but one."""
        return 1.0

    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """The least score, and the threshold of the masks."""
        return self.options.TUNED

    def prepared(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> Prepared:
        """Logits and quality of one image; raises InputError where they are not finite."""
        logits, objects, ious = (outputs[key][index].float() for key in ("mask_logits", "object_logits", "iou_logits"))
        quality = objects.sigmoid() * ious.sigmoid()
        if not (logits.isfinite().all() and quality.isfinite().all()):
            raise InputError("the query decoder gave NaN; look for NaN in the image, or train again at a lower lr")
        return logits, quality, size

    def forest(self, prepared: Prepared, nested: bool = True) -> EntityForest:
        """A flat forest: queries are no parts of one another."""
        return EntityForest.flat(paint(*prepared, self.options))


@torch.no_grad()
def paint(logits: Tensor, quality: Tensor, size: tuple[int, int], options: PaintOptions) -> EntityMap:
    """Mask logits (Q, h, w) and quality (Q,) in [0, 1] to one map: each pixel goes to its strongest query.

    A query is kept when quality x mean mask score reaches `score_threshold`; strength is that score x mask score.
    One full-size mask is held at a time, so memory does not grow with the number of queries.
    """
    strongest = torch.zeros(size, device=logits.device)
    ids = torch.zeros(size, dtype=torch.int32, device=logits.device)
    scores = np.zeros(len(logits), np.float32)
    candidates = (quality >= options.score_threshold).nonzero()[:, 0].tolist()  # a mean mask score only lowers it
    for q in candidates:
        mask = F.interpolate(logits[None, q : q + 1], scale_factor=options.mask_stride, mode="bilinear")[0, 0]
        mask = mask[: size[0], : size[1]].sigmoid()
        inside = mask > options.mask_threshold
        score = quality[q] * mask[inside].mean()  # NaN, so not kept, where the mask is empty
        if score >= options.score_threshold:
            wins = inside & (score * mask > strongest)
            strongest[wins] = score * mask[wins]
            ids[wins] = q + 1
            scores[q] = float(score)
    painted = ids.cpu().numpy()
    areas = np.bincount(painted.ravel(), minlength=len(logits) + 1)
    painted[(areas < options.min_area_px)[painted]] = 0
    return EntityMap.from_ids(painted, scores)
