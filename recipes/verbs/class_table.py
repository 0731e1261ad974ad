"""What `evaluate` says of the classes of an adapter that names entities: each class, and which is taken for which."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from adapters.inference.contract import InputContract
from adapters.inference.labelled import labelled, names_of
from adapters.labelling.labeller import Labeller
from adapters.network import EntitySegmenter
from domains.atomic import atomic_path
from domains.entities import NO_CLASS, UNKNOWN, EntityMap, Samples
from domains.errors import printable
from domains.metrics.class_tally import ClassTally, mean
from domains.tiling.prediction import Prediction
from recipes.verbs.numbers import plain
from recipes.verbs.tables import text_table

MEASURES = ("pq", "f_class", "accuracy")


@dataclass(frozen=True)
class ClassTable:
    """The classes of predicted entities against those of the truth.

    classes: by what name a class of the data goes, of the recipe that the adapter was fitted by; None for its own.
    """

    segmenter: EntitySegmenter
    labeller: Labeller
    contract: InputContract
    classes: Mapping[str, str] | None = None
    tally: ClassTally = field(init=False)
    strange: Counter[str] = field(init=False, default_factory=Counter)
    """Entities of the data whose class the adapter does not know, by its name there."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tally", ClassTally(self.labeller.vocabulary))

    def update(self, samples: Samples, index: int, prediction: EntityMap) -> None:
        """Name the entities that were predicted of a sample, and hold them against its first annotator's."""
        sample, records = samples[index], getattr(samples, "records", None)
        truth = self.renamed(sample.truths[0])
        scene = self.contract.photograph(sample)
        entities = Prediction.of_map(replace(prediction, labels=None, vocabulary=(), parents=None))
        named = labelled(entities, scene, self.contract, self.segmenter, self.labeller)
        self.tally.update(named.whole_map, truth, records[index].stratum if records else "")

    def renamed(self, truth: EntityMap) -> EntityMap:
        """The truth in the adapter's classes; -1 for what goes by none of them."""
        if truth.labels is None:
            return replace(truth, labels=np.full(truth.count, NO_CLASS, np.int32), vocabulary=("",))
        names = names_of(truth, np.arange(1, truth.count + 1), self.classes)
        number = {name: k for k, name in enumerate(self.labeller.vocabulary)}
        labels = [NO_CLASS if name is None else number.get(name, NO_CLASS) for name in names]
        self.strange.update(name for name in names if name not in (None, "", UNKNOWN, *number))
        return replace(truth, labels=np.array(labels, np.int32), vocabulary=self.labeller.vocabulary)

    def values(self) -> dict[str, np.ndarray]:
        """(K,) of each class by measure: panoptic quality, HoVer-Net's F_c, and the share of its found entities that
        are named right.
        """
        columns = self.tally.panoptic_quality(), self.tally.f_class(), self.tally.accuracy()
        return dict(zip(MEASURES, columns, strict=True))

    def as_json(self) -> dict[str, Any]:
        """The measures of each class and their means, and the confusion matrix."""
        values = self.values()
        classes = {
            name: {key: float(column[k]) for key, column in values.items()} for k, name in enumerate(self.tally.names)
        }
        means = {f"m{key}": mean(column) for key, column in values.items()}
        by_image, means["mpq_by_image"] = self.tally.quality_by_image()
        for name, value in zip(self.tally.names, by_image.tolist(), strict=True):
            classes[name]["pq_by_image"] = value
        return plain({"classes": classes, **means}) | {"confusion": self.tally.rows()}

    def text(self) -> str:
        """The table for people."""
        values, counts = self.values(), self.tally.confusion[: len(self.tally.names)].sum(1)
        rows = [["class", "entities", "pq", "f_class", "named right where found"]]
        for k, name in enumerate(self.tally.names):
            rows.append([name, str(counts[k]), *(worded(column[k]) for column in values.values())])
        rows.append(["mean", str(counts.sum()), *(worded(mean(column)) for column in values.values())])
        by_image = worded(self.tally.quality_by_image()[1])
        line = f"mPQ as PanNuke has it, of each image by itself: {by_image}"
        return "\n".join([text_table(rows), line, *self.strange_lines()])

    def strange_lines(self) -> list[str]:
        """Which classes of the data count as none, as the adapter has no such name."""
        if not self.strange:
            return []
        listed = [f"{name} ({count})" for name, count in self.strange.most_common(6)]
        listed += ["..."] if len(self.strange) > len(listed) else []
        return [
            printable(f"the adapter knows no class of these names: {', '.join(listed)}")
            + "; labels.map={NAME: CLASS, ...} says which of its own they are"
        ]

    def write(self, stem: Path) -> tuple[Path, Path]:
        """Write the confusion matrix as STEM.confusion.csv and .png."""
        table, picture = (stem.with_name(f"{stem.name}.confusion{suffix}") for suffix in (".csv", ".png"))
        self.tally.write_csv(table)
        with atomic_path(picture) as path:
            draw(path, self.tally.rows())
        return table, picture


def worded(value: float) -> str:
    """A measure of a class, or that there is none."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def worded_plainly(word: str | int) -> str:
    """A name as matplotlib is to show it, which takes what stands between two dollars for a formula."""
    return str(word).replace("$", r"\$")


def draw(path: Path, rows: list[list[str | int]]) -> None:
    """The matrix as PNG: shares of a row in colour, counts in numbers."""
    headings, names = [worded_plainly(word) for word in rows[0][1:]], [worded_plainly(row[0]) for row in rows[1:]]
    counts = np.array([row[1:] for row in rows[1:]], float)
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    figure = Figure(figsize=(2.5 + 0.55 * len(headings), 2 + 0.4 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(headings)), headings, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    for (y, x), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[y, x] > 0.5 else "black"
            axes.text(x, y, f"{count:.0f}", ha="center", va="center", fontsize=8, color=colour)
    figure.savefig(path, dpi=120)
