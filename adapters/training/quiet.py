"""False alarms on images without entity, held to a rate by the least score of an entity.

Split conformal (Vovk et al., Algorithmic Learning in a Random World, 2005): of each good image of the validation split
the strangest entity; the least score goes above all but so many of them. That promises the rate for new images like
those, as far as weights and other thresholds were not chosen on the same ones, which they were: of few images it is a
wish.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
LEAST, MOST = 1e-6, 0.999
MOST_HELD_BACK = 60
"""Good images that are looked at, up to eight times; more would take long."""
SURE = "sure_foreground"


@dataclass(frozen=True)
class Quiet:
    """How false alarms were held to a rate. changed: option of the decoder -> (as it was, as it is now); held_back: so
    many good images; alarms: those of them that show an entity now.
    """

    changed: Mapping[str, tuple[float, float]]
    held_back: int
    alarms: int
    rate: float

    def __str__(self) -> str:
        moves = ", ".join(f"{name} {was:g} -> {now:g}" for name, (was, now) in self.changed.items())
        promise = f"at most {self.rate:g} of good images may show an entity: {moves}"
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
    """Set the decoder's least score, up or down, to the lowest by which at most a share `rate` of new images without
    entity would show one. Where a region is kept for its score or for being surely foreground, each has half the rate.

    Raises InputError for a decoder whose entities have no least score, and without an image that has no entity.
    """
    decoder = segmenter.decoder
    chosen: Any = decoder.options
    option, good = score_option(chosen), good_of(samples)
    check_good(good)
    if len(good) > MOST_HELD_BACK:
        good = [good[round(i)] for i in np.linspace(0, len(good) - 1, MOST_HELD_BACK)]
    segmenter.eval()

    def strangest(**changes: float) -> np.ndarray:
        """(N,) of good images the highest score of an entity, ascending, 0 only where there is none."""
        decoder.options = replace(chosen, **changes)
        critical = np.zeros(len(good))
        for done, index in enumerate(good, start=1):
            entities = segment(segmenter, contract.photograph(samples[index]), contract)
            if entities.count and entities.scores is not None:
                critical[done - 1] = max(LEAST, entities.scores.max())
            on_progress("good images", done, len(good))
        return np.sort(critical)

    options, by_foreground = {}, option == "least_iou" and hasattr(chosen, SURE)
    rank = rank_of(len(good), rate / 2 if by_foreground else rate)
    if by_foreground:
        options[SURE] = sure_foreground(chosen.TUNED[SURE], rank, len(good), strangest)
    critical = strangest(**{option: min(chosen.TUNED[option])}, **({SURE: 1.0} if by_foreground else {}))
    least = critical[min(rank, len(good)) - 1] + (BEYOND if rank > len(good) else 0.0)
    rounded = math.floor(least * 10**DIGITS + 1) / 10**DIGITS
    options[option] = max(min(chosen.TUNED[option]), min(MOST, rounded))
    alarms = np.count_nonzero(strangest(**options))
    return Quiet({name: (getattr(chosen, name), now) for name, now in options.items()}, len(good), int(alarms), rate)


def sure_foreground(values: Sequence[float], rank: int, count: int, strangest: Callable[..., np.ndarray]) -> float:
    """The lowest of some mean foreground scores by which regions that are kept for it alone show on no more good images
    than the rank allows; of too few images the next higher one.
    """
    falling = sorted(values, reverse=True)
    quiet = [falling[0]]  # 1: nothing is
    for value in falling[1:]:
        if np.count_nonzero(strangest(**{SURE: value, "least_iou": 1.0})) > max(0, count - rank):
            break
        quiet.append(value)
    return quiet[max(0, len(quiet) - 2)] if rank > count else quiet[-1]


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
