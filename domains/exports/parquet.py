"""Entities as Parquet, through pyarrow, an optional extra: the columns of the CSV, typed, a few bytes per entity."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from domains.atomic import atomic_path
from domains.entities import EntityMap, Place
from domains.errors import InputError
from domains.exports.destination import Destination
from domains.exports.entity_table import COLUMNS
from domains.exports.measures import Measure, measure

if TYPE_CHECKING:
    from domains.predictions.prediction import Prediction

INSTALL = 'pip install "entity-adapters[parquet]"'
ROWS = 2**16  # of a row group
TYPES = ("string", *["int64"] * 6, *["float64"] * 3, "string")  # of COLUMNS


@dataclass
class ParquetTable:
    """`entities.parquet`, all images together; null where there is no score or label.

    Raises InputError at once where pyarrow is not installed.
    """

    destination: Destination
    _stack: ExitStack = field(default_factory=ExitStack)
    _writer: Any = None

    def __post_init__(self) -> None:
        if find_spec("pyarrow") is None:
            raise InputError(f"output format 'parquet' wants pyarrow; {INSTALL}")

    def file(self, name: str) -> str:
        return "entities.parquet"

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        self._write(measure(prediction), place)

    def stream(self, name: str, prediction: Prediction, place: Place) -> None:
        self._write(prediction.measures(), place)

    def _write(self, entities: Iterable[Measure], place: Place) -> None:
        import pyarrow as pa  # type: ignore[import-not-found]

        schema = self._open().schema
        remaining = iter(entities)
        while rows := list(islice(remaining, ROWS)):
            columns = zip(*((place.scene, *entity) for entity in rows), strict=True)
            arrays = [pa.array(list(values), one.type) for values, one in zip(columns, schema, strict=True)]
            self._writer.write_table(pa.table(arrays, schema=schema))

    def _open(self) -> Any:
        if self._writer is None:
            import pyarrow as pa  # type: ignore[import-not-found]
            import pyarrow.parquet as parquet  # type: ignore[import-not-found]

            schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in zip(COLUMNS, TYPES, strict=True)])
            path = self._stack.enter_context(atomic_path(self.destination.path(self.file(""))))
            self._writer = self._stack.enter_context(parquet.ParquetWriter(path, schema, compression="zstd"))
        return self._writer

    def close(self) -> None:
        self._open()
        self._stack.close()
