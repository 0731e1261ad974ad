"""The boundary term: does a pixel lie on the inner rim of its entity, and of how coarse a one?

Of a nested truth the rims of wholes may be stronger than those of parts: an ultrametric contour map (Arbelaez et al.,
Contour Detection and Hierarchical Image Segmentation, TPAMI 33(5), 2011), which `decoder.merging=rims` reads back as a
forest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.options import losses as options
from domains.entities import UNLABELLED, EntityBatch

NESTED_LEVELS = 3
"""Whole, part, and all that is finer."""


@dataclass(frozen=True)
class Boundary(options.Boundary):
    """Balanced binary cross-entropy of `boundary` logits (B, 1, H, W): half the mean over rim pixels, half over others.

    Balanced as in HED (Xie and Tu, ICCV 2015), since few pixels are rim. A side without pixels adds nothing. `nested`:
    the target is the strength of `nested_target` in place of 1.
    """

    def __call__(self, outputs: Mapping[str, Tensor], batch: EntityBatch) -> Tensor:
        truth, valid = nested_target(batch.ids, batch.parents) if self.nested else boundary_target(batch.ids)
        if batch.pixel_weights is not None:
            valid = valid * batch.pixel_weights
        errors = F.binary_cross_entropy_with_logits(outputs["boundary"].float()[:, 0], truth, reduction="none")
        on_rim = (truth > 0).float()
        rim, inside = on_rim * valid, (1 - on_rim) * valid
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


def nested_target(ids: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
    """As `boundary_target`, with the strength of each rim pixel in (0, 1]: 1 where it parts wholes, or a whole from the
    ground, 2/3 where it parts what lies in one whole, 1/3 where it parts what lies in one part.

    ids: (B, H, W), the deepest entity at each pixel; parents: (B, N) what holds each, 0 for none.
    """
    target, valid = boundary_target(ids)
    up = F.pad(parents.long(), (1, 0))  # (B, N + 1)
    line = [torch.arange(up.shape[1], device=ids.device).expand_as(up)]
    while bool(line[-1].any()):
        line.append(up.gather(1, line[-1]))
    ancestors = torch.stack(line)  # (D, B, N + 1): each itself, what holds it, and so on; 0 where there is no more
    depth = (ancestors[1:] > 0).sum(0)
    target /= NESTED_LEVELS
    for level in range(NESTED_LEVELS - 1):
        table = ancestors.gather(0, (depth - level).clamp_min(0)[None])[0]
        entities = table.gather(1, ids.long().clamp_min(0).flatten(1)).view(ids.shape).to(ids.dtype)
        rim, _ = boundary_target(torch.where(ids < 0, ids, entities))
        target = torch.maximum(target, rim * (1 - level / NESTED_LEVELS))
    return target, valid
