"""A CSV row per entity."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from domains.entities.measures import Measure
from domains.exports.areas import AREAS, areas
from domains.exports.destination import Destination
from domains.tiling.prediction import Prediction

COLUMNS = (
    "image", "name", "id", "area_px", *AREAS, "box_y_px", "box_x_px", "box_height_px", "box_width_px", "centroid_y_px",
    "centroid_x_px", "score", "label",
)  # fmt: skip
MEASURED = Measure._fields[: Measure._fields.index("label") + 1]
LABELLED = "label_score"
PERSISTENT = "persistent_id"


@dataclass(frozen=True)
class EntityTable:
    """`entities.csv`, all images together. image: its path; name: that of its results; the other columns as in
    `Measure` and `areas`, empty where there is no score or label, and where the size of a pixel is unknown. Those of
    `Destination.columns` are the last: `LABELLED` where entities are labelled, `PERSISTENT` by a registry.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def files(self, name: str) -> tuple[str, ...]:
        """The file of all images."""
        return ("entities.csv",)

    def stream(self, prediction: Prediction) -> None:
        """Keep a scene's rows in the journal."""
        self.destination.journal.write("csv", rows_of(prediction, self.destination))

    def close(self) -> None:
        """Write the rows of all images."""
        with (
            self.destination.writing(*self.files("")) as path,
            # names of files need not be valid UTF-8; a table must be
            path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow([*COLUMNS, *self.destination.columns])
            table.writerows(all_rows(self.destination, "csv"))


def rows_of(prediction: Prediction, destination: Destination) -> Iterator[list[Any]]:
    """COLUMNS without the image and the name, which its entry in the journal has, and those of the destination."""
    area_of = areas(prediction.place)
    for entity in prediction.measures():
        area, (number, area_px, *measures) = area_of(entity), entity[: len(MEASURED)]
        extra = [getattr(entity, column) for column in destination.columns]
        yield [number, area_px, *(area.get(unit) for unit in AREAS), *measures, *extra]


def all_rows(destination: Destination, table: str) -> Iterator[list[Any]]:
    """Whole rows, of all images in their order."""
    for entry in destination.done():
        for row in destination.journal.rows(entry.name, table):
            yield [entry.scene, entry.name, *row]
