"""A CSV row per entity."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from domains.atomic import atomic_path
from domains.entities import EntityMap, Place
from domains.exports.destination import Destination
from domains.exports.measures import Measure, measure

if TYPE_CHECKING:
    from domains.predictions.prediction import Prediction

COLUMNS = (
    "image", "id", "area_px", "box_y", "box_x", "box_height", "box_width", "centroid_y", "centroid_x", "score", "label",
)  # fmt: skip
IN_MEMORY = 2**24  # bytes of rows; what is more waits in a temporary file


@dataclass
class EntityTable:
    """`entities.csv`, all images together; columns as in `Measure`, empty where there is no score or label."""

    destination: Destination
    rows: IO[str] | None = None

    def file(self, name: str) -> str:
        return "entities.csv"

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        self._write(measure(prediction), place)

    def stream(self, name: str, prediction: Prediction, place: Place) -> None:
        self._write(prediction.measures(), place)

    def _write(self, entities: Iterable[Measure], place: Place) -> None:
        if self.rows is None:
            # names of files need not be valid UTF-8; a table must be
            how: Any = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
            self.rows = cast(IO[str], tempfile.SpooledTemporaryFile(IN_MEMORY, "w+", **how))  # noqa: SIM115
        csv.writer(self.rows, lineterminator="\n").writerows((place.scene, *entity) for entity in entities)

    def close(self) -> None:
        rows = self.rows or io.StringIO()
        rows.seek(0)
        with (
            rows,
            atomic_path(self.destination.path(self.file(""))) as path,
            path.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file, lineterminator="\n").writerow(COLUMNS)
            shutil.copyfileobj(rows, file)
