"""Losses of the dense decoder: foreground, and the two distance fields masked to the foreground.

Distances after micro-sam (Archit et al., Nature Methods 2025), which takes a Dice-like loss; plain L1 did as well in
our trials and has a gradient that does not depend on how much foreground a crop holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.losses.primitives import FlatEntities
from adapters.losses.targets import DenseTargets
from adapters.options import losses as options
from domains.entities import EntityBatch

REFERENCE_PX = 256  # an entity of this area weighs as the background does, whatever the exponent
WEIGHT_RANGE = (0.1, 10.0)


@dataclass(frozen=True)
class Foreground(options.Foreground):
    """Binary cross-entropy plus Dice on `foreground` logits (B, 1, H, W), unlabelled pixels left out.

    Dice is taken over the whole batch, so that an image without entities neither divides by zero nor pulls every
    pixel of a batch of defects to the background.
    """

    def __call__(self, outputs: Mapping[str, Tensor], batch: EntityBatch) -> Tensor:
        targets = targets_of(batch)
        logits = outputs["foreground"].float()[:, 0]  # (B, H, W)
        truth, weight = targets.foreground, targets.labelled
        if self.area_exponent:
            weight = weight * area_weights(batch.ids, self.area_exponent)
        if batch.pixel_weights is not None:
            weight = weight * batch.pixel_weights
        bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        bce = (bce * weight).sum() / weight.sum().clamp(min=1)
        scores = logits.sigmoid() * weight
        dice = 1 - (2 * (scores * truth).sum() + 1) / (scores.sum() + (truth * weight).sum() + 1)
        return bce + dice


def area_weights(ids: Tensor, exponent: float) -> Tensor:
    """(B, H, W) weights of the pixels of ids (B, H, W): 1 off entities, (REFERENCE_PX / area) ** exponent on them."""
    entities = FlatEntities.of(ids)
    areas = torch.bincount(entities.entity, minlength=len(entities)).float()
    weights = torch.ones(ids.shape, device=ids.device)
    weights[entities.pixels.unbind(1)] = (REFERENCE_PX / areas).pow(exponent).clamp(*WEIGHT_RANGE)[entities.entity]
    return weights


@dataclass(frozen=True)
class BoundaryDistance(options.BoundaryDistance):
    """Mean absolute error of `boundary_distance` (B, 1, H, W) in [0, 1], over foreground pixels."""

    def __call__(self, outputs: Mapping[str, Tensor], batch: EntityBatch) -> Tensor:
        targets = targets_of(batch)
        return masked_l1(outputs["boundary_distance"], targets.boundary_distance, counted(targets.foreground, batch))


@dataclass(frozen=True)
class CentreDistance(options.CentreDistance):
    """Mean absolute error of `centre_distance` (B, 1, H, W) in [0, 1], over foreground pixels."""

    def __call__(self, outputs: Mapping[str, Tensor], batch: EntityBatch) -> Tensor:
        targets = targets_of(batch)
        return masked_l1(outputs["centre_distance"], targets.centre_distance, counted(targets.foreground, batch))


def counted(mask: Tensor, batch: EntityBatch) -> Tensor:
    """A mask (B, H, W) of pixels, each by the weight of its entity."""
    return mask if batch.pixel_weights is None else mask * batch.pixel_weights


def masked_l1(field: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean |sigmoid(field) - truth|, weighted by the mask; zero where that is. field (B, 1, H, W) logits."""
    error = (field.float().sigmoid()[:, 0] - truth).abs()
    return (error * mask).sum() / mask.sum().clamp(min=1)


def targets_of(batch: EntityBatch) -> DenseTargets:
    """Targets of a batch, computed once for all the terms that want them."""
    return _targets(_ById(batch))


class _ById:
    """A batch as a cache key: by identity, since tensors have no value to compare cheaply."""

    def __init__(self, batch: EntityBatch) -> None:
        self.batch = batch

    def __hash__(self) -> int:
        return id(self.batch)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.batch is self.batch


@lru_cache(maxsize=2)
def _targets(key: _ById) -> DenseTargets:
    return DenseTargets.of(key.batch.ids)
