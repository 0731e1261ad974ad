"""What a prompt says of an image without any attention: what lies near it, and what looks like what it points at.

A mask decoder that starts from nothing needs long to learn that a click means the place where it is. Here its logits
are added to two terms that know it from the first step on: how far a pixel is from the points, in radii that are read
from the image where they lie, or from the middle of a box, in its half axes (the ellipse that fills it); and how alike
a pixel is to the pixels pointed at, in features that learn for this.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 2
DIM = 32
RADII_PX = (16.0, 8.0, 16.0, 40.0)
"""At first: of the single mask, and of the three."""
NEAREST, FARTHEST = 4.0, -6.0
"""Logits where a prompt is, and far away from it; between them they fall with the distance, through 0 at a radius."""
ALIKE, THRESHOLD = 5.0, 0.5
"""At first: by how much a logit rises with the cosine of two features, and the cosine from which on it is above 0."""
OUTSIDE_PX = 8.0
"""How far a point outside of an entity reaches."""
IN_BOX = torch.tensor([(x, y) for y in (-0.3, 0.0, 0.3) for x in (-0.3, 0.0, 0.3)])
"""Where a box is looked at, in its half axes from its middle."""


class Marks(NamedTuple):
    """Prompts in pixels of an image. points: (P, n, 2), n perhaps 0; inside: (P, n) 1, 0 outside, -1 no point; boxes:
    (P, 4), or None.
    """

    points: Tensor
    inside: Tensor
    boxes: Tensor | None

    def looked_at(self) -> tuple[Tensor, Tensor]:
        """(P, m, 2) pixels whose features say what is meant, and (P, m) their weights, of a sum of 1 or of 0."""
        points, weights = self.points, (self.inside == 1).float()
        if self.boxes is not None:
            middle, half = middles(self.boxes)
            points = torch.cat([points, middle[:, None] + half[:, None] * IN_BOX.to(half)], 1)
            weights = torch.cat([weights, weights.new_full((len(weights), len(IN_BOX)), 1 / len(IN_BOX))], 1)
        return points, weights / weights.sum(1, keepdim=True).clamp_min(1e-6)


class Near(nn.Module):
    """Logits of nearness and likeness, to which those of a mask decoder are added.

    width: channels of the embedding at stride 8; a quarter and an eighth of it have the details at strides 4 and 2.
    """

    radii: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(channels, DIM, 1) for channels in (width, width // 4, width // 8))
        settings = nn.Linear(width, 4 * len(RADII_PX))
        nn.init.zeros_(settings.weight)
        nn.init.zeros_(settings.bias)
        self.settings = nn.Sequential(nn.Linear(2 * width + width // 8, width), nn.GELU(), settings)
        self.register_buffer("radii", torch.tensor(RADII_PX), persistent=False)

    def features(self, embedding: Tensor, details: list[Tensor]) -> Tensor:
        """(1, D, 4 h, 4 w) unit features of an embedding (1, C, h, w) and its details, told apart by their angle."""
        height, width = details[-1].shape[-2:]
        levels = [layer(level) for layer, level in zip(self.levels, (embedding, *details), strict=True)]
        sized = [F.interpolate(x, (height, width), mode="bilinear", align_corners=False) for x in levels[:-1]]
        return F.normalize(sum(sized, levels[-1]), dim=1)

    def forward(self, features: Tensor, marks: Marks, described: Tensor) -> Tensor:
        """(P, 4, 4 h, 4 w) logits of the single mask and of the three. described: (P, 2 C + C / 8), what is seen where
        the prompts are, and their granularities.
        """
        settings = self.settings(described).view(len(described), -1, len(RADII_PX), 1, 1)
        radius, alike, threshold, near = settings.unbind(1)  # (P, 4, 1, 1) each
        nearness = self.nearness(features.shape[-2:], marks, self.radii[:, None, None] * radius.clamp(-3, 3).exp())
        likeness = self.likeness(features, marks, threshold)
        return near.clamp(-2, 1).exp() * nearness + ALIKE * alike.clamp(-2, 2).exp() * likeness

    def nearness(self, size: torch.Size, marks: Marks, radii: Tensor) -> Tensor:
        """(P, 4, h, w) of masks of a size (h, w). radii: (P, 4, 1, 1) in pixels."""
        y, x = (STRIDE * torch.arange(side, device=radii.device) + (STRIDE - 1) / 2 for side in size)
        places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # (h, w, 2)
        away = distances(places, marks.points, marks.inside == 1)[:, None]  # (P, 1, h, w)
        if marks.boxes is None:
            logits = fallen(away / radii)
        else:
            middle, half = middles(marks.boxes)
            inside = ((places - middle[:, None, None]) / half[:, None, None].clamp_min(0.5)).square().sum(-1)
            logits = fallen(inside)[:, None].expand(-1, len(RADII_PX), -1, -1)
        outside = fallen(distances(places, marks.points, marks.inside == 0) / OUTSIDE_PX).clamp_min(0)
        return logits - 2 * outside[:, None]

    def likeness(self, features: Tensor, marks: Marks, threshold: Tensor) -> Tensor:
        """(P, 4, h, w) cosines less the threshold (P, 4, 1, 1), or less that with what a point lies outside of, where
        this is higher.
        """
        points, weights = marks.looked_at()
        meant = F.normalize((sampled(features, points, STRIDE) * weights[..., None]).sum(1), dim=1)  # (P, D)
        cosines = torch.einsum("pd,dhw->phw", meant, features[0])[:, None]
        bar = THRESHOLD + threshold.clamp(-1, 1)
        if bool((marks.inside == 0).any()):
            foreign = torch.einsum("pnd,dhw->pnhw", sampled(features, marks.points, STRIDE), features[0])
            foreign = foreign.masked_fill((marks.inside != 0)[..., None, None], -math.inf).amax(1, keepdim=True)
            bar = torch.maximum(bar, foreign)
        return cosines - bar


def fallen(radii: Tensor) -> Tensor:
    """Logits at distances in radii."""
    return (NEAREST * (1 - radii)).clamp(FARTHEST, NEAREST)


def middles(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """(P, 2) middles and half axes of boxes (P, 4), whose corners are edges of pixels, as pixels are counted."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return (low + high) / 2 - 0.5, (high - low).abs() / 2


def distances(places: Tensor, points: Tensor, counted: Tensor) -> Tensor:
    """(P, h, w) of places (h, w, 2) to the nearest of points (P, n, 2) that count (P, n); infinite where none does."""
    if not points.shape[1]:
        return places.new_full((len(points), *places.shape[:2]), math.inf)
    away = (places - points[:, :, None, None]).square().sum(-1).sqrt()  # (P, n, h, w)
    return away.masked_fill(~counted[..., None, None], math.inf).amin(1)


def sampled(level: Tensor, points: Tensor, stride: int) -> Tensor:
    """(P, n, C) of a map (1, C, h, w) of that stride at pixels (P, n, 2), between its cells bilinearly."""
    if not points.shape[1]:
        return points.new_zeros(*points.shape[:2], level.shape[1])
    height, width = (stride * side for side in level.shape[-2:])
    places = 2 * (points + 0.5) / points.new_tensor([width, height]) - 1
    values = F.grid_sample(level, places[None], padding_mode="border", align_corners=False)
    return values[0].permute(1, 2, 0)
