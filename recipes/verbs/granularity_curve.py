"""How good the cuts of forests are at every granularity: rows for a terminal and a CSV, and a curve for a picture."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from domains.atomic import atomic_path
from domains.errors import InputError
from domains.metrics.sweep import Sweep
from recipes.report.charts import Chart, Series
from recipes.report.page import Section
from recipes.report.tables import Table, number, text
from recipes.verbs.numbers import plain
from recipes.verbs.tables import text_table, with_span

CSV_NAME, PNG_NAME = "granularity.csv", "granularity.png"
WORDS = {
    "covering_ods": "ODS",
    "covering_ois": "OIS",
    "covering_predicted": "predicted",
    "best_covering": "best",
}


def check_curve_files(folder: Path, overwrite: bool) -> None:
    """Raises InputError for a curve that is there already, before anything is measured."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out is {str(folder)!r}, which is a file; name a folder")
    present = [name for name in (CSV_NAME, PNG_NAME) if (folder / name).exists()]
    if present and not overwrite:
        raise InputError(f"{str(folder)!r} holds {' and '.join(present)}; name another --out, or add --overwrite")


@dataclass(frozen=True)
class GranularityCurve:
    """What a sweep came to. headline: key of the domain's; calibrated: the granularity of the adapter's flat maps."""

    sweep: Sweep
    headline: str
    calibrated: float

    @property
    def shown(self) -> list[str]:
        """Keys of the curves that are drawn: covering, and the headline where it is another."""
        return [*dict.fromkeys(("covering", self.headline))]

    def keys(self) -> list[str]:
        """Every metric of a cut, those that are drawn before the others."""
        keys = next(iter(self.sweep.at.values())).metrics
        return [*dict.fromkeys((*self.shown, *keys))]

    def better(self) -> float | None:
        """The granularity at which the headline is greatest, where it is another than the adapter's."""
        best = self.sweep.best(self.headline)
        return None if best == self.calibrated else best

    def lines(self) -> list[str]:
        """What a terminal shows: a row for each granularity, and a line for each way to choose one."""
        head = ["granularity", *self.shown, "entities"]
        rows = [head]
        for granularity, metrics in self.sweep.at.items():
            values, spans = metrics.compute(), metrics.interval()
            mark = " (the adapter's)" if granularity == self.calibrated else ""
            entities = f"{metrics.counts.compute()['predicted_per_image']:.1f}"
            cells = [with_span(values[key], spans[key]) for key in self.shown]
            rows.append([f"{granularity:g}{mark}", *cells, entities])
        forest = self.sweep.of_forest
        values, spans = forest.compute(), forest.interval()
        notes = {
            "covering_ods": f"at granularity {self.sweep.ods.best_granularity():g}, the best one for all images",
            "covering_ois": "at the best granularity of each image",
            "covering_predicted": "at the granularity that the scores of each image predict, without its truth",
            "best_covering": "by the best node for each region, whatever the cut",
        }
        chosen = [f"{WORDS[key]}: covering {with_span(values[key], spans[key])} {note}" for key, note in notes.items()]
        further = [["of all nodes", "value [95 % interval]"]]
        further += [[key, with_span(values[key], spans[key])] for key in values if key not in WORDS]
        return [text_table(rows), *chosen, text_table(further)]

    def as_json(self) -> dict[str, Any]:
        """The numbers of forests and of every cut, for JSON."""
        forest = self.sweep.of_forest
        return {
            "forest": plain(forest.compute()),
            "forest_intervals_95": plain(forest.interval()),
            "ods_granularity": self.sweep.ods.best_granularity(),
            "own_granularity": self.calibrated,
            "granularities": [
                {"granularity": granularity, "metrics": plain(metrics.compute())}
                for granularity, metrics in self.sweep.at.items()
            ],
        }

    def write(self, folder: Path) -> list[Path]:
        """Write CSV and PNG into a folder, each whole or not at all; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / CSV_NAME) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(self.table_rows())
        with atomic_path(folder / PNG_NAME) as temporary:
            draw(temporary, self)
        return [folder / CSV_NAME, folder / PNG_NAME]

    def table_rows(self) -> list[list[Any]]:
        """The head and a row for each granularity: value, low and high end of the 95 % interval of each metric."""
        keys = self.keys()
        ends = [name for key in keys for name in (key, f"{key}_low", f"{key}_high")]
        rows: list[list[Any]] = [["granularity", "entities_per_image", *ends]]
        for granularity, metrics in self.sweep.at.items():
            values, spans = metrics.compute(), metrics.interval()
            numbers = [value for key in keys for value in (values[key], *spans[key])]
            entities = metrics.counts.compute()["predicted_per_image"]
            rows.append([f"{granularity:.6g}", f"{entities:.6g}", *(written(value) for value in numbers)])
        return rows

    def section(self) -> Section:
        """The part of a report: the curve, and its numbers."""
        series, rows = [], []
        for key in self.shown:
            points = self.sweep.curve(key)
            spans = [metrics.interval()[key] for metrics in self.sweep.at.values()]
            series.append(Series(key, points, spans))
        for granularity, metrics in self.sweep.at.items():
            values, spans_of = metrics.compute(), metrics.interval()
            cells = [number(values[key], interval=spans_of[key]) for key in self.shown]
            rows.append([number(granularity, "g"), *cells])
        values, spans_of = self.sweep.of_forest.compute(), self.sweep.of_forest.interval()
        forest = [[text(key), number(values[key], interval=spans_of[key])] for key in values]
        ods = self.sweep.ods.best_granularity()
        note = (
            f"Of forests cut from 0, the wholes, to 1, the finest parts; the adapter's own cut is at "
            f"{self.calibrated:g}, the one that covers most at {ods:g}. Covering at ODS, OIS and the predicted "
            "granularity: docs/forest.md."
        )
        charts = [Chart("granularity", " and ".join(self.shown), series)]
        tables = [Table(["granularity", *self.shown], rows), Table(["of all nodes", "value"], forest)]
        return Section("Granularity", note, charts=charts, tables=tables)


def draw(path: Path, curve: GranularityCurve) -> None:
    """Draw the curves as PNG, their intervals as bands, with the adapter's own cut, ODS, OIS and the best covering."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for i, key in enumerate(curve.shown):
        points = curve.sweep.curve(key)
        spans = [metrics.interval()[key] for metrics in curve.sweep.at.values()]
        granularities, values = zip(*points, strict=True)
        axes.plot(granularities, values, "o", markersize=4, color=f"C{i}", label=key)
        x, y, low, high = zip(*((*point, *span) for point, span in zip(points, spans, strict=True)), strict=True)
        x, y, low, high = (0.0, *x), (y[0], *y), (low[0], *low), (high[0], *high)  # a cut is that of the next finer g
        axes.plot(x, y, color=f"C{i}", linewidth=1, drawstyle="steps-pre")
        axes.fill_between(x, low, high, step="pre", color=f"C{i}", alpha=0.15, linewidth=0)
    values = curve.sweep.of_forest.compute()
    for key, style in (("covering_ois", "--"), ("covering_predicted", "-."), ("best_covering", ":")):
        axes.axhline(values[key], color="0.4", linewidth=1, linestyle=style, label=f"{WORDS[key]} covering")
    axes.axvline(curve.calibrated, color="0.7", linewidth=1, label="the adapter's own cut")
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("granularity: 0 the wholes, 1 the finest parts")
    axes.set_ylabel(f"{len(curve.sweep)} images; bands: 95 % intervals")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120, format="png")


def written(value: float) -> str:
    """A number of a CSV; empty where it is undefined."""
    return "" if math.isnan(value) else f"{value:.6g}"
