"""Numbers as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from domains.metrics import MetricSet
from recipes.verbs.verdict import paired_intervals


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned: the first to the left, the others to the right; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def before_after(before: MetricSet, after: MetricSet, headline: str) -> str:
    """A row per metric with its 95 % interval by group bootstrap, and the paired difference with its own."""
    was, now = before.compute(), after.compute()
    spans_was, spans_now = before.interval(), after.interval()
    paired = paired_intervals(before, after)
    rows = [["metric", "before", "after", "change"]]
    for key in [headline, *(key for key in was if key != headline)]:
        low, high = paired[key]
        span = "" if math.isnan(low) else f" [{low:+.3f}, {high:+.3f}]"
        change = "" if math.isnan(now[key] - was[key]) else f"{now[key] - was[key]:+.3f}{span}"
        rows.append([key, with_span(was[key], spans_was[key]), with_span(now[key], spans_now[key]), change])
    note = f"test split, {len(before)} images in {len(set(before.groups))} groups; [95 % interval, groups resampled]"
    return f"{text_table(rows)}\n{note}"


def with_span(value: float, span: tuple[float, float]) -> str:
    """`0.512 [0.480, 0.541]`, without the interval where it is nan, or `undefined`."""
    if math.isnan(value):
        return "undefined"
    return f"{value:.3f}" if math.isnan(span[0]) else f"{value:.3f} [{span[0]:.3f}, {span[1]:.3f}]"


def counts_line(metrics: MetricSet) -> str:
    """`entities at IoU 0.5: 40 right, 12 wrong, 31 missed; per mm2 512 predicted, 540 true`, each with its interval."""
    counted = metrics.counted()
    texts = {key: f"{interval['value']:.0f}{span(interval)}" for key, interval in counted.items()}
    line = (
        f"entities at IoU 0.5: {texts['true_positives']} right, {texts['false_positives']} wrong, "
        f"{texts['false_negatives']} missed"
    )
    if math.isnan(counted["true_per_mm2"]["value"]):
        return line
    return f"{line}; per mm2 {texts['predicted_per_mm2']} predicted, {texts['true_per_mm2']} true"


def span(interval: dict[str, float]) -> str:
    """` [35, 44]`, or nothing where the interval is nan."""
    return "" if math.isnan(interval["low"]) else f" [{interval['low']:.0f}, {interval['high']:.0f}]"
