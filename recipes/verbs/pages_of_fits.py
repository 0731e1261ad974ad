"""What the reports of `compare` and `learning-curve` say, whose rows are fits side by side."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from recipes.report.charts import Chart, Series
from recipes.report.page import Headline, Page, Section
from recipes.report.tables import Cell, Span, Table, barred, number, span_text, text
from recipes.verbs.apart import Fits, table_keys
from recipes.verbs.digests import digest_tables, recipe_text
from recipes.verbs.pages import data_name, upper

LEAST_HEIGHT = 0.05
"""Of a metric's axis."""

Rows = Sequence[Mapping[str, Any]]
COLUMNS = {
    "k weights": ("learning", 1e-3),
    "kB": ("bytes", 1e-3),
    "steps": ("steps", 1),
    "CPU-s": ("cpu_s", 1),
    "MiB": ("peak_mib", 1),
}
"""Head of a column -> key of a row, and by what its number is multiplied."""
SPREAD = "± is the spread of the seeds, the bar the 95 % interval over resampled groups of test images"


def compare_page(fits: Fits, rows: Rows, front: Collection[str]) -> Page:
    """Methods side by side: the best by the mean of the headline, a picture of size against worth, all numbers.

    front: the methods that no other beats in size and in worth.
    """
    key = rows[0]["headline"]
    defined = [row for row in rows if not math.isnan(row["metrics"][key]["mean"])] or list(rows)
    best = max(defined, key=lambda row: row["metrics"][key]["mean"])
    points = {row["method"]: (row["bytes"] / 1e3, row["metrics"][key]["mean"]) for row in defined}
    return Page(
        "Compare",
        f"{len(rows)} methods on {data_name(fits.settled(fits.candidates[0], 0))}",
        facts_of(fits, len(rows)),
        headline_of(best, key, best["method"], [best_line(best, len(rows))]),
        [
            Section(
                "Size against worth",
                "The line joins the methods that no other beats in both.",
                charts=[pareto_chart(points, sorted(points[label] for label in front), rows, key)],
            ),
            Section("Methods", tables=[fit_table(rows, "method")]),
            configuration(fits),
        ],
    )


def best_line(best: Mapping[str, Any], count: int) -> str:
    """What the best method costs."""
    weights, size = best["learning"] / 1e3, best["bytes"] / 1e3
    return f"the best of {count} by the mean of its seeds: {weights:,.0f} k weights learn, {size:,.0f} kB in its files"


def pareto_chart(
    points: Mapping[str, tuple[float, float]], front: Sequence[tuple[float, float]], rows: Rows, key: str
) -> Chart:
    """Points (kB, value) by method, their spread, and the steps of the front."""
    spreads = {row["method"]: row["metrics"][key]["spread"] for row in rows}
    spans: list[Span | None] = [
        None if math.isnan(spreads[label]) else (value - spreads[label], value + spreads[label])
        for label, (_, value) in points.items()
    ]
    series = [
        Series("", list(points.values()), spans, list(points), "dots"),
        Series("", list(front), style="steps", faint=True),
    ]
    return Chart(
        "kB of weights in the adapter's files",
        f"{key}, mean of the seeds",
        series,
        log_x=True,
        least_height=LEAST_HEIGHT,
    )


def curve_page(fits: Fits, rows: Rows, verdicts: Sequence[str]) -> Page:
    """The headline by number of training images. verdicts: whether more of them would help, in sentences."""
    key = rows[-1]["headline"]
    points = [(float(row["images"]), row["metrics"][key]["mean"]) for row in rows]
    spans = [row["metrics"][key]["interval_95"] for row in rows]
    seeds = [
        (float(row["images"]), value) for row in rows for value in row["metrics"][key]["seeds"] if value is not None
    ]
    series = [
        Series("mean of the seeds, 95 % interval", points, spans),
        Series("a seed", seeds, style="dots", faint=True),
    ]
    chart = Chart(
        "images to train on", key, series, log_x=True, x_ticks=[x for x, _ in points], least_height=LEAST_HEIGHT
    )
    return Page(
        "Learning curve",
        f"{data_name(fits.settled(fits.candidates[0], 0))}: {rows[0]['images']} to {rows[-1]['images']} images",
        facts_of(fits, len(rows)),
        headline_of(rows[-1], key, f"{rows[-1]['images']} images", list(verdicts)),
        [
            Section(f"{key} by number of images", charts=[chart]),
            Section("Numbers", tables=[fit_table(rows, "images")]),
            configuration(fits),
        ],
    )


def headline_of(row: Mapping[str, Any], key: str, of: str, sentences: Sequence[str]) -> Headline:
    """The headline of a row, with the spread of its seeds. of: what was fitted."""
    metric = row["metrics"][key]
    value = "–" if math.isnan(metric["mean"]) else f"{metric['mean']:.3f}"
    return Headline(f"{key} of {of}", value, span_text(metric["interval_95"]), spread_of(metric), upper(sentences))


def spread_of(metric: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The spread of the seeds as a number with its name; none of one seed."""
    return [] if math.isnan(metric["spread"]) else [("spread of the seeds", f"± {metric['spread']:.3f}")]


def facts_of(fits: Fits, count: int) -> list[tuple[str, str]]:
    """What all fits have in common."""
    recipe = fits.settled(fits.candidates[0], 0)
    return [
        ("recipe", recipe.domain.name),
        ("data", data_name(recipe)),
        ("measured on", "test images"),
        ("fits", f"{count} × {fits.seeds} seeds" if fits.seeds > 1 else f"{count}, one seed"),
        ("each", f"{fits.seconds:g} s of the processor"),
    ]


def fit_table(rows: Rows, name: str) -> Table:
    """A row of numbers for each kind of fit; the bar is the headline's interval. name: key of what it is called by."""
    keys = table_keys(list(rows[0]["metrics"]))
    headline = [row["metrics"][keys[0]] for row in rows]
    bars = barred([(metric["mean"], metric["interval_95"]) for metric in headline])

    def metric_cell(metric: Mapping[str, Any]) -> Cell:
        spread = "" if math.isnan(metric["spread"]) else f"± {metric['spread']:.3f}"
        cell = number(metric["mean"])
        return cell if cell.value is None else Cell(cell.text, cell.value, spread)

    cells = [
        [
            Cell(str(row[name]), row[name] if isinstance(row[name], int) else None),
            metric_cell(row["metrics"][keys[0]]),
            bar,
            *(metric_cell(row["metrics"][key]) for key in keys[1:]),
            *(number(row[column] * factor, ",.0f") for column, factor in COLUMNS.values()),
        ]
        for row, bar in zip(rows, bars, strict=True)
    ]
    return Table([name, keys[0], "", *keys[1:], *COLUMNS], cells, note=SPREAD)


def configuration(fits: Fits) -> Section:
    """The recipe of the first fit, and the digests of every fit's adapter."""
    rows = [
        [text(candidate.label), number(seed, ".0f"), *row]
        for candidate, seed in fits.jobs()
        for row in digest_tables(fits.folder(candidate, seed) / "adapter")[0].rows
    ]
    tables = [Table(["fit", "seed", "file", "kB", "SHA-256"], rows, "Files of the adapters", folded=True)]
    candidate = fits.candidates[0]
    return Section(
        "Configuration and digests",
        tables=tables,
        texts=[recipe_text(fits.settled(candidate, 0), "Recipe of the first fit")],
    )
