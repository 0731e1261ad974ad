"""The transfer table as a picture: one heat map per metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle


def heat_maps(
    path: Path,
    table: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    rows: Sequence[str],
    columns: Sequence[str],
    marks: Mapping[str, Mapping[str, str]] | None = None,
    note: str = "",
) -> None:
    """table: metric -> row -> column -> value in [0, 1]. Written as PNG; empty cells stay white.

    marks: row -> column -> a sign that follows the value, in a cell with a frame. note: what the signs mean.
    """
    across = min(3, len(table))
    down = math.ceil(len(table) / across)
    width, height = 1.6 + 0.75 * len(columns), 1.2 + 0.45 * len(rows)
    figure = Figure(figsize=(across * width + 1, down * height), layout="constrained")
    FigureCanvasAgg(figure)
    for i, (metric, values) in enumerate(table.items()):
        axes = figure.add_subplot(down, across, i + 1)
        grid = np.array([[as_number(values.get(row, {}).get(column)) for column in columns] for row in rows])
        axes.imshow(np.ma.masked_invalid(grid), vmin=0, vmax=1, cmap="viridis", aspect="auto")
        axes.set_title(metric)
        axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right", fontsize=8)
        axes.set_yticks(range(len(rows)), rows, fontsize=8)
        for (y, x), value in np.ndenumerate(grid):
            if np.isfinite(value):
                colour = "white" if value < 0.6 else "black"
                mark = (marks or {}).get(str(rows[y]), {}).get(str(columns[x]), "")
                if mark:
                    axes.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, edgecolor=colour))
                axes.text(x, y, f"{value:.2f}{mark}", ha="center", va="center", color=colour, fontsize=8)
    if note:
        figure.supxlabel(note, fontsize=8)
    figure.savefig(path, dpi=120)


def as_number(value: float | None) -> float:
    """The value, nan where there is none."""
    return math.nan if value is None else value
