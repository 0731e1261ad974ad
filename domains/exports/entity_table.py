"""A CSV row per entity."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

import numpy as np

from domains.atomic import atomic_path
from domains.entities import EntityMap, Place
from domains.exports.destination import Destination
from domains.exports.measures import measure

COLUMNS = (
    "image", "id", "area_px", "box_y", "box_x", "box_height", "box_width", "centroid_y", "centroid_x", "score", "label",
)  # fmt: skip


@dataclass
class EntityTable:
    """`entities.csv`, all images together; columns as in `Measure`, empty where there is no score or label."""

    destination: Destination
    rows: list[str] = field(default_factory=list)  # as text, one string per image

    def file(self, name: str) -> str:
        return "entities.csv"

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        self.rows.append(_as_csv([(place.scene, *entity) for entity in measure(prediction)]))

    def close(self) -> None:
        with (
            atomic_path(self.destination.path(self.file(""))) as path,
            # names of files need not be valid UTF-8; a table must be
            path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            file.write(_as_csv([COLUMNS]))
            file.writelines(self.rows)


def _as_csv(rows: list[tuple]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
