"""What several losses share: Dice and cross-entropy of masks, coverage of a coarse grid, points drawn on masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from domains.entities import UNLABELLED


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """(M,) Dice loss 1 - (2 |P T| + 1) / (|P| + |T| + 1) of logits and truth, both (M, K); V-Net's with linear sums."""
    scores = logits.sigmoid()
    return 1 - (2 * (scores * truth).sum(-1) + 1) / (scores.sum(-1) + truth.sum(-1) + 1)


def mask_bce(logits: Tensor, truth: Tensor) -> Tensor:
    """(M,) mean binary cross-entropy of logits and truth, both (M, K)."""
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(-1)


@dataclass(frozen=True)
class FlatEntities:
    """All entities of a batch in one row of E, image after image.

    image: (E,) the image that holds each.  starts: (B + 1,) image b holds entities starts[b] to starts[b + 1].
    pixels: (P, 3) image, y, x of all entity pixels.  entity: (P,) the entity of each.
    """

    image: Tensor
    starts: Tensor
    pixels: Tensor
    entity: Tensor

    @classmethod
    def of(cls, ids: Tensor) -> FlatEntities:
        """ids: (B, H, W), each image numbered from 1 without gaps."""
        counts = ids.flatten(1).amax(1).clamp(min=0).long()  # (B,)
        starts = F.pad(counts.cumsum(0), (1, 0))
        pixels = (ids > 0).nonzero()
        entity = starts[pixels[:, 0]] + ids[tuple(pixels.T)] - 1
        image = torch.arange(len(ids), device=ids.device).repeat_interleave(counts)
        return cls(image, starts, pixels, entity)

    def __len__(self) -> int:
        return len(self.image)

    def boxes(self) -> Tensor:
        """(E, 4) top, left, bottom, right in pixels, the last two exclusive."""
        places = self.pixels[:, 1:]
        index = self.entity[:, None].expand_as(places)
        empty = places.new_zeros(len(self), 2)
        low = empty.scatter_reduce(0, index, places, "amin", include_self=False)
        high = empty.scatter_reduce(0, index, places, "amax", include_self=False)
        return torch.cat([low, high + 1], 1)

    def coverage(self, stride: int, grid: tuple[int, int]) -> Tensor:
        """(E, h * w) float32: the share of each cell of stride x stride pixels that each entity covers."""
        cells = grid[0] * grid[1]
        cell = self.pixels[:, 1] // stride * grid[1] + self.pixels[:, 2] // stride
        counts = torch.bincount(self.entity * cells + cell, minlength=len(self) * cells)
        return counts.view(len(self), cells).float() / stride**2


def share_of_cells(mask: Tensor, stride: int) -> Tensor:
    """(B, h * w) float32: the share of each cell of stride x stride pixels where mask (B, H, W) bool is true."""
    return F.avg_pool2d(mask[:, None].float(), stride).flatten(1)


def draw_points(ids: Tensor, image: Tensor, boxes: Tensor, count: int) -> Tensor:
    """(M, count) flat indices of labelled pixels: a half from around a box, a half from the whole image.

    ids (B, H, W); image (M,); boxes (M, 4), grown here by half their size and at least 2 pixels to each side.
    Points drawn over the whole image alone miss an entity of a few pixels altogether, and would teach that it is
    empty. What is unlabelled near a box is replaced by a point from anywhere. Every image drawn from must have a
    labelled pixel, which an image with an entity has.
    """
    labelled = (ids != UNLABELLED).flatten(1)  # (B, H * W)
    sizes = labelled.sum(1)
    firsts = (sizes.cumsum(0) - sizes)[image, None]
    anywhere = labelled.nonzero()[:, 1][firsts + below(sizes[image, None].expand(-1, count))]
    height, width = ids.shape[-2:]
    low, high = boxes.unflatten(1, (2, 2)).unbind(1)  # (M, 2) each
    margin = ((high - low) // 2).clamp(min=2)
    low = (low - margin).clamp(min=0)
    high = torch.minimum(high + margin, high.new_tensor([height, width]))
    inside = low[:, None] + below((high - low)[:, None].expand(-1, count // 2, -1))  # (M, count / 2, 2)
    near = inside[..., 0] * width + inside[..., 1]
    usable = labelled[image[:, None], near]
    return torch.cat([torch.where(usable, near, anywhere[:, : count // 2]), anywhere[:, count // 2 :]], 1)


def below(limits: Tensor) -> Tensor:
    """A random integer in [0, limit) for each limit."""
    drawn = (torch.rand(limits.shape, device=limits.device) * limits).long()
    return torch.minimum(drawn, limits - 1)  # the product may round up to the limit


def places_of(pixels: Tensor, width: int, stride: int, grid: Sequence[int]) -> Tensor:
    """(..., 2) x, y in [-1, 1] of flat pixel indices (...), in an image stride times as large as a grid (..., h, w)."""
    extent = torch.tensor([grid[-1], grid[-2]], device=pixels.device) * stride
    return (torch.stack([pixels % width, pixels // width], -1) + 0.5) / extent * 2 - 1


def logits_at(maps: Tensor, places: Tensor) -> Tensor:
    """(M, K): maps (M, h, w) read at places (M, K, 2).

    Bilinear, with exactly the values that the maps have after being enlarged, as they are when decoded.
    """
    return F.grid_sample(maps[:, None], places[:, None], padding_mode="border", align_corners=False)[:, 0, 0]


def most_uncertain(logits: Tensor, keep: int) -> Tensor:
    """(M, keep) positions of the logits (M, K) nearest to zero (PointRend's importance)."""
    return logits.abs().topk(keep, largest=False, sorted=False).indices
