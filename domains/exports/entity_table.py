"""A CSV row per entity."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, ClassVar

from domains.entities import Place
from domains.entities.measures import Measure
from domains.exports.areas import AREAS, areas
from domains.exports.destination import Destination
from domains.tiling.prediction import Prediction

COLUMNS = (
    "image", "name", "id", "area_px", *AREAS, "box_y_px", "box_x_px", "box_height_px", "box_width_px", "centroid_y_px",
    "centroid_x_px", "score", "label",
)  # fmt: skip
LABELLED = "label_score"


@dataclass(frozen=True)
class EntityTable:
    """`entities.csv`, all images together. image: its path; name: that of its results; the other columns as in
    `Measure` and `areas`, empty where there is no score or label, and where the size of a pixel is unknown. Where
    entities were labelled `label_score` is the last column.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def files(self, name: str) -> tuple[str, ...]:
        """The file of all images."""
        return ("entities.csv",)

    def stream(self, prediction: Prediction) -> None:
        """Keep a scene's rows in the journal."""
        self.destination.journal.write("csv", rows_of(prediction.measures(), prediction.place))

    def close(self) -> None:
        """Write the rows of all images."""
        with (
            self.destination.writing(*self.files("")) as path,
            # names of files need not be valid UTF-8; a table must be
            path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            rows = all_rows(self.destination, "csv")
            leading = list(islice(rows, 1))
            table.writerow(columns_of(self.destination, leading))
            table.writerows(chain(leading, rows))


def columns_of(destination: Destination, leading: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """The columns of a table whose first row, where there is one, is `leading`."""
    labelled = len(leading[0]) > len(COLUMNS) if leading else destination.labelled
    return (*COLUMNS, LABELLED) if labelled else COLUMNS


def rows_of(entities: Iterable[Measure], place: Place) -> Iterator[list[Any]]:
    """COLUMNS without the image and the name, which its entry in the journal has."""
    area_of = areas(place)
    for entity in entities:
        area, (number, area_px, *measures, label_score) = area_of(entity), entity
        labelled = [] if label_score is None else [label_score]
        yield [number, area_px, *(area.get(unit) for unit in AREAS), *measures, *labelled]


def all_rows(destination: Destination, table: str) -> Iterator[list[Any]]:
    """Whole rows, of all images in their order."""
    for entry in destination.done():
        for row in destination.journal.rows(entry.name, table):
            yield [entry.scene, entry.name, *row]
