"""A CSV row per image: is there anything in it, and how much."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import ClassVar

from domains.exports.destination import Destination
from domains.exports.entity_table import all_rows
from domains.tiling.prediction import Prediction

COLUMNS = ("image", "name", "height_px", "width_px", "entities", "score")


@dataclass(frozen=True)
class ImageTable:
    """`images.csv`, all images together. score: the maximum of the heat map, which the metric `image_auroc` goes by;
    of a scene that does not fit into memory, whose heat map is not kept, that of its best entity; empty without one.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def files(self, name: str) -> tuple[str, ...]:
        """The file of all images."""
        return ("images.csv",)

    def stream(self, prediction: Prediction) -> None:
        """Keep a scene's row in the journal."""
        scores = prediction.entities.scores
        if prediction.entity_map is not None and prediction.entity_map.pixel_scores is not None:
            scores = prediction.entity_map.pixel_scores
        score = None if scores is None or not scores.size else round(float(scores.max()), 4)
        self.destination.journal.write("images", [[*prediction.shape, prediction.count, score]])

    def close(self) -> None:
        """Write the rows of all images."""
        with (
            self.destination.writing(*self.files("")) as path,
            path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows(all_rows(self.destination, "images"))
