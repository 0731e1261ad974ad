"""Fill the memory decoder from good images, and choose from which distance on a pixel is strange.

Patches of the training images that have no entity are gathered, a greedy coreset of them is kept (k-centre; Sener and
Savarese, ICLR 2018, https://arxiv.org/abs/1708.00489; PatchCore, section 3.2, distances in a random projection). The
threshold is such that of images like the good ones held back at most a given share would show an entity: their critical
scores are taken as exchangeable with those of new good images (split conformal prediction; Vovk et al., Algorithmic
Learning in a Random World, 2005).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adapters.decoders.patch_memory import LEAST_DEVIATION, MemoryDecoder
from adapters.inference.calibration import OnProgress, unheard
from adapters.inference.segment import InputContract
from adapters.network import EntitySegmenter, pad_to, to_tensor
from adapters.training.quiet import good_of, rank_of, remark
from domains.entities import EntitySample, Samples
from domains.entities.resize import resize_sample
from domains.errors import InputError

MOST_PATCHES = 40_000
"""Of which the coreset is chosen; of more a random share."""
PROJECTED = 64
"""Width in which the coreset is chosen."""
ROUNDED = 1.001
"""A threshold is rounded to half precision, as it is saved, and not below what was chosen."""
BEYOND = 1.05
"""Where fewer good images are held back than the rate would want: so far beyond the strangest of them."""


@dataclass(frozen=True)
class Remembered:
    """What a memory was filled from. rate: wanted, of good images with an entity."""

    images: int
    patches: int
    kept: int
    held_back: int
    alarms: int
    rate: float

    def __str__(self) -> str:
        promise = (
            f"false alarms on {self.alarms} of {self.held_back} good images held back, wanted at most {self.rate:g} of "
            "new ones"
        )
        promise += remark(self.held_back, self.rate)
        return f"memory: {self.kept} of {self.patches} patches of {self.images} good images; {promise}"


def fill_memory(
    segmenter: EntitySegmenter,
    train: Samples,
    val: Samples | None,
    contract: InputContract,
    seed: int = 0,
    on_progress: OnProgress = unheard,
) -> Remembered:
    """Fill the decoder from the good images of `train`, and calibrate it on those of `val`, which it has not seen.

    on_progress: told of the images, then of the patches that are kept, then of the images held back. Raises InputError
    where either has no good image.
    """
    decoder = segmenter.decoder
    assert isinstance(decoder, MemoryDecoder)
    segmenter.eval()
    good, held_back = good_of(train), good_of(val)
    for split, indices in (("train", good), ("val", held_back)):
        if not indices:
            raise InputError(
                f"decoder.name=memory wants images without entity in {split}, which say what good ones look like; it "
                "has none: add some, or change domain.fractions"
            )
    generator = torch.Generator().manual_seed(seed)
    rows = torch.cat([*patches_of(segmenter, train, good, contract, on_progress)])
    gathered = len(rows)
    if gathered > MOST_PATCHES:
        rows = rows[torch.randperm(gathered, generator=generator)[:MOST_PATCHES]]
    mean, deviation = rows.mean(0), rows.std(0).clamp(min=LEAST_DEVIATION)
    rows = (rows - mean) / deviation
    if decoder.options.description == "texture":  # the furthest are specks of good parts, beside which defects hide
        rows = rows[torch.randperm(len(rows), generator=generator)[: decoder.options.size]]
    else:
        rows = rows[coreset(rows, decoder.options.size, generator, on_progress)]
    decoder.fill(rows, mean, deviation)
    decoder.threshold.fill_(1.0)
    assert val is not None
    critical = []
    for done, index in enumerate(held_back, start=1):
        critical.append(critical_of(segmenter, val[index], contract))
        on_progress("held back", done, len(held_back))
    scores, rate = np.sort(critical), decoder.options.false_alarms
    decoder.threshold.fill_(ROUNDED * distance_of(quiet_score(scores, rate))).copy_(decoder.threshold.half())
    at = score_of(float(decoder.threshold))
    return Remembered(len(good), gathered, len(rows), len(held_back), int((scores > at).sum()), rate)


def critical_of(segmenter: EntitySegmenter, sample: EntitySample, contract: InputContract) -> float:
    """The score above which no tile of an image has an entity, by a threshold of 1."""
    decoder = segmenter.decoder
    assert isinstance(decoder, MemoryDecoder)
    image = resize_sample(sample, contract.factor_of(sample)).image
    grid, proposals = contract.grid(image.shape[:2]), decoder.proposals
    tiles = [image[grid.window(i).slices] for i in range(len(grid))]
    return max(proposals.critical(proposals.prepared(*output)) for output in segmenter.outputs(tiles))


def quiet_score(critical: np.ndarray, rate: float) -> float:
    """The score above which at most a share `rate` of new images would have an entity; critical: (N,) scores of those
    that were held back, ascending. By the rank (N + 1)(1 - rate), and beyond the last where that is further.
    """
    if (rank := rank_of(len(critical), rate)) <= len(critical):
        return float(critical[rank - 1])
    return score_of(BEYOND * distance_of(float(critical[-1])))


def distance_of(score: float) -> float:
    """The distance d of a score d / (d + 1)."""
    score = min(max(score, 1e-6), 1 - 1e-6)
    return score / (1 - score)


def score_of(distance: float) -> float:
    """The score of a distance, by a threshold of 1."""
    return distance / (distance + 1)


@torch.inference_mode()
def patches_of(
    segmenter: EntitySegmenter,
    samples: Samples,
    indices: list[int],
    contract: InputContract,
    on_progress: OnProgress = unheard,
) -> Iterator[Tensor]:
    """Yields (N, D') float32 descriptions of the patches of each image, tile by tile, on the CPU."""
    decoder = segmenter.decoder
    assert isinstance(decoder, MemoryDecoder)
    multiple, projection = int(np.lcm(segmenter.backbone.stride, 8)), segmenter.projection
    for done, index in enumerate(indices, start=1):
        sample: EntitySample = resize_sample(samples[index], contract.factor_of(samples[index]))
        grid = contract.grid(sample.image.shape[:2])
        for window in map(grid.window, range(len(grid))):
            image = pad_to(to_tensor(sample.image[window.slices]), multiple)[None].to(segmenter.device)
            image = image if projection is None else projection(image)
            described = decoder.described(segmenter.backbone(image), image)
            height, width = (-(-side // segmenter.backbone.stride) for side in (window.height, window.width))
            yield described[0, :, :height, :width].flatten(1).T.float().cpu()
        on_progress("images", done, len(indices))


@torch.inference_mode()
def coreset(rows: Tensor, size: int, generator: torch.Generator, on_progress: OnProgress = unheard) -> Tensor:
    """(up to size,) indices of rows (N, D): each next one the furthest from all that were taken before."""
    if len(rows) <= size:
        return torch.arange(len(rows))
    projection = torch.randn(rows.shape[1], PROJECTED, generator=generator) / PROJECTED**0.5
    points = rows @ projection  # (N, PROJECTED)
    squares = (points**2).sum(1)
    chosen = [int(torch.randint(len(rows), (1,), generator=generator))]
    away = torch.full((len(rows),), math.inf)
    for count in range(1, size):
        latest = chosen[-1]
        away = torch.minimum(away, squares - 2 * (points @ points[latest]) + squares[latest])
        chosen.append(int(away.argmax()))
        on_progress("patches", count + 1, size)
    return torch.tensor(chosen)
