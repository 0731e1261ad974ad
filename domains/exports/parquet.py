"""Entities as Parquet, through pyarrow, an optional extra: the columns of the CSV, typed, a few bytes per entity."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain, islice
from typing import ClassVar

from domains.errors import InputError
from domains.exports.destination import Destination
from domains.exports.entity_table import all_rows, columns_of, rows_of
from domains.tiling.prediction import Prediction

INSTALL = 'pip install "entity-adapters[parquet]"'
ROWS = 2**16  # of a row group
TYPES = ("string", "string", "int64", "int64", *["float64"] * 2, *["int64"] * 4, *["float64"] * 3, "string", "float64")
"""Of the columns of `entities.csv`."""


@dataclass(frozen=True)
class ParquetTable:
    """`entities.parquet`, all images together; null where `entities.csv` is empty. Where entities were labelled
    `label_score` is the last column, as there.

    Raises InputError at once where pyarrow is not installed.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if find_spec("pyarrow") is None:
            raise InputError(f"output format 'parquet' wants pyarrow; {INSTALL}")

    def files(self, name: str) -> tuple[str, ...]:
        """The file of all images."""
        return ("entities.parquet",)

    def stream(self, prediction: Prediction) -> None:
        """Keep a scene's rows in the journal."""
        self.destination.journal.write("parquet", rows_of(prediction.measures(), prediction.place))

    def close(self) -> None:
        """Write the rows of all images, a row group at a time."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        rows = all_rows(self.destination, "parquet")
        leading = list(islice(rows, 1))
        names = columns_of(self.destination, leading)
        schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in zip(names, TYPES, strict=False)])
        remaining = chain(leading, rows)
        with (
            self.destination.writing(*self.files("")) as path,
            parquet.ParquetWriter(path, schema, compression="zstd") as writer,
        ):
            while rows := list(islice(remaining, ROWS)):
                columns = zip(*rows, strict=True)
                arrays = [pa.array(values, kind.type) for values, kind in zip(columns, schema, strict=True)]
                writer.write_table(pa.table(arrays, schema=schema))
