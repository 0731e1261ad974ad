"""The partition term: masks should share the image without gaps and without overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adapters.losses.primitives import share_of_cells
from adapters.options import losses as options
from domains.entities import EntityBatch


@dataclass(frozen=True)
class Partition(options.Partition):
    """gaps + overlaps of the query decoder's masks, on their own grid.

    claims = sum over queries of objectness x mask score, per cell: how often the cell is taken. Where truth has an
    entity it should be 1, elsewhere at most 1:
    gaps = mean of max(0, 1 - claims) over entity pixels; overlaps = mean of max(0, claims - 1) over labelled pixels.
    Both are means over the whole batch, each cell weighted by its share of such pixels.
    """

    def __call__(self, outputs: Mapping[str, Any], batch: EntityBatch) -> Tensor:
        scores = outputs["mask_logits"].float().sigmoid().flatten(2)  # (B, Q, h * w)
        stride = batch.ids.shape[-1] // outputs["mask_logits"].shape[-1]
        claims = torch.einsum("bq,bqc->bc", outputs["object_logits"].float().sigmoid(), scores)
        entity, labelled = batch.ids > 0, batch.labelled
        if batch.pixel_weights is not None:
            entity, labelled = entity * batch.pixel_weights, labelled * batch.pixel_weights
        entity, labelled = share_of_cells(entity, stride), share_of_cells(labelled, stride)  # (B, h * w)
        gaps = (entity * (1 - claims).relu()).sum() / entity.sum().clamp(min=1)
        overlaps = (labelled * (claims - 1).relu()).sum() / labelled.sum().clamp(min=1)
        return gaps + overlaps
