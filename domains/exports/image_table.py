"""A CSV row per image: is there anything in it, and how much."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from domains.atomic import atomic_path
from domains.entities import EntityMap, Place
from domains.exports.destination import Destination

if TYPE_CHECKING:
    from domains.predictions.prediction import Prediction

COLUMNS = ("image", "height", "width", "entities", "score")


@dataclass(frozen=True)
class ImageTable:
    """`images.csv`, all images together. score: the maximum of the heat map, which the metric `image_auroc` goes by;
    of a scene that does not fit into memory, whose heat map is not kept, that of its best entity; empty without one."""

    destination: Destination
    rows: list[tuple[str, int, int, int, float | None]] = field(default_factory=list)

    def file(self, name: str) -> str:
        return "images.csv"

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        scores = prediction.scores if prediction.pixel_scores is None else prediction.pixel_scores
        score = None if scores is None or not scores.size else float(scores.max())
        self.rows.append((place.scene, *prediction.shape, prediction.count, score))

    def stream(self, name: str, prediction: Prediction, place: Place) -> None:
        scores = (one.score for one in prediction.measures() if one.score is not None)
        self.rows.append((place.scene, *prediction.shape, prediction.count, max(scores, default=None)))

    def close(self) -> None:
        with (
            atomic_path(self.destination.path(self.file(""))) as path,
            path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows((*row, None if score is None else round(score, 4)) for *row, score in self.rows)
