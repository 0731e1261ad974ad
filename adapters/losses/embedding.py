"""Pixel embeddings: pull the pixels of an entity together, push entities apart.

De Brabandere et al., Semantic Instance Segmentation with a Discriminative Loss Function, CVPRW 2017,
https://arxiv.org/abs/1708.02551, equations 1 to 3. Departure: the mean over entities is taken over the whole batch, so
that an image without entities adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.losses.primitives import FlatEntities
from adapters.options import losses as options
from domains.entities import EntityBatch


@dataclass(frozen=True)
class Embedding(options.Embedding):
    """pull + push + regularise x size, on `embedding` (B, E, H, W); background and unlabelled pixels take no part."""

    def __call__(self, outputs: Mapping[str, Tensor], batch: EntityBatch) -> Tensor:
        field = outputs["embedding"].float()
        entities = FlatEntities.of(batch.ids)
        if not len(entities):
            return 0 * field.mean()
        image, y, x = entities.pixels.T
        pixels = field[image, :, y, x]  # (P, E)
        means = scatter_mean(pixels, entities.entity, len(entities))  # (N, E)
        stray = torch.linalg.vector_norm(pixels - means[entities.entity], dim=1) - self.pull_margin
        pulls = scatter_mean(stray.relu().square(), entities.entity, len(entities))
        pull = pulls.mean()
        if batch.pixel_weights is not None:
            number = torch.arange(len(entities), device=pulls.device) - entities.starts[entities.image]
            weights = batch.weights[entities.image, number]
            pull = (pulls * weights).sum() / weights.sum().clamp(min=1e-6)
        size = torch.linalg.vector_norm(means, dim=1).mean()
        return pull + self.push(means, entities) + self.regularise * size + 0 * field.mean()

    def push(self, means: Tensor, entities: FlatEntities) -> Tensor:
        """Mean over the pairs of entities that share an image of (2 delta_d - distance)^2 where they are too near."""
        starts = entities.starts.tolist()
        gaps = [torch.pdist(means[a:b]) for a, b in zip(starts, starts[1:], strict=False) if b - a > 1]
        if not gaps:
            return means.new_zeros(())
        return (2 * self.push_margin - torch.cat(gaps)).relu().square().mean()


def scatter_mean(values: Tensor, index: Tensor, count: int) -> Tensor:
    """(count, ...): mean of the values (P, ...) at each index (P,)."""
    total = values.new_zeros((count, *values.shape[1:])).index_add(0, index, values)
    members = torch.bincount(index, minlength=count).clamp(min=1).to(values.dtype)
    return total / members.view(-1, *[1] * (values.ndim - 1))
