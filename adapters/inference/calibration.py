"""The decode's thresholds, chosen on labelled images that the network did not learn from.

Which foreground score is an entity, and how deep a saddle must be to part two of them, differs from domain to domain
and from fit to fit. The network runs once; every candidate decodes the outputs that are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adapters.inference.segment import TILES_AT_ONCE, InputContract
from adapters.network import EntitySegmenter, Output
from domains.entities import EntityMap, Samples
from domains.entities.resize import resize_sample
from domains.metrics import EntityMetric, MetricSet
from domains.tiling.grid import windows

TILES = 32
PASSES = 2
OnProgress = Callable[[str, int, int], None]
"""It is told what is counted, such as tiles, how many of it are done, and of how many."""
DIGITS = 6
"""Of a granularity that is said: 1 - 0.7 is 0.3."""
MARGIN = 0.002  # what a candidate must gain: on few tiles less is chance


def unheard(unit: str, done: int, steps: int) -> None:
    """Progress goes unheard, for whoever does not want to know."""


@dataclass(frozen=True)
class Calibration:
    """The thresholds that were chosen, and what they are worth on the tiles that chose them."""

    metric: str
    before: float
    after: float
    changed: Mapping[str, tuple[float, float]]
    """Option -> (as it was, as it is now)."""
    tiles: int
    remark: str = ""
    """What else was chosen."""

    def __str__(self) -> str:
        return f"calibrated on {self.tiles} val tiles: {self.outcome}{self.remark}"

    @property
    def outcome(self) -> str:
        """Which thresholds moved, and what they are worth."""
        if math.isinf(self.after):
            return f"{self.metric} is undefined there, thresholds stay"
        if not self.changed:
            return f"thresholds stay, {self.metric} {self.after:.3f}"
        moves = ", ".join(f"{name} {was:g} -> {now:g}" for name, (was, now) in self.changed.items())
        return f"{moves}; {self.metric} {self.before:.3f} -> {self.after:.3f}"


def calibrate(
    segmenter: EntitySegmenter,
    samples: Samples,
    metrics: Callable[[], Mapping[str, EntityMetric]],
    headline: str,
    contract: InputContract,
    tiles: int = TILES,
    on_progress: OnProgress = unheard,
) -> Calibration:
    """Set the decoder's options in `TUNED` to what gives most of a metric; the others, and the weights, stay.

    samples: of the validation split; headline: key of one of `metrics()`, where more is better. Options are tried one
    after the other, in at most two passes. Where the metric is undefined, all stay as they are; but the granularity is
    said from here on, if it may be set. on_progress: told of
    the tiles, then of the thresholds that are tried, at most as many as it says.
    """
    looks = list(tile_outputs(segmenter, samples, contract, tiles, on_progress))
    decoder, proposals = segmenter.decoder, segmenter.decoder.proposals
    start = decoder.options
    if "granularity" in proposals.tuned() and start.granularity is None:
        start = replace(start, granularity=round(proposals.granularity, DIGITS))
    ready = [(proposals.prepared(*output), truths, group) for output, truths, group in looks]
    scores: dict[Any, float] = {}

    def score(options: Any) -> float:
        if options not in scores:
            decoder.options = options
            measured = MetricSet({headline: metrics()[headline]})
            for prepared, truths, group in ready:
                measured.update(decoder.proposals.cut(prepared), truths, group)
            value = measured.compute()[headline]
            scores[options] = -math.inf if math.isnan(value) else value
        return scores[options]

    best, tuned, done = start, proposals.tuned(), 0
    trials = PASSES * sum(map(len, tuned.values()))
    score(start)
    for _ in range(PASSES):
        before_pass = best
        for name, values in tuned.items():
            candidates = [replace(best, **{name: value}) for value in values]
            for candidate in candidates:
                score(candidate)
                done += 1
                on_progress("thresholds", done, trials)
            winner = max(candidates, key=score)
            if score(winner) > score(best) + MARGIN:
                best = winner
        if best == before_pass:
            break
    on_progress("thresholds", done, done)  # a second pass is not always wanted
    decoder.options = best
    moved = {name: (getattr(start, name), getattr(best, name)) for name in tuned}
    changed = {name: pair for name, pair in moved.items() if pair[0] != pair[1]}
    return Calibration(headline, scores[start], scores[best], changed, len(looks))


def tile_outputs(
    segmenter: EntitySegmenter,
    samples: Samples,
    contract: InputContract,
    tiles: int,
    on_progress: OnProgress = unheard,
) -> Iterator[tuple[Output, tuple[EntityMap, ...], str]]:
    """Yields (the network's output, the truth, the scene) of tiles spread over the samples, equally many of each.

    In all they are `tiles`, or up to twice as many. The network stays where it was placed; outputs are on the CPU.
    """
    segmenter.eval()
    count = min(tiles, len(samples))
    rng = np.random.default_rng(0)
    images, truths, scenes = [], [], []
    for i in sorted({round(i) for i in np.linspace(0, len(samples) - 1, count)}):
        sample = resize_sample(samples[i], contract.factor_of(samples[i]))
        height, width = sample.image.shape[:2]
        cut = windows(height, width, contract.tile_px, 0)
        for chosen in rng.permutation(len(cut))[: math.ceil(tiles / count)]:
            images.append(sample.image[cut[chosen].slices])
            truths.append(tuple(truth.crop(*cut[chosen]) for truth in sample.truths))
            scenes.append(sample.place.scene)
    for start in range(0, len(images), TILES_AT_ONCE):
        for i, output in enumerate(segmenter.outputs(images[start : start + TILES_AT_ONCE], contract.views), start):
            on_progress("tiles", i + 1, len(images))
            yield output, truths[i], scenes[i]
