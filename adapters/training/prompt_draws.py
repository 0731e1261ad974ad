"""Prompts as a user would give them, drawn from the truth of a crop: points, boxes, granularities, corrections.

Kirillov et al., https://arxiv.org/abs/2304.02643, appendix A: a point anywhere in an entity or its box, its corners off
by a tenth of a side, and then points where the mask is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.decoders.prompt_batch import Prompted
from domains.entities import UNLABELLED

STRIDE = 2
"""Of the masks that the prompt decoder of a base which is no SAM makes."""
LEAST_PX = 12
"""Smaller entities are not asked for."""
JITTER, MOST_JITTER_PX = 0.1, 20.0
UNKNOWN_ABOVE = 0.5
"""Where no entity of a crop has parts they may not have been drawn: only up to here is an entity itself for sure."""


@dataclass(frozen=True)
class Crop:
    """The truth of a crop. ids: (H, W), the deepest entity at each pixel; parents: (N,) what holds each, 0 for none;
    stride: pixels along a side of the cells in which masks are compared.
    """

    ids: Tensor
    parents: Tensor
    stride: int = STRIDE

    @cached_property
    def chains(self) -> Tensor:
        """(N + 1, D): each entity, then what holds it, and so on, 0 where there is nothing more."""
        up = F.pad(self.parents, (1, 0))
        chains = [torch.arange(len(up))]
        while chains[-1].any() and len(chains) <= len(up):
            chains.append(up[chains[-1]])
        return torch.stack(chains[:-1] or chains, 1)

    @cached_property
    def holds(self) -> Tensor:
        """(N + 1, N + 1) bool: whether the pixels of entity j are of entity i too."""
        count = len(self.chains)
        holds = torch.zeros(count, count, dtype=torch.bool)
        holds[self.chains, torch.arange(count)[:, None]] = True
        holds[0] = holds[:, 0] = False
        return holds

    @cached_property
    def granularity(self) -> tuple[Tensor, Tensor]:
        """(low, high), (N + 1,) each: between them an entity is the one that a point in it means. As in a forest: 1 for
        what holds nothing, a half less for every level that it holds.
        """
        depth = (self.chains > 0).sum(1)
        below = torch.where(self.holds, depth[None], 0).amax(1) - depth  # levels that each holds
        high = (1 - below.clamp_min(0) / 2).clamp_min(0)
        up = F.pad(self.parents, (1, 0))
        low = torch.where(up > 0, high[up], torch.zeros(()))
        if not bool(self.parents.any()):
            high = high.clamp_max(UNKNOWN_ABOVE)
        return low, torch.maximum(low, high)

    @property
    def labelled(self) -> Tensor:
        """(h, w) the share of each cell where truth is known."""
        return F.avg_pool2d((self.ids != UNLABELLED)[None].float(), self.stride)[0]

    def masks(self, entities: Tensor) -> Tensor:
        """(..., H, W) bool of entities (...), with all that lies in them."""
        return self.holds[entities][..., self.ids.clamp_min(0)]

    def shares(self, entities: Tensor) -> Tensor:
        """(..., h, w) the share of each cell that entities (...) cover."""
        masks = self.masks(entities).float()
        shares = F.avg_pool2d(masks.flatten(0, -3)[:, None], self.stride)[:, 0]
        return shares.view(*entities.shape, *self.labelled.shape)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) entities, each as likely as any; fewer than `count`, none, where there is none to be asked for."""
        exclusive = torch.bincount(self.ids.clamp_min(0).flatten(), minlength=len(self.chains))
        areas = (self.holds * exclusive).sum(1)
        eligible = (areas >= LEAST_PX).nonzero()[:, 0]
        if not len(eligible):
            return eligible
        return eligible[torch.randint(len(eligible), (count,), generator=generator)]


WAYS = ("points", "granularity", "boxes")
"""Of asking: a point, a point with a granularity, a box."""


