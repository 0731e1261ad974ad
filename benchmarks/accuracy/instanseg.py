"""InstanSeg from scratch: an outside yardstick, its network, losses and decode by its authors.

Goldsborough et al., https://arxiv.org/abs/2408.15954; `instanseg-torch` 0.1.2, Apache-2.0. From the package come the
U-Net, the loss, the classifier of pixels and the decode, and from its `scripts/train.py` the defaults: Adam at 1e-3,
batches of 3 crops, gradients clipped to 20, at most 50 entities of a crop in the loss, percentiles of the image as its
black and white, a hot start by easier losses, and the weights that do best on validation images. Departures, since its
own loop wants torchvision:

- crops and augmentation are those that every network of the benchmark is fitted on, 128 px wide; its default flips and
  turns alone of 256 px. A step of 3 crops of 256 px takes 4.7 CPU-seconds in its U-Net and .2 to .4 in its loss: 120
  steps in ten minutes, where its own training takes 166,000. In bf16 and channels-last, as here, the U-Net takes 2.1,
  and of 128 px a whole step .8;
- the hot start takes a share of the budget: its ten epochs of 1000 crops would be all of it;
- the weights that are kept are of the best F1 at IoU .5, not of its mean over thresholds;
- an entity's score is the mean of its seed map, since InstanSeg gives none, and average precision wants a ranking.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from adapters.decoders.decoder import Decoder
from adapters.inference.segment import InputContract, measure
from adapters.network import EntitySegmenter
from adapters.proposals.proposals import Proposals
from adapters.student import no_backbone
from adapters.training.fitting import Budget, Fitted, Plan, Training, fit
from domains.crops.crops import Samples
from domains.entities import EntityBatch, EntityMap, renumber
from domains.entities.forest import EntityForest
from recipes.reading.schema import Recipe
from recipes.scale import pixel_size

SEEN_PIXEL_SIZE_M = 0.5e-6
"""At which InstanSeg sees slides, whatever their own; images that do not say theirs are seen as they are."""
LAYERS = (256, 128, 64, 32)
SIGMAS = 2
CLASSIFIER_WIDTH = 5
WINDOW_PX = 128
LR = 1e-3
CLIP = 20.0
HOT_SHARE = 1 / 3
"""Of the budget, in which the seeds learn by cross-entropy and the masks by Dice, before L1 distance and Lovasz."""
LOOKS = 3
WATCHED = 8
"""Validation images that a look takes. Its own training looks after every 333 steps, which here is never, and the
decode of what has learnt little is dear: a window for each of up to 2000 seeds."""


@dataclass(frozen=True)
class InstanSegOptions:
    """Thresholds of the decode, as the package has them."""

    mask_threshold: float = 0.53
    seed_threshold: float = 0.5
    peak_distance: float = 4
    overlap_threshold: float = 0.5

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "mask_threshold": (0.5, 0.53, 0.57, 0.6),
        "seed_threshold": (0.4, 0.5, 0.55, 0.6, 0.7),
        "peak_distance": (3, 4, 5, 7),
        "overlap_threshold": (0.3, 0.5, 0.7),
    }


Prepared = tuple[Tensor, tuple[int, int]]


class InstanSegDecoder(Decoder):
    """The whole network: images (B, 3, H, W) in [0, 1] to its raw output (B, 5, H, W), and that to entities."""

    method: Any
    """The package's losses and decode."""

    def __init__(self) -> None:
        super().__init__()
        from instanseg.utils.loss.instanseg_loss import InstanSeg  # type: ignore[import-not-found]  # an optional peer
        from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet  # type: ignore[import-not-found]

        self.options = InstanSegOptions()
        method = InstanSeg(
            n_sigma=SIGMAS,
            device="cpu",
            binary_loss_fn_str="lovasz_hinge",
            seed_loss_fn="l1_distance",
            window_size=WINDOW_PX,
        )
        channels = [[method.dim_coords, method.n_sigma, method.dim_seeds]]
        unet = InstanSeg_UNet(in_channels=3, out_channels=channels, layers=np.array(LAYERS), norm="BATCH")
        unet = method.initialize_pixel_classifier(unet, MLP_width=CLASSIFIER_WIDTH)  # which the U-Net holds
        self.unet = unet.to(memory_format=torch.channels_last)  # with bf16 three times as fast on a CPU
        object.__setattr__(self, "method", method)  # not as a module: its weights are the U-Net's

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        """The raw output: two coordinates, two widths, and the seed map."""
        stretched = by_percentiles(images).contiguous(memory_format=torch.channels_last)
        return {"instanseg": self.unet(stretched)}

    @property
    def proposals(self) -> InstanSegProposals:
        """The package's own decode, by the thresholds as they are."""
        return InstanSegProposals(self.options, self.method)

    def loss(self, outputs: Mapping[str, Tensor], batch: EntityBatch) -> Tensor:
        """InstanSeg's own; pixels of -1 are unlabelled to it too."""
        return self.method.forward(outputs["instanseg"].float(), batch.ids[:, None].clone()).mean()

    def start_hot(self, hot: bool) -> None:
        """Learn by the easier losses, or no longer."""
        self.method.update_seed_loss("binary_xloss" if hot else "l1_distance")
        self.method.update_binary_loss("dice_loss" if hot else "lovasz_hinge")


