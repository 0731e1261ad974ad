"""A comparison as a picture: what an adapter weighs against what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def pareto_plot(path: Path, points: Mapping[str, tuple[float, Mapping[str, Any]]], metric: str) -> None:
    """Written as PNG; the line joins those that no other beats in both.

    points: label -> bytes, and mean and spread of the metric.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    front = sorted(frontier({label: (size, value["mean"]) for label, (size, value) in points.items()}))
    for label, (size, value) in points.items():
        spread = value["spread"] if value["spread"] == value["spread"] else 0
        axes.errorbar(
            size / 1e3, value["mean"], yerr=spread, fmt="o", capsize=3, color="C0" if label in front else "0.6"
        )
        axes.annotate(label, (size / 1e3, value["mean"]), xytext=(5, 4), textcoords="offset points", fontsize=8)
    steps = sorted((points[label][0] / 1e3, points[label][1]["mean"]) for label in front)
    axes.plot(*zip(*steps, strict=True), color="C0", linewidth=1, drawstyle="steps-post")
    axes.set_xscale("log")
    axes.margins(0.2)  # room for the words beside the points
    axes.set_xlabel("kB of weights in the adapter's files")
    axes.set_ylabel(f"{metric}, mean of the seeds and their spread")
    figure.savefig(path, dpi=120, format="png")


def frontier(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Labels of the (size, value) that no other point has a smaller or equal size and a better value than."""
    return [
        label
        for label, (size, value) in points.items()
        if value == value
        and not any(
            (rival, gain) != (size, value) and rival <= size and gain >= value for rival, gain in points.values()
        )
    ]
