"""The topology term: is the centre line of every crack found, and nothing else's?

Soft clDice: Shit et al., clDice - a Novel Topology-Preserving Loss Function for Tubular Structure Segmentation, CVPR
2021, https://arxiv.org/abs/2003.07311, algorithm 1 and equation 3. Departures: the sums run over the whole batch, so
that a crop without a crack neither divides by zero nor is pulled to anything; unlabelled pixels take no part; and the
term stands beside cross-entropy and Dice with a weight of its own in place of the paper's alpha.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.options import losses as options
from domains.entities import EntityBatch


@dataclass(frozen=True)
class Topology(options.Topology):
    """1 - soft clDice of `foreground` logits (B, 1, H, W); in [0, 1].

    A gap of one pixel in a crack costs as much however wide the crack is. Meant for thin entities: the skeleton of a
    blob says little.
    """

    def __call__(self, outputs: Mapping[str, Tensor], batch: EntityBatch) -> Tensor:
        labelled = batch.labelled.float()[:, None]
        scores = outputs["foreground"].float().sigmoid() * labelled
        truth = (batch.ids > 0).float()[:, None]
        line, true_line = (soft_skeleton(mask, self.iterations) for mask in (scores, truth))
        if batch.pixel_weights is not None:
            line, true_line = line * batch.pixel_weights[:, None], true_line * batch.pixel_weights[:, None]
        precision = ((line * truth).sum() + 1) / (line.sum() + 1)
        recall = ((true_line * scores).sum() + 1) / (true_line.sum() + 1)
        return 1 - 2 * precision * recall / (precision + recall)


def soft_skeleton(mask: Tensor, iterations: int) -> Tensor:
    """(B, 1, H, W) in [0, 1]: what each of several erosions leaves that an opening would remove; differentiable.

    mask: (B, 1, H, W) in [0, 1]. Its erosion is the least over a cross, its dilation the most over 3 x 3.
    """
    skeleton = F.relu(mask - opened(mask))
    for _ in range(iterations):
        mask = eroded(mask)
        ridge = F.relu(mask - opened(mask))
        skeleton = skeleton + F.relu(ridge - skeleton * ridge)
    return skeleton


def opened(mask: Tensor) -> Tensor:
    """(B, 1, H, W): the mask eroded, then dilated, so that what is thinner than 3 pixels goes."""
    return F.max_pool2d(eroded(mask), 3, 1, 1)


def eroded(mask: Tensor) -> Tensor:
    """Outside the image lies more of the same: a crack that a crop cuts off does not end there."""
    upright = -F.max_pool2d(-mask, (3, 1), 1, (1, 0))
    across = -F.max_pool2d(-mask, (1, 3), 1, (0, 1))
    return torch.minimum(upright, across)
