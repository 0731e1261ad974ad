"""Teach the dense decoder's scorer of regions which candidates are entities, when the fields have been fitted.

Candidates of the training images, each with its IoU with the entity that is nearest to it: some seconds of a small
network, after one look at each image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.inference.calibration import OnProgress, tile_outputs, unheard
from adapters.inference.segment import InputContract
from adapters.network import EntitySegmenter
from domains.entities import EntityMap, Samples

TILES = 64
STEPS = 800
BATCH = 1024
LR = 3e-3
FEWEST = 200
"""Candidates; from fewer nothing is learnt, and the watershed stays."""
MOST_UNLABELLED = 0.5


def fit_regions(
    segmenter: EntitySegmenter,
    samples: Samples,
    contract: InputContract,
    tiles: int = TILES,
    seed: int = 0,
    given_up: Callable[[int], None] = lambda candidates: None,
    on_progress: OnProgress = unheard,
) -> int:
    """Fit the decoder's scorer to the candidates of one data set: `fit_regions_of` of it alone."""
    return fit_regions_of(segmenter, [(samples, contract)], tiles, seed, given_up, on_progress)


def fit_regions_of(
    segmenter: EntitySegmenter,
    views: Sequence[tuple[Samples, InputContract]],
    tiles: int = TILES,
    seed: int = 0,
    given_up: Callable[[int], None] = lambda candidates: None,
    on_progress: OnProgress = unheard,
) -> int:
    """Fit the decoder's scorer, if its options have `regions`; returns how many candidates it learnt from.

    views: samples of training splits, each seen as its contract sees them; `tiles` of each. With fewer candidates than
    `FEWEST` a scorer that was pretrained with the decoder stays as it is, and without one regions are given up, of
    which `given_up` is told, with how many there were. on_progress: told of the tiles, then of the scorer's steps.
    """
    decoder: Any = segmenter.decoder
    if not getattr(decoder.options, "regions", False):
        return 0
    pretrained = decoder.scorer if decoder.by_regions else None
    scorer = decoder.begin_scorer()
    rows, ious, weights = [], [], []
    outputs = (tile_outputs(segmenter, *view, tiles, on_progress) for view in views)
    for output, truths, _ in chain.from_iterable(outputs):
        regions = decoder.proposals.prepared(*output).regions
        iou, weight = np.mean([nearest_entity(regions.pixels, truth) for truth in truths], 0)  # each (N,)
        taught = ~np.isnan(iou) & (weight > 0)  # what counts nothing is no candidate to learn from
        for column, values in ((rows, regions.features), (ious, iou), (weights, weight)):
            column.append(values[taught])
    features, targets, trust = (torch.from_numpy(np.concatenate(columns)).float() for columns in (rows, ious, weights))
    if len(features) < FEWEST and pretrained is not None:
        decoder.scorer = pretrained
        return 0
    if len(features) < FEWEST:
        decoder.adopt(replace(decoder.options, regions=False))
        given_up(len(features))
        return 0
    device = scorer.mean.device
    learn(scorer, features.to(device), targets.to(device), seed, on_progress, trust.to(device))
    return len(features)


def learn(
    scorer: Any,
    features: Tensor,
    targets: Tensor,
    seed: int,
    on_progress: OnProgress = unheard,
    weights: Tensor | None = None,
) -> None:
    """Fit the scorer to features (N, D) and targets (N,), IoU in [0, 1], on the device that they are on.

    Cross-entropy with the IoU as a soft label; weights: (N,) above 0, how much each candidate counts beside others,
    alike where there are none. Batches are drawn on the CPU: the same on every device.
    """
    shares = None if weights is None else weights / weights.mean()  # of mean 1
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        for layer in scorer.layers:
            layer.reset_parameters()  # type: ignore[operator]
        scorer.mean.copy_(features.mean(0).half())  # as an adapter is saved
        scorer.deviation.copy_((features.std(0) + 1e-4).half())
        scorer.requires_grad_(True)
        optimizer = torch.optim.AdamW(scorer.parameters(), LR, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        for step in range(1, STEPS + 1):
            drawn = torch.randint(len(features), (BATCH,)).to(features.device)
            share = None if shares is None else shares[drawn]
            loss = F.binary_cross_entropy_with_logits(scorer(features[drawn]), targets[drawn], share)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            on_progress("steps", step, STEPS)
        scorer.requires_grad_(False)


def nearest_entity(pixels: Sequence[np.ndarray], truth: EntityMap) -> tuple[np.ndarray, np.ndarray]:
    """The candidates' largest IoU (N,) with an entity, on labelled pixels, NaN where those are less than half; and the
    weights (N,) of these entities, 1 where truth is certain, or a candidate meets none.
    """
    ids = truth.ids.ravel()
    areas = np.bincount(ids[ids > 0], minlength=truth.count + 1)
    ious, weights = np.zeros(len(pixels)), np.ones(len(pixels))
    for i, inside in enumerate(pixels):
        labelled = ids[inside][ids[inside] >= 0]
        if len(labelled) < (1 - MOST_UNLABELLED) * len(inside):
            ious[i] = np.nan
        elif truth.count:
            shared = np.bincount(labelled, minlength=truth.count + 1)[1:]
            overlaps = shared / (areas[1:] + len(labelled) - shared)
            nearest = int(overlaps.argmax())
            ious[i] = overlaps[nearest]
            if truth.scores is not None and ious[i]:
                weights[i] = truth.scores[nearest]
    return ious, weights
