"""A CSV row per image: is there anything in it, and how much."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from domains.entities import EntityMap, Place
from domains.exports.destination import Destination
from domains.exports.entity_table import all_rows

if TYPE_CHECKING:
    from domains.tiling.prediction import Prediction

COLUMNS = ("image", "name", "height_px", "width_px", "entities", "score")


@dataclass(frozen=True)
class ImageTable:
    """`images.csv`, all images together. score: the maximum of the heat map, which the metric `image_auroc` goes by;
    of a scene that does not fit into memory, whose heat map is not kept, that of its best entity; empty without one."""

    destination: Destination

    def files(self, name: str) -> tuple[str, ...]:
        return ("images.csv",)

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        scores = prediction.scores if prediction.pixel_scores is None else prediction.pixel_scores
        score = None if scores is None or not scores.size else float(scores.max())
        self._write(prediction.shape, prediction.count, score)

    def stream(self, name: str, prediction: Prediction, place: Place) -> None:
        scores = (entity.score for entity in prediction.measures() if entity.score is not None)
        self._write(prediction.shape, prediction.count, max(scores, default=None))

    def _write(self, shape: tuple[int, int], count: int, score: float | None) -> None:
        self.destination.journal.write("images", [[*shape, count, None if score is None else round(score, 4)]])

    def close(self) -> None:
        with (
            self.destination.writing(*self.files("")) as path,
            path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows(all_rows(self.destination, "images"))
