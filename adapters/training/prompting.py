"""Training of a prompt decoder: prompts are drawn, answered, corrected where that is wrong, and answered again."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.decoders.base_prompts import BaseImage
from adapters.decoders.dense import DenseDecoder
from adapters.decoders.promptable import Extent
from adapters.decoders.prompts import PromptDecoder
from adapters.training.dialogue import Costs, Dialogue, draw_seed
from adapters.training.module import EntityModule, TrainOptions
from adapters.training.prompt_draws import WAYS, Asked, Crop
from domains.entities import EntityBatch

REACH_PX = 400.0
"""A crop lies anywhere within so many pixels of where positions begin, so that the decoder answers anywhere."""


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
        generator = torch.Generator().manual_seed(draw_seed(batch, self.training))
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
        height, width = size = crop.ids.shape[0], crop.ids.shape[1]
        image = BaseImage(decoder, Extent(size, size, (height, width)), seen, (across, down))
        limit = options.corrections
        rounds = [int(torch.randint(1, limit + 1, (), generator=generator))] if limit else []
        return Dialogue(image, generator).costs(crop, asked, rounds)
