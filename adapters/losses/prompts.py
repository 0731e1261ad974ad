"""The loss of prompted masks: focal and Dice of each mask, and how far its predicted IoU is off.

Kirillov et al., https://arxiv.org/abs/2304.02643, section 3: focal to Dice 20 to 1, the mean square of the IoU's error,
and of several masks of one prompt the best alone. Where the truth is nested, every entity that a point lies in is one
that the prompt may mean: each has the best of the masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.options import losses as options
from domains.entities import EntityBatch

FOCAL, DICE, IOU = 20.0, 1.0, 1.0


@dataclass(frozen=True)
class PromptedMasks(options.PromptedMasks):
    """The term of a decoder that answers prompts; its outputs are the mean costs of the answers, `best_of` and `single`
    have them.
    """

    def __call__(self, outputs: Mapping[str, Any], batch: EntityBatch) -> Tensor:
        """`mask_cost` and the weighted `iou_cost`, scalars."""
        return outputs["mask_cost"] + self.iou * outputs["iou_cost"]


def mask_costs(logits: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
    """(...) focal and Dice loss of logits (..., h, w) and truth (..., h, w), shares of cells, which broadcast.

    labelled: (h, w), 1 where truth is known and 0 where it is not.
    """
    scores = logits.sigmoid()
    entropy = F.softplus(logits) - logits * truth
    focal = ((scores - truth) ** 2 * entropy * labelled).sum((-2, -1)) / labelled.sum().clamp_min(1)
    scores, truth = scores * labelled, truth * labelled
    shared, sizes = (scores * truth).sum((-2, -1)), scores.sum((-2, -1)) + truth.sum((-2, -1))
    return FOCAL * focal + DICE * (1 - (2 * shared + 1) / (sizes + 1))


@torch.no_grad()
def ious(logits: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
    """(...) intersection over union of masks (..., h, w): logits above 0, truth from a half, where truth is known."""
    masks, truth = (logits > 0) & (labelled > 0), (truth >= 0.5) & (labelled > 0)
    shared, union = (masks & truth).sum((-2, -1)), (masks | truth).sum((-2, -1))
    return shared / union.clamp_min(1)


def single(logits: Tensor, predicted: Tensor, truth: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    """(cost of masks, cost of IoUs), each a mean, of the single mask of P prompts. logits, truth: (P, h, w);
    predicted: (P,).
    """
    off = predicted - ious(logits, truth, labelled)
    return mask_costs(logits, truth, labelled).mean(), IOU * (off**2).mean()


def best_of(
    logits: Tensor, predicted: Tensor, truth: Tensor, meant: Tensor, labelled: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(cost of masks, cost of IoUs, best) of the K masks of P prompts that may each mean up to D entities.

    logits: (P, K, h, w); predicted: (P, K); truth: (P, D, h, w); meant: (P, D) bool, which of these there are, always
    the first. An entity costs what its best mask does, a mask's IoU is that with the entity that is most like it; best:
    (P,) the mask that is best for the first entity.
    """
    costs = mask_costs(logits[:, :, None], truth[:, None], labelled)  # (P, K, D)
    least = costs.amin(1) * meant  # (P, D)
    overlap = ious(logits[:, :, None], truth[:, None], labelled) * meant[:, None]  # (P, K, D)
    off = predicted - overlap.amax(2)
    return (least.sum(1) / meant.sum(1)).mean(), IOU * (off**2).mean(), costs[:, :, 0].argmin(1)
