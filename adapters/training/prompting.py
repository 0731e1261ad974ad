"""Training of a prompt decoder: prompts are drawn, answered, corrected where that is wrong, and answered again."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.decoders.dense import DenseDecoder
from adapters.decoders.prompts import Origin, PromptDecoder, Prompted, Seen
from adapters.losses.prompts import best_of, single
from adapters.training.module import EntityModule, TrainOptions
from adapters.training.prompt_draws import WAYS, Asked, Crop, corrected
from domains.entities import EntityBatch

REACH_PX = 400.0
"""A crop lies anywhere within so many pixels of where positions begin, so that the decoder answers anywhere."""
Costs = tuple[Tensor, ...]
"""Of masks, and of predicted IoUs."""


class PromptSegmenter(nn.Module):
    """A backbone and a dense decoder as they are, and a prompt decoder that learns."""

    projection = None

    def __init__(self, backbone: Backbone, trunk: DenseDecoder, decoder: PromptDecoder) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.trunk = trunk.requires_grad_(False)
        self.decoder = decoder

    @torch.no_grad()
    def levels(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The base's features, one (B, D, h, w) per tap, of images (B, 3, H, W), and the dense decoder's `pyramid`."""
        taps = self.backbone(images)
        return taps, self.trunk.pyramid(taps, images)


class PromptModule(EntityModule):
    """Fits the decoder of a `PromptSegmenter` to batches; logs `mask` and `iou`, whose sum is the loss."""

    def __init__(self, segmenter: PromptSegmenter, options: TrainOptions | None = None) -> None:
        super().__init__(cast(Any, segmenter), cast(Any, None), options)

    @property
    def prompted(self) -> PromptSegmenter:
        """The network."""
        return cast(PromptSegmenter, self.segmenter)

    def terms(self, batch: EntityBatch) -> dict[str, Tensor]:
        """The mean cost of masks, and of predicted IoUs, over the crops in which there is something to ask for."""
        generator = torch.Generator().manual_seed(self.draw_seed(batch))
        taps, pyramid = self.prompted.levels(batch.images)
        costs: list[Costs] = []
        for number in range(len(batch)):
            count = int(batch.ids[number].max().clamp_min(0))
            crop = Crop(batch.ids[number].cpu().long(), batch.parents[number, :count].cpu())
            seen, finer = ([level[number : number + 1] for level in group] for group in (taps, pyramid))
            costs += self.costs(crop, seen, finer, generator)
        if not costs:
            zero = torch.stack([weights.sum() for weights in self.prompted.decoder.parameters()]).sum() * 0.0
            return {"mask": zero, "iou": zero}
        masks, overlaps = (torch.stack(terms).mean() for terms in zip(*costs, strict=True))
        return {"mask": masks, "iou": overlaps}

    def draw_seed(self, batch: EntityBatch) -> int:
        """Of the prompts of a batch: in validation its own, always; else the next of torch's."""
        if self.training:
            return int(torch.randint(2**31, ()))
        return zlib.crc32(" ".join(f"{place.scene} {place.y} {place.x}" for place in batch.places).encode())

    def costs(self, crop: Crop, taps: list[Tensor], pyramid: list[Tensor], generator: torch.Generator) -> list[Costs]:
        """Of a crop: of all ways of asking, first asked and again after some corrections."""
        decoder = self.prompted.decoder
        across, down = (2 * torch.rand(2, generator=generator) - 1).mul(REACH_PX).tolist()
        options = decoder.options
        boxes = round(options.boxes * options.per_image)
        points = options.per_image - boxes
        asked = []
        for way, count in zip(WAYS, (points - points // 2, points // 2, boxes), strict=True):
            entities = crop.draw(count, generator)
            if len(entities):
                asked.append(Asked.drawn(crop, entities, way, generator))
        if not asked:
            return []
        seen = decoder.look(taps, pyramid, (across, down))
        return Dialogue(decoder, seen, (across, down), generator).costs(crop, asked)


@dataclass(frozen=True)
class Dialogue:
    """Prompts and answers on an image that was looked at."""

    decoder: PromptDecoder
    seen: Seen
    origin: Origin
    generator: torch.Generator

    def costs(self, crop: Crop, asked: Sequence[Asked]) -> list[Costs]:
        """Of the first answers, and of those after one to some corrections of these."""
        limit = self.decoder.options.corrections
        count = int(torch.randint(1, limit + 1, (), generator=self.generator)) if limit else 0
        labelled = crop.labelled.to(self.seen.embedding.device)
        truths = [crop.shares(group.entities).to(labelled) for group in asked]
        costs, corrections = [], []
        for group, truth, answer in zip(asked, truths, self.answers([group.prompts for group in asked]), strict=True):
            group_costs, masks = first_costs(group, truth, answer, labelled)
            costs.append(group_costs)
            corrections.append(corrected(group.prompts, masks.cpu(), (truth >= 0.5).cpu(), count, self.generator))
        if count:
            for group, truth, answer in zip(asked, truths, self.answers(corrections), strict=True):
                costs += later_costs(group, truth, answer, labelled)
        return costs

    def answers(self, groups: Sequence[Prompted]) -> list[Answer]:
        """Those to groups of prompts, which all have as many tokens."""
        prompts = [group.to(self.seen.embedding.device) for group in groups]
        tokens = [self.decoder.tokens(self.seen, group, self.origin) for group in prompts]
        logits, predicted = self.seen.two_way.all_masks(torch.cat(tokens))
        near = [
            self.decoder.near_logits(self.seen, group, table[:, -1:])
            for group, table in zip(prompts, tokens, strict=True)
        ]
        sizes = [len(table) for table in tokens]
        logits = logits.float() + torch.cat(near).float()
        return [*map(Answer, logits.split(sizes), predicted.float().split(sizes))]


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


def later_costs(asked: Asked, truth: Tensor, answer: Answer, labelled: Tensor) -> list[Costs]:
    """Costs of the answer to corrected prompts, which mean one entity: of the single mask, and of the best of three
    where three had answered.
    """
    logits, predicted = answer
    costs = [single(logits[:, 0], predicted[:, 0], truth, labelled)]
    if asked.way == "points":
        meant = torch.ones(len(truth), 1, dtype=torch.bool, device=truth.device)
        costs.append(best_of(logits[:, 1:], predicted[:, 1:], truth[:, None], meant, labelled)[:2])
    return costs
