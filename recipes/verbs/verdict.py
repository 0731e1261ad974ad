"""What a run was worth, and what would help it: two lines at the end of `fit`; and how measurements compare at all."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domains.metrics import MetricSet

STILL_FALLING = 0.02  # share by which the validation loss must fall in the last third of a run
OVERFITTED = 0.03  # share by which it must rise above its best


BETTER, WORSE, UNDECIDED, UNKNOWN = "better", "worse", "undecided", ""


@dataclass(frozen=True)
class Change:
    """By how much a metric of one measurement is above that of another on the same images."""

    value: float
    low: float
    high: float
    """95 % of it over resampled groups, the same groups for both; nan where there are fewer than two."""
    counts_faults: bool = False
    """Whether less is better."""

    @property
    def verdict(self) -> str:
        """`better` or `worse` by more than chance, `undecided`, or "" where it cannot be told."""
        if np.isnan(self.low):
            return UNKNOWN
        rises, falls = self.low > 0, self.high < 0
        if self.counts_faults:
            rises, falls = falls, rises
        return BETTER if rises else WORSE if falls else UNDECIDED

    def __str__(self) -> str:
        span = "" if np.isnan(self.low) else f" [{self.low:+.3f}, {self.high:+.3f}]"
        return f"{self.value:+.3f}{span}"


def changes(before: MetricSet, after: MetricSet) -> dict[str, Change]:
    """Each metric of two sets that saw the same images in the same order."""
    was, now, spans = before.compute(), after.compute(), paired_intervals(before, after)
    faults = {key for key, metric in after.metrics.items() if getattr(metric, "best", 1.0) == 0}
    return {key: Change(now[key] - was[key], *spans[key], counts_faults=key in faults) for key in was}


def paired_intervals(before: MetricSet, after: MetricSet) -> dict[str, tuple[float, float]]:
    """95 % of the change of each metric over resampled groups, the same groups for both; (nan, nan) where undefined."""
    was, now = before.resample(), after.resample()
    intervals = {}
    for key, values in was.items():
        change = now[key] - values
        defined = len(set(before.groups)) > 1 and bool(np.isfinite(change).any())
        low, high = np.nanpercentile(change, [2.5, 97.5]) if defined else (np.nan, np.nan)
        intervals[key] = (float(low), float(high))
    return intervals


def against(start: str, before: MetricSet, after: MetricSet, key: str) -> str:
    """Whether the adapter beats what it started from, which `start` calls by name, by more than chance."""
    change = changes(before, after)[key]
    seen = f"{len(before)} test images in {len(set(before.groups))} groups"
    if change.verdict == UNKNOWN:
        return f"against {start}: {key} cannot be compared on {seen}"
    numbers = f"{key} {change} on {seen}"
    if change.verdict == BETTER:
        return f"against {start}: better by more than chance, {numbers}"
    if change.verdict == WORSE:
        return f"against {start}: worse by more than chance, {numbers}; look at preview.png"
    return f"against {start}: not told apart, {numbers}; more test groups would narrow this"


def what_would_help(curve: list[tuple[int, float]], steps: int, seconds: float | None, images: int) -> str:
    """By the validation loss after each round, (step, loss): more steps, or more images.

    steps, seconds: the budget of the run; images: how many it learned from.
    """
    if len(curve) < 3:
        return "what would help: too few looks at the validation split to say; lower train.validate_every"
    at, losses = zip(*curve, strict=True)
    best = int(np.argmin(losses))
    early = min(losses[: max(1, round(len(losses) * 2 / 3))])
    if losses[-1] < early * (1 - STILL_FALLING):
        budget = f"train.steps={2 * max(steps, at[-1])}" + (f" train.seconds={2 * seconds:g}" if seconds else "")
        return f"what would help: more steps, val/loss fell by {1 - losses[-1] / early:.0%} in the last third: {budget}"
    if losses[-1] > losses[best] * (1 + OVERFITTED):
        return (
            f"what would help: more labelled images than {images}; val/loss has risen by "
            f"{losses[-1] / losses[best] - 1:.0%} since step {at[best]}, whose weights were kept"
        )
    return f"what would help: more labelled images than {images}, rather than steps; val/loss is level at its end"


def validation_curve(history: Path) -> list[tuple[int, float]]:
    """(step, val/loss) of a run's history.csv."""
    with history.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [(int(row["step"]), float(row["val/loss"])) for row in rows if row.get("val/loss")]
