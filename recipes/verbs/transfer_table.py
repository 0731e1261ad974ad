"""The table of `transfer`: what was measured, with intervals and differences, as files and for the terminal."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from domains.atomic import atomic_path
from domains.metrics import MetricSet
from recipes.shared import BASE
from recipes.verbs.heatmap import heat_maps
from recipes.verbs.numbers import plain, write_json
from recipes.verbs.tables import text_table, with_span
from recipes.verbs.verdict import BETTER, UNDECIDED, WORSE, Change, changes

Table = dict[str, dict[str, dict[str, float | None]]]
"""Metric -> adapter -> data set -> value."""
Fitted = Mapping[str, Mapping[str, str]]
"""Adapter -> data set -> whether it was fitted on it: OWN, MEASURED or ""."""
NOWHERE: Fitted = {}
ROUTED = "routed"
"""The row of `--routed`."""
OWN, MEASURED = "set", "measured"
MARKS = {"": "", OWN: "*", MEASURED: "!"}
REFERENCES = {
    "base": "the base",
    "specialist": "the adapter that was fitted on the set",
    "start": "what it started from",
    "base_few_shot": "the base after as many images",
}
"""What a cell is held against, and how people read it; the later two of rows that went on from others."""
ALWAYS = ("base", "specialist")
WORDS = {BETTER: "better", WORSE: "worse", UNDECIDED: "not told apart"}


@dataclass
class Measurements:
    """What was measured: the metrics of each adapter on each set, which saw the images of a set in one order."""

    split: str
    rows: list[str]
    columns: list[str]
    headlines: Mapping[str, str]
    """Set -> the metric that its domain shows before the others."""
    fitted: Fitted = field(default_factory=dict)
    sets: dict[tuple[str, str], MetricSet] = field(default_factory=dict)
    """(adapter, set) -> its metrics."""
    shots: Mapping[str, str] = field(default_factory=dict)
    """Row of what went on learning from a few images -> row that it started from."""
    routes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Set -> row -> how many of its images the row `ROUTED` has from there; empty without that row."""

    def table(self) -> Table:
        """Every value, without metrics that no cell has a value of."""
        table: Table = {}
        for row, column, metrics in self.cells():
            for key, value in plain(metrics.compute()).items():
                table.setdefault(key, {}).setdefault(row, {})[column] = value
        return {key: values for key, values in table.items() if any(defined_cells(values))}

    def cells(self) -> Iterator[tuple[str, str, MetricSet]]:
        """(adapter, set, metrics), a row after the other."""
        for row in self.rows:
            for column in self.columns:
                if (row, column) in self.sets:
                    yield row, column, self.sets[row, column]

    def specialist(self, column: str) -> str | None:
        """The adapter that was fitted on a set, of several the one that was named before the others."""
        return next((row for row in self.rows if self.fitted.get(row, {}).get(column)), None)

    def reference(self, name: str, row: str, column: str) -> str | None:
        """The row that a cell is held against; None where there is none but itself."""
        references = {
            "base": BASE,
            "specialist": self.specialist(column),
            "start": self.shots.get(row),
            "base_few_shot": next((shot for shot, start in self.shots.items() if start == BASE), None),
        }
        if name not in ALWAYS and row not in self.shots:
            return None
        reference = references[name]
        return None if reference in (None, row) or (reference, column) not in self.sets else reference

    def changes(self, name: str) -> dict[str, dict[str, dict[str, Change]]]:
        """Metric -> adapter -> set -> how far the cell is above its reference of that name."""
        table: dict[str, dict[str, dict[str, Change]]] = {}
        for row, column, metrics in self.cells():
            reference = self.reference(name, row, column)
            if reference is not None:
                for key, change in changes(self.sets[reference, column], metrics).items():
                    table.setdefault(key, {}).setdefault(row, {})[column] = change
        return table