@dataclass(frozen=True)
class InstanSegProposals(Proposals):
    """Entities by the package's own decode; nothing is nested."""

    options: InstanSegOptions
    method: Any

    @property
    def granularity(self) -> float:
        """1: there is but one."""
        return 1.0

    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """The thresholds of the package's decode."""
        return self.options.TUNED

    def prepared(self, outputs: Mapping[str, Tensor], index: int, size: tuple[int, int]) -> Prepared:
        """The raw output (5, H, W) of one image, and its size."""
        return outputs["instanseg"][index].detach().float(), size

    def forest(self, prepared: Prepared, nested: bool = True) -> EntityForest:
        """InstanSeg's entities of an image, cropped to (H, W)."""
        raw, (height, width) = prepared
        options = self.options
        ids = self.method.postprocessing(
            raw,
            mask_threshold=options.mask_threshold,
            seed_threshold=options.seed_threshold,
            peak_distance=int(options.peak_distance),
            overlap_threshold=options.overlap_threshold,
            window_size=WINDOW_PX,
        )
        ids, kept = renumber(ids[0].cpu().numpy()[:height, :width].astype(np.int32))
        seeds = raw[-1, :height, :width].sigmoid().cpu().numpy()
        areas = np.bincount(ids.ravel(), minlength=len(kept) + 1)[1:]
        totals = np.bincount(ids.ravel(), seeds.ravel(), minlength=len(kept) + 1)[1:]
        entities = EntityMap(ids, scores=(totals / np.maximum(areas, 1)).astype(np.float32))
        return EntityForest.flat(entities)


class InstanSegmenter(EntitySegmenter):
    """Images (B, 3, H, W) in [0, 1], H and W multiples of 8, to InstanSeg's raw output."""

    decoder: InstanSegDecoder  # type: ignore[assignment]  # narrower than any decoder

    def __init__(self) -> None:
        super().__init__(no_backbone("none", 2 ** (len(LAYERS) - 1)), InstanSegDecoder())


def by_percentiles(images: Tensor) -> Tensor:
    """Each channel of each image (B, 3, H, W) with its .1st percentile as 0 and its 99.9th as 1."""
    levels = torch.quantile(images.flatten(2), torch.tensor([0.001, 0.999], device=images.device), dim=2)
    low, high = levels[..., None, None]  # (B, 3, 1, 1)
    return (images - low) / (high - low).clamp_min(1e-3)


def at_seen_size(recipe: Recipe, train: Samples) -> Recipe:
    """The recipe with the scale that brings images of a known pixel size to InstanSeg's."""
    size = pixel_size(train)
    scale = 1.0 if size is None else round(size / SEEN_PIXEL_SIZE_M, 4)
    return replace(recipe, domain=replace(recipe.domain, scale=scale))


def contract_at_seen_size(contract: InputContract) -> InputContract:
    """Images that know their pixel size are seen at InstanSeg's, where those it was fitted to did not."""
    return contract if contract.seen_pixel_size_m is None else replace(contract, seen_pixel_size_m=SEEN_PIXEL_SIZE_M)


def fit_instanseg(plan: Plan) -> Fitted:
    """Train by InstanSeg's recipe within the plan's budget; then thresholds and measurement as of any network."""
    training = train(plan)
    fitted = fit(replace(plan, budget=Budget(steps=0)))
    return replace(fitted, training=training)


def train(plan: Plan) -> Training:
    """Train the plan's network, and keep the weights of best F1 on validation images."""
    network, budget = plan.network, plan.budget
    assert isinstance(network, InstanSegmenter)
    optimizer = torch.optim.Adam(network.parameters(), LR)
    start, start_wall = time.process_time(), time.monotonic()
    loader = iter(plan.crops(plan.learnt, None, budget.steps).train_dataloader())  # an iterator draws as it is asked
    step, look, best, weights = 0, 1, -1.0, deepcopy(network.state_dict())
    network.decoder.start_hot(True)
    while (share := used(budget, step, time.process_time() - start)) < 1:
        if share >= HOT_SHARE:
            network.decoder.start_hot(False)
        network.train()
        batch = next(loader)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.runtime.training != "32-true"):
            outputs = network(batch.images)
        network.decoder.loss(outputs, batch).backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        step += 1
        if used(budget, step, time.process_time() - start) >= look / LOOKS:
            look += 1
            score = f1_on_validation(plan)
            if score >= best:
                best, weights = score, deepcopy(network.state_dict())
    network.load_state_dict(weights)
    return Training(step, 0.0, time.process_time() - start, time.monotonic() - start_wall)


def used(budget: Budget, steps: int, seconds: float) -> float:
    """Share of the budget, of steps or seconds, whichever is further."""
    return max(steps / budget.steps, seconds / budget.seconds if budget.seconds else 0.0)


def f1_on_validation(plan: Plan) -> float:
    """F1 at IoU .5 of the network as it is, on up to `WATCHED` images spread over the validation split; 0 for nan."""
    assert plan.watched is not None
    count = len(plan.watched)
    chosen = sorted({round(i) for i in np.linspace(0, count - 1, min(count, WATCHED))})
    plan.network.eval()
    metrics = measure(plan.network, [plan.watched[i] for i in chosen], ["f1"], plan.contract)
    return float(np.nan_to_num(metrics.compute()["f1"]))
