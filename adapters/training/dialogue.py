"""Prompts and answers: what was asked first, then corrections where the answer is wrong, and answers again.

Kirillov et al., https://arxiv.org/abs/2304.02643, appendix A.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from adapters.decoders.prompt_batch import Prompted
from adapters.decoders.promptable import PromptableImage
from adapters.losses.prompts import best_of, single
from adapters.training.prompt_draws import Asked, Crop, corrected
from domains.entities import EntityBatch

Costs = tuple[Tensor, ...]
"""Of masks, and of predicted IoUs."""


def draw_seed(batch: EntityBatch, learning: bool) -> int:
    """Of the prompts of a batch: in validation its own, always; else the next of torch's."""
    if learning:
        return int(torch.randint(2**31, ()))
    return zlib.crc32(" ".join(f"{place.scene} {place.y} {place.x}" for place in batch.places).encode())


@dataclass(frozen=True)
class Dialogue:
    """Prompts and answers on an image that was looked at."""

    image: PromptableImage
    generator: torch.Generator

    def costs(self, crop: Crop, asked: Sequence[Asked], rounds: Sequence[int]) -> list[Costs]:
        """Of the first answers, and of those after every round of corrections. rounds: how many points each adds."""
        labelled = crop.labelled.to(self.image.embedding.device)
        truths = [crop.shares(group.entities).to(labelled) for group in asked]
        prompts = [group.prompts for group in asked]
        costs: list[Costs] = []
        for turn in range(len(rounds) + 1):
            for i, answer in enumerate(self.answers(prompts)):
                if turn:
                    later, masks = later_costs(asked[i], truths[i], answer, labelled)
                    costs += later
                else:
                    first, masks = first_costs(asked[i], truths[i], answer, labelled)
                    costs.append(first)
                if turn < len(rounds):
                    truth = (truths[i] >= 0.5).cpu()
                    prompts[i] = corrected(prompts[i], masks.cpu(), truth, rounds[turn], self.generator, crop.stride)
        return costs

    def answers(self, groups: Sequence[Prompted]) -> list[Answer]:
        """Those to groups of prompts, which all have as many tokens."""
        sizes = [len(group.marks().points) for group in groups]
        logits, predicted = self.image.all_masks(groups)
        return [*map(Answer, logits.split(sizes), predicted.split(sizes))]


class Answer(NamedTuple):
    """Logits (P, 4, h, w) and predicted IoUs (P, 4): of the single mask, then of the three."""

    logits: Tensor
    predicted: Tensor


def first_costs(asked: Asked, truth: Tensor, answer: Answer, labelled: Tensor) -> tuple[Costs, Tensor]:
    """Costs of the answer to first prompts, and the masks (P, h, w) bool to be corrected: of a point without more three
    masks answer, as it may mean any entity that it lies in; of all else the single one. truth: (P, h, w) shares.
    """
    logits, predicted = answer
    if asked.way != "points":
        return single(logits[:, 0], predicted[:, 0], truth, labelled), logits[:, 0] > 0
    chain, meant = asked.meant()
    *costs, best = best_of(logits[:, 1:], predicted[:, 1:], chain.to(truth), meant.to(truth.device), labelled)
    return tuple(costs), logits[torch.arange(len(truth)), best + 1] > 0


def later_costs(asked: Asked, truth: Tensor, answer: Answer, labelled: Tensor) -> tuple[list[Costs], Tensor]:
    """Costs of the answer to corrected prompts, which mean one entity: of the single mask, and of the best of three
    where three had answered; and the masks (P, h, w) bool to be corrected, of three the one that a user would see.
    """
    logits, predicted = answer
    costs = [single(logits[:, 0], predicted[:, 0], truth, labelled)]
    if asked.way == "points":
        meant = torch.ones(len(truth), 1, dtype=torch.bool, device=truth.device)
        costs.append(best_of(logits[:, 1:], predicted[:, 1:], truth[:, None], meant, labelled)[:2])
        return costs, logits[torch.arange(len(truth)), predicted[:, 1:].argmax(1) + 1] > 0
    return costs, logits[:, 0] > 0
