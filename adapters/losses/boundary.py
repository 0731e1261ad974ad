"""The boundary term: does a pixel lie on the inner rim of its entity?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.options import losses as options
from domains.entities import UNLABELLED, EntityBatch


@dataclass(frozen=True)
class Boundary(options.Boundary):
    """Balanced binary cross-entropy of `boundary` logits (B, 1, H, W): half the mean over rim pixels, half over others.

    Balanced as in HED (Xie and Tu, ICCV 2015), since few pixels are rim. A side without pixels adds nothing.
    """

    def __call__(self, outputs: Mapping[str, Tensor], batch: EntityBatch) -> Tensor:
        truth, valid = boundary_target(batch.ids)
        if batch.pixel_weights is not None:
            valid = valid * batch.pixel_weights
        errors = F.binary_cross_entropy_with_logits(outputs["boundary"].float()[:, 0], truth, reduction="none")
        rim, inside = truth * valid, (1 - truth) * valid
        return torch.stack([(errors * side).sum() / side.sum().clamp(min=1) for side in (rim, inside)]).mean()


def boundary_target(ids: Tensor) -> tuple[Tensor, Tensor]:
    """(target, valid) of maps (B, H, W), both (B, H, W) float32 of 0 and 1.

    target: entity pixels with a labelled 4-neighbour that is not of the same entity; the image's frame is no boundary.
    valid: labelled pixels, less the entity pixels of which only an unlabelled neighbour could tell.
    """
    around = F.pad(ids.float()[:, None], (1, 1, 1, 1), mode="replicate")[:, 0].to(ids.dtype)
    neighbours = torch.stack([around[:, :-2, 1:-1], around[:, 2:, 1:-1], around[:, 1:-1, :-2], around[:, 1:-1, 2:]])
    entity = ids > 0
    target = entity & ((neighbours != ids) & (neighbours != UNLABELLED)).any(0)
    unsure = entity & ~target & (neighbours == UNLABELLED).any(0)
    valid = (ids != UNLABELLED) & ~unsure
    return target.float(), valid.float()
