"""What the reports of `fit`, `evaluate` and `transfer` say: from results to the parts of a page."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from adapters.training.fitting import Fitted, Training
from domains.entities import EntityMap, Samples
from domains.metrics import MetricSet
from recipes.reading.schema import Recipe
from recipes.report.charts import Chart, Series
from recipes.report.page import Headline, Page, Section
from recipes.report.pictures import MOST_BYTES, Picture, chosen_images, picture_of
from recipes.report.tables import Span, Table, barred, heat_table, number, span_text, text
from recipes.shared import BASE
from recipes.verbs.digests import digest_tables, recipe_text
from recipes.verbs.transfer_table import ROUTED
from recipes.verbs.verdict import paired_intervals

GROUPED = "Smaller, and as bars: 95 % intervals, by resampling the groups of images."
COUNTED = {
    "true_positives": "right",
    "false_positives": "wrong",
    "false_negatives": "missed",
    "precision": "precision",
    "recall": "recall",
    "predicted_per_image": "predicted in an image",
    "true_per_image": "true in an image",
    "predicted_per_mm2": "predicted per mm²",
    "true_per_mm2": "true per mm²",
}
MOST_STRATA = 200

Values = Mapping[str, Mapping[str, float | None]]
"""Row -> column -> value."""


def pictures_of(
    samples: Samples, metrics: MetricSet, headline: str, predict: Callable[[int], EntityMap]
) -> list[Picture]:
    """The best, middle and worst of the samples that were measured. predict: the entities of the sample at an index."""
    chosen = chosen_images(metrics, headline)
    pictures = []
    for choice in chosen:
        sample = samples[choice.index]
        prediction = predict(choice.index)
        most_bytes = MOST_BYTES // len(chosen)
        pictures.append(picture_of(sample.image, sample.truth, prediction, choice, sample.place.scene, most_bytes))
    return pictures


def picture_section(pictures: Sequence[Picture], split: str) -> Section:
    """The pictures, and how to look at them."""
    key = pictures[0].value.split()[0] if pictures else ""
    note = f"The best, the middle and the worst of the {split} images by {key} of each alone: drag across a picture."
    return Section("Images", note, pictures=pictures)


def fit_page(
    recipe: Recipe,
    fitted: Fitted,
    headline: str,
    adapter: Path,
    sentences: Sequence[str],
    pictures: Sequence[Picture],
    facts: Mapping[str, str],
) -> Page:
    """What a fit came to. sentences: its verdict; facts: what was fitted, on what, by name."""
    before, after = fitted.before, fitted.after
    assert before is not None and after is not None
    was, now = before.compute()[headline], after.compute()[headline]
    asides = [("before", with_interval(was, before.interval()[headline]))]
    digests = digest_tables(adapter)
    return Page(
        "Fit",
        data_name(recipe),
        list(facts.items()),
        Headline(
            f"{headline}, test images", f"{now:.3f}", span_text(after.interval()[headline]), asides, upper(sentences)
        ),
        [
            picture_section(pictures, "test"),
            Section(
                "Metrics",
                f"On the test images, before and after. {GROUPED}",
                tables=[change_table(before, after, headline)],
            ),
            *measured_sections(after, headline),
            loss_section(adapter.parent / "history.csv", fitted.training),
            Section("Configuration and digests", tables=digests, texts=[recipe_text(recipe)]),
        ],
    )


def evaluate_page(
    recipe: Recipe,
    metrics: MetricSet,
    headline: str,
    adapter: str | None,
    sentences: Sequence[str],
    pictures: Sequence[Picture],
    facts: Mapping[str, str],
    *,
    further: Sequence[Section] = (),
) -> Page:
    """What an adapter, or the base, is worth. adapter: None for the base; sentences: notes; facts: of what, on what;
    further: sections before that of the digests.
    """
    value, split = metrics.compute()[headline], facts["split"]
    tables = digest_tables(adapter) if adapter is not None else []
    return Page(
        "Evaluate",
        data_name(recipe),
        list(facts.items()),
        Headline(
            f"{headline}, {split} images",
            f"{value:.3f}",
            span_text(metrics.interval()[headline]),
            sentences=upper(sentences),
        ),
        [
            picture_section(pictures, split),
            Section("Metrics", GROUPED, tables=[metric_table(metrics, headline)]),
            *measured_sections(metrics, headline),
            *further,
            Section("Configuration and digests", tables=tables, texts=[recipe_text(recipe)]),
        ],
    )


def transfer_page(
    table: Mapping[str, Values],
    rows: Sequence[str],
    columns: Sequence[str],
    headline: str,
    split: str = "test",
    *,
    note: str = "",
    marks: Mapping[str, Mapping[str, str]] | None = None,
    intervals: Mapping[str, Mapping[str, Mapping[str, Span | None]]] | None = None,
    adapters: Mapping[str, str] | None = None,
    routes: Mapping[str, Mapping[str, int]] | None = None,
) -> Page:
    """How adapters travel. table, intervals: metric -> row -> column -> value, its interval; marks: row -> column -> a
    sign; note: what the signs mean; adapters: name of a row -> where its adapter is, for the digests; routes: column ->
    row -> how many of its images the row `routed` has from there.
    """

    def heat(key: str) -> Table:
        return heat_table(table[key], rows, columns, "adapter", (intervals or {}).get(key), marks)

    further = [folded(heat(key), key) for key in table if key != headline]
    digests = [
        folded(digest, f"{name}: {digest.title[0].lower()}{digest.title[1:]}")
        for name, place in (adapters or {}).items()
        for digest in digest_tables(place)
    ]
    reading = "Rows are adapters, columns data sets; the deeper the colour, the larger the number."
    sections = [
        Section(f"{headline}, {split} images", reading, tables=[replace(heat(headline), note=note)]),
        *([routing_section(routes, rows)] if routes else []),
        Section("The other metrics", tables=further),
        Section("Digests", tables=digests),
    ]
    count = len(rows) - (BASE in rows) - bool(routes)
    title = f"{count} adapter{'s' * (count != 1)}{' and the base' * (BASE in rows)} on {len(columns)} sets"
    return Page("Transfer", title, [("split", split), ("metrics", str(len(table)))], None, sections)


def routing_section(routes: Mapping[str, Mapping[str, int]], rows: Sequence[str]) -> Section:
    """Which row the images of each set went to; routes: column -> row -> how many."""
    chosen = [row for row in rows if any(row in counts for counts in routes.values())]
    cells = [
        [text(column), *(number(counts.get(row, 0), ".0f") for row in chosen)] for column, counts in routes.items()
    ]
    note = f"How many images of a set the row {ROUTED} has from which adapter; {BASE}: those that none of them fits."
    return Section("Routing", note, tables=[Table(["data", *chosen], cells)])


def change_table(before: MetricSet, after: MetricSet, headline: str) -> Table:
    """A row per metric: before, after, the paired change, and a bar of its interval."""
    was, now = before.compute(), after.compute()
    spans_was, spans_now, paired = before.interval(), after.interval(), paired_intervals(before, after)
    keys = [headline, *(key for key in was if key != headline)]
    changes = [now[key] - was[key] for key in keys]
    bars = barred([(change, paired[key]) for key, change in zip(keys, changes, strict=True)], with_zero=True)
    rows = [
        [
            text(key),
            number(was[key], interval=spans_was[key]),
            number(now[key], interval=spans_now[key]),
            number(change, "+.3f", paired[key]),
            bar,
        ]
        for key, change, bar in zip(keys, changes, bars, strict=True)
    ]
    return Table(["metric", "before", "after", "change", ""], rows)


def metric_table(metrics: MetricSet, headline: str) -> Table:
    """A row per metric: its value, and a bar of its interval."""
    values, spans = metrics.compute(), metrics.interval()
    keys = [headline, *(key for key in values if key != headline)]
    bars = barred([(values[key], spans[key]) for key in keys])
    rows = [[text(key), number(values[key], interval=spans[key]), bar] for key, bar in zip(keys, bars, strict=True)]
    return Table(["metric", "value", ""], rows)


def measured_sections(metrics: MetricSet, headline: str) -> list[Section]:
    """Entities counted, and the metrics by kind of image where there are several kinds."""
    counted = metrics.counted()
    rows = [
        [text(word), number(count["value"], form_of(key), (count["low"], count["high"]))]
        for key, word in COUNTED.items()
        if not math.isnan((count := counted[key])["value"])
    ]
    sections = [Section("Entities", "Matched at an IoU of .5 or more.", tables=[Table(["", "entities"], rows)])]
    strata = metrics.by_stratum() if 1 < len(set(metrics.strata)) <= MOST_STRATA else {}
    if strata:
        keys = [headline, *(key for key in metrics.metrics if key != headline)][:6]
        rows = [
            [text(name), number(metrics.strata.count(name), ".0f"), *(number(values[key]) for key in keys)]
            for name, values in strata.items()
        ]
        sections.append(Section("Kinds of image", tables=[Table(["kind", "images", *keys], rows)]))
    return sections


def form_of(key: str) -> str:
    """How a count is written: shares by three digits, means by one, sums and densities as whole numbers."""
    if key in ("precision", "recall"):
        return ".3f"
    return ",.1f" if key.endswith("per_image") else ",.0f"


def loss_section(history: Path, training: Training) -> Section:
    """The losses by step; empty where nothing was trained."""
    rows: list[dict[str, str]] = []
    if history.exists():
        with history.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    series = [
        Series(word, [(float(row["step"]), float(row[column])) for row in rows if row.get(column)], faint=faint)
        for word, column, faint in (("training", "loss", True), ("validation", "val/loss", False))
    ]
    kept = (
        ""
        if training.val_loss is None
        else f" The weights of the lowest validation loss, {training.val_loss:.4f}, are kept."
    )
    note = f"Training crops are augmented, those of validation are not.{kept}"
    return Section("Losses", note, charts=[Chart("step", "loss", series)])


def data_name(recipe: Recipe) -> str:
    """What the data are called: the folder, or the sample of a domain."""
    data = recipe.domain.data
    return f"{recipe.domain.name} sample" if data == "sample" else Path(data).resolve().name


def with_interval(value: float, interval: Span) -> str:
    """`0.512 (0.480 to 0.541)`, or `undefined`."""
    span = span_text(interval)
    return "undefined" if math.isnan(value) else f"{value:.3f}" + (f" ({span})" if span else "")


def upper(sentences: Sequence[str]) -> list[str]:
    """Lines of a terminal as sentences."""
    return [f"{sentence[:1].upper()}{sentence[1:]}." for sentence in sentences if sentence]


def folded(table: Table, title: str) -> Table:
    """The table behind its title."""
    return replace(table, title=title, folded=True)