@dataclass(frozen=True)
class Report:
    """Everything that is written of measurements, as plain data."""

    split: str
    rows: Sequence[str]
    columns: Sequence[str]
    headlines: Mapping[str, str]
    fitted: Fitted
    table: Table
    intervals: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]
    """Metric -> adapter -> set -> 95 % interval by group bootstrap; nan of fewer than two groups."""
    changes: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Change]]]]
    """Name of a reference -> metric -> adapter -> set -> the paired change against it."""
    specialists: Mapping[str, str | None]
    counts: Mapping[str, tuple[int, int]]
    """Set -> (images, groups)."""
    shots: Mapping[str, str]
    """As of `Measurements`."""
    routes: Mapping[str, Mapping[str, int]]
    """As of `Measurements`."""
    cells: int
    """How many were measured."""

    @classmethod
    def of(cls, measured: Measurements) -> Report:
        """Intervals and paired differences of measurements: some seconds where there are thousands of entities."""
        intervals: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
        counts = {}
        for row, column, metrics in measured.cells():
            counts[column] = len(metrics), len(set(metrics.groups))
            for key, interval in metrics.interval().items():
                intervals.setdefault(key, {}).setdefault(row, {})[column] = interval
        return cls(
            measured.split, measured.rows, measured.columns, measured.headlines, measured.fitted,
            table=measured.table(),
            intervals=intervals,
            changes={name: against for name in REFERENCES if (against := measured.changes(name)) or name in ALWAYS},
            specialists={column: measured.specialist(column) for column in measured.columns},
            counts=counts,
            shots=measured.shots,
            routes=measured.routes,
            cells=len(measured.sets),
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """The content of transfer.json; fitted_on: adapter -> data set -> `set`, `measured` or ""."""
        against = {
            f"against_{name}": {
                key: {
                    row: {column: change_json(change) for column, change in of_row.items()}
                    for row, of_row in of_key.items()
                }
                for key, of_key in self.changes[name].items()
                if key in self.table
            }
            for name in self.changes
        }
        content = {
            "split": self.split,
            "metrics": self.table,
            "fitted_on": self.fitted,
            "intervals_95": {key: self.intervals[key] for key in self.table},
            **against,
            "specialists": self.specialists,
            **({"few_shot": self.shots} if self.shots else {}),
            **({"routing": self.routes} if self.routes else {}),
            "sets": {
                column: {"images": images, "groups": groups, "headline": self.headlines[column]}
                for column, (images, groups) in self.counts.items()
            },
        }
        return plain({key: dict(value) if isinstance(value, Mapping) else value for key, value in content.items()})

    @property
    def headline(self) -> str:
        """The metric that is told of in words: panoptic quality, which every domain has."""
        return "pq" if "pq" in self.table else next(iter(self.table))

    def change(self, name: str, key: str, row: str, column: str) -> Change | None:
        """How far a cell is above its reference of that name, where it has one."""
        return self.changes[name].get(key, {}).get(row, {}).get(column)

    def verdict_lines(self, key: str) -> Iterator[str]:
        """For each adapter and reference, on which sets it is better and worse by more than chance."""
        for name in self.changes:
            for row in (row for row in self.rows if (row in self.shots) == (name not in ALWAYS)):
                of_row = self.changes[name].get(key, {}).get(row, {})
                by_word = {word: [c for c, change in of_row.items() if change.verdict == word] for word in WORDS}
                unknown = [column for column, change in of_row.items() if change.verdict not in WORDS]
                texts = [f"{WORDS[word]} on {', '.join(columns)}" for word, columns in by_word.items() if columns]
                texts += [f"cannot be told on {', '.join(unknown)}"] if unknown else []
                if texts:
                    yield f"{row} against {REFERENCES[name]}, {key}: {'; '.join(texts)}"


def change_json(change: Change) -> dict[str, Any]:
    """A change as JSON holds it."""
    return {"change": change.value, "low": change.low, "high": change.high, "verdict": change.verdict}


def cells(
    values: Mapping[str, Mapping[str, float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    fitted: Fitted = NOWHERE,
) -> list[list[str]]:
    """Header and rows of text, marked where fitted; a metric that a domain does not have is left empty."""

    def cell(row: str, column: str) -> str:
        value = values.get(row, {}).get(column)
        return "" if value is None else f"{value:.3f}{MARKS[fitted.get(row, {}).get(column, '')]}"

    return [["adapter", *columns], *([row, *(cell(row, column) for column in columns)] for row in rows)]


def defined_cells(values: Mapping[str, Mapping[str, float | None]]) -> list[bool]:
    """Of each cell of a metric, whether it has a value: a set may hold nothing that the metric speaks of."""
    return [value is not None for row in values.values() for value in row.values()]


def pictured(table: Table, cells: int, headlines: Collection[str]) -> Table:
    """The metrics that have a value in each of so many cells, and the headlines; all where there are none."""
    return {key: rows for key, rows in table.items() if key in headlines or sum(defined_cells(rows)) == cells} or table


def legend(fitted: Fitted) -> str:
    """What the marks mean that the table has."""
    marks = {word for row in fitted.values() for word in row.values()}
    means = {OWN: "the adapter was fitted on other images of this set", MEASURED: "on images that are measured here"}
    return "; ".join(f"{MARKS[word].strip()} {meaning}" for word, meaning in means.items() if word in marks)


def write(out: Path, report: Report) -> None:
    """transfer.csv, .md, .png and .json; all metrics as text, as a picture those of `pictured`."""
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "transfer.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(csv_rows(report))
    note = legend(report.fitted)
    with atomic_path(out / "transfer.md") as path:
        path.write_text(
            f"# Transfer, {report.split} split\n\n"
            + (f"{note}\n\n" if note else "")
            + "".join(f"- {line}\n" for line in report.verdict_lines(report.headline))
            + "\n"
            + "\n".join(metric_markdown(report, key) for key in report.table)
            + (f"\n{routing_markdown(report)}" if report.routes else ""),
            encoding="utf-8",
        )
    with atomic_path(out / "transfer.png") as path:
        marks = {row: {column: MARKS[word] for column, word in inner.items()} for row, inner in report.fitted.items()}
        pictures = pictured(report.table, report.cells, set(report.headlines.values()))
        heat_maps(path, pictures, report.rows, report.columns, marks, note)
    write_json(out / "transfer.json", report.as_json())  # last: its presence says the rest is there


def csv_rows(report: Report) -> Iterator[list[Any]]:
    """The head, and a row for each metric, adapter and set; what is not known is empty."""
    added = [f"{name}_{number}" for name in report.changes for number in ("change", "low", "high", "verdict")]
    yield ["metric", "adapter", "data", "value", "fitted_on", "low", "high", "specialist_is", *added]
    for key, values in report.table.items():
        for row in (row for row in report.rows if row in values):
            for column in report.columns:
                fitted = report.fitted.get(row, {}).get(column, "")
                ends = plain(report.intervals[key].get(row, {}).get(column, (None, None)))
                against = [
                    number
                    for change in (report.change(name, key, row, column) for name in report.changes)
                    for number in ([None] * 4 if change is None else plain(list(change_json(change).values())))
                ]
                yield [key, row, column, values[row].get(column), fitted, *ends, report.specialists[column], *against]


def metric_markdown(report: Report, key: str) -> str:
    """A metric's values, adapters by sets; then each value with its interval and its differences."""
    values = markdown(key, cells(report.table[key], report.rows, report.columns, report.fitted))
    long = [["adapter", "data", "value [95 %]", *(f"against {name.replace('_', ' ')}" for name in report.changes)]]
    for row in report.rows:
        for column, value in report.table[key].get(row, {}).items():
            texts = [change_text(report.change(name, key, row, column)) for name in report.changes]
            number = with_span(np.nan if value is None else value, report.intervals[key][row][column])
            long.append([row, column, number, *texts])
    return "\n".join([values, *markdown_table(long), ""])


def routing_markdown(report: Report) -> str:
    """Which row the images of each set went to."""
    return markdown("routing: images", routing_cells(report.routes, report.rows))


def routing_cells(routes: Mapping[str, Mapping[str, int]], rows: Sequence[str]) -> list[list[str]]:
    """Head and rows of text: sets by the rows that any image went to, how many did."""
    chosen = [row for row in rows if any(row in counts for counts in routes.values())]
    return [
        ["data", *chosen],
        *([name, *(str(counts.get(row, 0)) for row in chosen)] for name, counts in routes.items()),
    ]


def change_text(change: Change | None) -> str:
    """`+0.149 [+0.101, +0.199] better`; empty where there is nothing to hold against, or no value."""
    if change is None or np.isnan(change.value):
        return ""
    return f"{change} {WORDS.get(change.verdict, '')}".strip()


def markdown(key: str, rows: list[list[str]]) -> str:
    """A metric's table under its heading; the first of `rows` is the table's head."""
    return "\n".join([f"## {key}", "", *markdown_table(rows), ""])


def markdown_table(rows: list[list[str]]) -> list[str]:
    """The lines of a table, its head the first of `rows`."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|---|" + "---|" * (len(rows[0]) - 1), *lines[1:]]


def printed(report: Report, out: Path) -> Iterator[str]:
    """What the terminal shows: the values of a metric that most sets have, and what is beyond chance."""
    headline = report.headline
    yield f"{headline}, {report.split} split; rows are adapters, columns data sets"
    yield text_table(cells(report.table[headline], report.rows, report.columns, report.fitted))
    if note := legend(report.fitted):
        yield note
    yield from report.verdict_lines(headline)
    yield f"all metrics: {out / 'transfer.md'}   heat maps: {out / 'transfer.png'}   report: {out / 'report.html'}"
