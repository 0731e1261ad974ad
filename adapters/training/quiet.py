"""False alarms on images without entity, held to a rate by the least score of an entity.

Split conformal (Vovk et al., Algorithmic Learning in a Random World, 2005): of the good images of the validation split
the strangest entity each has; the least score goes above all but so many of them. It promises the rate for new images
like those, as far as weights and other thresholds were not chosen on the same ones, which they were: with few of them
the rate is a wish.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adapters.inference.calibration import OnProgress, unheard
from adapters.inference.contract import InputContract
from adapters.inference.segment import segment
from adapters.network import EntitySegmenter
from domains.entities import Samples
from domains.errors import InputError

BEYOND = 0.05
"""Where fewer good images are held back than the rate would want: so far above the strangest of them."""
DIGITS = 3
"""Of the least score, which is rounded up."""
MOST = 0.999


@dataclass(frozen=True)
class Quiet:
    """How false alarms were held to a rate. option: of the decoder, which went from `was` to `now`; held_back: so many
    good images; alarms: on those, now.
    """

    option: str
    was: float
    now: float
    held_back: int
    alarms: int
    rate: float

    def __str__(self) -> str:
        promise = f"at most {self.rate:g} of good images may show an entity: {self.option} {self.was:g} -> {self.now:g}"
        return f"{promise}, {self.alarms} of {self.held_back} good val images do{remark(self.held_back, self.rate)}"


def remark(held_back: int, rate: float) -> str:
    """What so few good images cannot promise; "" where they can."""
    least = 1 / (held_back + 1)
    return (
        f"; so few cannot promise less than {least:.2g}, the strangest of them is the measure" if rate < least else ""
    )


def quieten(
    segmenter: EntitySegmenter,
    samples: Samples,
    contract: InputContract,
    rate: float,
    on_progress: OnProgress = unheard,
) -> Quiet:
    """Set the decoder's least score to the lowest by which at most a share `rate` of new images without entity would
    show one, up or down; what is sure to be foreground is no longer kept whatever its score.

    Raises InputError for a decoder whose entities
    have no least score, and without an image that has no entity.
    """
    decoder = segmenter.decoder
    chosen: Any = decoder.options
    option, good = score_option(chosen), good_of(samples)
    check_good(good)
    loud = {option: min(chosen.TUNED[option])} | (
        {"sure_foreground": 1.0} if hasattr(chosen, "sure_foreground") else {}
    )
    decoder.options = replace(chosen, **loud)
    segmenter.eval()
    critical = np.zeros(len(good))
    for done, index in enumerate(good, start=1):
        entities = segment(segmenter, contract.photograph(samples[index]), contract)
        critical[done - 1] = 0.0 if entities.scores is None else entities.scores.max(initial=0.0)
        on_progress("good images", done, len(good))
    rank = rank_of(len(good), rate)
    strangest = np.sort(critical)[min(rank, len(good)) - 1] + (BEYOND if rank > len(good) else 0.0)
    now = max(min(chosen.TUNED[option]), min(MOST, math.floor(strangest * 10**DIGITS + 1) / 10**DIGITS))
    decoder.options = replace(decoder.options, **{option: now})
    return Quiet(option, getattr(chosen, option), now, len(good), int((critical >= now).sum()), rate)


def score_option(options: Any) -> str:
    """The option of a decoder by which entities of low scores are dropped. Raises InputError for one without."""
    names = ("least_iou",) if getattr(options, "regions", False) else ("min_score", "score_threshold", "least_iou")
    for name in names:
        if hasattr(options, name):
            return name
    raise InputError(
        f"train.false_alarms is for decoders whose entities have a least score; {options.name} has its own"
    )


def rank_of(count: int, rate: float) -> int:
    """Of `count` held-back images in ascending order of their strangest score, from 1, that above which at most a share
    `rate` of new images lies; count + 1 where so few cannot promise it.
    """
    return math.ceil((count + 1) * (1 - rate))


def good_of(samples: Samples | None) -> list[int]:
    """Indices of the images without entity."""
    if samples is None:
        return []
    return [i for i in range(len(samples)) if not any(truth.count for truth in samples[i].truths)]


def check_good(good: list[int]) -> None:
    """Raises InputError without a good image to hold the rate on."""
    if not good:
        raise InputError(
            "train.false_alarms wants images without entity in val, on which the rate is held; it has none: add some, "
            "or change domain.fractions"
        )