@dataclass(frozen=True)
class Asked:
    """Prompts alike, each of an entity of a crop. way: of `WAYS`; entities: (P,); deepest: (P,) the deepest entity at
    each point, the entity itself where a box is asked with.
    """

    crop: Crop
    way: str
    entities: Tensor
    deepest: Tensor
    prompts: Prompted

    @classmethod
    def drawn(cls, crop: Crop, entities: Tensor, way: str, generator: torch.Generator) -> Asked:
        """The first prompts of entities (P,), in one of `WAYS`: a point, a point with a granularity, or a box."""
        masks = crop.masks(entities)
        if way == "boxes":
            return cls(crop, way, entities, entities, Prompted(boxes=draw_boxes(masks, generator)))
        points = draw_points(masks, 1, generator)
        x, y = points[:, 0].long().unbind(1)
        labels = torch.ones(len(points), 1, dtype=torch.int32)
        granularity = draw_granularity(crop, entities, points[:, 0], generator) if way == "granularity" else None
        prompts = Prompted(points, labels, granularity=granularity)
        return cls(crop, way, entities, crop.ids[y, x], prompts)

    def meant(self) -> tuple[Tensor, Tensor]:
        """(P, D, h, w) shares of cells and (P, D) bool, which of them there are: of the entity that is asked
        for, and of the others that its point lies in.
        """
        chains = self.crop.chains[self.deepest]
        chains = torch.where(chains == self.entities[:, None], 0, chains)
        entities = torch.cat([self.entities[:, None], chains], 1)
        return self.crop.shares(entities), entities > 0


def draw_points(masks: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(P, count, 2) x and y of pixels of each mask (P, H, W) bool; of an empty one any."""
    flat = masks.flatten(1).float()
    flat = torch.where(flat.any(1, keepdim=True), flat, torch.ones(()))
    pixels = torch.multinomial(flat, count, replacement=True, generator=generator)  # (P, count)
    return torch.stack([pixels % masks.shape[-1], pixels // masks.shape[-1]], 2).float()


def draw_boxes(masks: Tensor, generator: torch.Generator) -> Tensor:
    """(P, 4) x0, y0, x1, y1 around masks (P, H, W) bool, none empty, each corner somewhat off."""
    boxes = []
    for along in (masks.any(1), masks.any(2)):  # (P, W), (P, H)
        begin = along.int().argmax(1)
        boxes.append(torch.stack([begin, along.shape[1] - along.flip(1).int().argmax(1)], 1))
    (x0, x1), (y0, y1) = (sides.float().unbind(1) for sides in boxes)
    sides = torch.stack([x1 - x0, y1 - y0], 1).repeat(1, 2)
    off = (sides * JITTER).clamp_max(MOST_JITTER_PX) * torch.randn(sides.shape, generator=generator).clamp(-2, 2)
    return torch.stack([x0, y0, x1, y1], 1) + off


def draw_granularity(crop: Crop, entities: Tensor, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """(P,) granularities at which points (P, 2) mean entities (P,): up to 1 for the deepest at a pixel."""
    low, high = (bound[entities] for bound in crop.granularity)
    x, y = pixels.long().unbind(1)
    deepest = (crop.ids[y, x] == entities) & bool(crop.parents.any())
    high = torch.where(deepest, torch.ones(()), high)
    return low + (high - low) * torch.rand(len(entities), generator=generator)


def corrected(
    prompts: Prompted, masks: Tensor, truth: Tensor, count: int, generator: torch.Generator, stride: int = STRIDE
) -> Prompted:
    """The prompts with `count` points more each, where masks (P, h, w) are wrong: inside where they lack, outside where
    they spill. truth: (P, h, w) bool; both at the stride of masks. Where nothing is wrong the points
    are anywhere.
    """
    cells = draw_points(masks != truth, count, generator)  # (P, count, 2)
    x, y = cells.long().unbind(2)
    labels = truth[torch.arange(len(truth))[:, None], y, x].int()
    points = stride * cells + torch.randint(stride, cells.shape, generator=generator)
    if prompts.points is not None and prompts.labels is not None:
        points, labels = torch.cat([prompts.points, points], 1), torch.cat([prompts.labels, labels], 1)
    return Prompted(points, labels, prompts.boxes, prompts.granularity)
