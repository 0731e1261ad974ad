"""Fitting a decoder that answers prompts: the entities of each crop are asked for, and answers are corrected.

A box or a point each, then points one by one where the last mask is wrong (Kirillov et al.,
https://arxiv.org/abs/2304.02643, appendix A); unlike there the last mask itself is no prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from adapters.decoders.prompted import PromptedDecoder, Sam
from adapters.inference.calibration import tile_outputs
from adapters.inference.segment import EntityMetric, InputContract, MetricSet
from adapters.network import EntitySegmenter
from adapters.training.dialogue import Costs, Dialogue, draw_seed
from adapters.training.module import EntityModule
from adapters.training.prompt_draws import WAYS, Asked, Crop
from domains.entities import EntityBatch, Samples

REACH_PX = 200.0
"""A crop lies anywhere within so many pixels of where positions begin, where the decoder has positions."""


class PromptedModule(EntityModule):
    """Fits a segmenter whose decoder is a `PromptedDecoder`; the outputs that its loss is of are the answers' costs."""

    def joint_loss(self, outputs: dict[str, Any], batch: EntityBatch) -> dict[str, Tensor]:
        """The terms over the crops in which there is something to ask for; zeros where there is none."""
        generator = torch.Generator().manual_seed(draw_seed(batch, self.training))
        costs: list[Costs] = []
        with torch.autocast(batch.ids.device.type, enabled=False):
            for number in range(len(batch)):
                costs += self.costs(outputs, batch, number, generator)
        if costs:
            masks, overlaps = (torch.stack(terms).mean() for terms in zip(*costs, strict=True))
        else:
            learning = [weights for weights in self.segmenter.parameters() if weights.requires_grad]
            masks = overlaps = torch.stack([weights.sum() for weights in learning]).sum() * 0.0
        return self.loss({"mask_cost": masks, "iou_cost": overlaps}, batch)

    def costs(
        self, outputs: dict[str, Any], batch: EntityBatch, number: int, generator: torch.Generator
    ) -> list[Costs]:
        """Of a crop: of all ways of asking, first asked and after every correction."""
        decoder = self.segmenter.decoder
        assert isinstance(decoder, PromptedDecoder)
        size = batch.ids.shape[1], batch.ids.shape[2]
        across, down = (2 * torch.rand(2, generator=generator) - 1).mul(REACH_PX).tolist()
        image = decoder.image(outputs, number, size, (across - size[1] / 2, down - size[0] / 2))
        count = int(batch.ids[number].max().clamp_min(0))
        crop = Crop(batch.ids[number].cpu().long(), batch.parents[number, :count].cpu(), image.mask_stride)
        asked = [
            Asked.drawn(crop, entities, way, generator)
            for way, count in self.ways(decoder).items()
            if count and len(entities := crop.draw(count, generator))
        ]
        return Dialogue(image, generator).costs(crop, asked, [1] * decoder.options.corrections) if asked else []

    def ways(self, decoder: PromptedDecoder) -> dict[str, int]:
        """Way of asking -> prompts of a crop; of points every third has a granularity, where the decoder takes one."""
        options = decoder.options
        boxes = round(options.boxes * options.prompts)
        points = options.prompts - boxes
        granular = points // 3 if decoder.takes_granularity else 0
        return dict(zip(WAYS, (points - granular, granular, boxes), strict=True))


class MeasuredLooks(Callback):
    """After every look at the validation split, measures the entities of some of its tiles, and logs `val/<metric>`.

    tiles: how many. headline: key of one of `metrics()`, which are made anew for each look.
    """

    def __init__(
        self,
        samples: Samples,
        contract: InputContract,
        metrics: Callable[[], Mapping[str, EntityMetric]],
        headline: str,
        tiles: int,
    ) -> None:
        self.samples, self.contract, self.metrics = samples, contract, metrics
        self.headline, self.tiles = headline, tiles

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The network proposes entities by its grid of points, as they will be predicted, thresholds not yet chosen."""
        assert isinstance(pl_module, EntityModule)
        segmenter, measured = pl_module.segmenter, MetricSet({self.headline: self.metrics()[self.headline]})
        learning = segmenter.training
        for output, truths, scene in tile_outputs(segmenter, self.samples, self.contract, self.tiles):
            measured.update(segmenter.decoder.proposals.entities(*output), truths, scene)
        segmenter.train(learning)
        value = measured.compute()[self.headline]
        pl_module.log(f"val/{self.headline}", value, batch_size=1)


def measured_looks(
    network: EntitySegmenter,
    samples: Samples | None,
    contract: InputContract,
    metrics: Callable[[], Mapping[str, EntityMetric]],
    headline: str | None,
) -> list[Callback]:
    """What measures entities at every look, where the network answers prompts and there are samples to look at.

    headline: key of one of `metrics()`; the first by default.
    """
    options = network.decoder.options
    if samples is None or not isinstance(options, Sam) or not options.measured_tiles:
        return []
    headline = headline or next(iter(metrics()))
    return [MeasuredLooks(samples, contract, metrics, headline, options.measured_tiles)]
