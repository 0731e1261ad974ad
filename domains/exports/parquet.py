"""Entities as Parquet, through pyarrow, an optional extra: the columns of the CSV, typed, a few bytes per entity."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from typing import ClassVar

from domains.errors import InputError
from domains.exports.destination import Destination
from domains.exports.entity_table import COLUMNS, LABELLED, PERSISTENT, all_rows, rows_of
from domains.tiling.prediction import Prediction

INSTALL = 'pip install "entity-adapters[parquet]"'
ROWS = 2**16  # of a row group
TYPES = ("string", "string", "int64", "int64", *["float64"] * 2, *["int64"] * 4, *["float64"] * 3, "string")
"""Of COLUMNS."""
MORE = {LABELLED: "float64", PERSISTENT: "int64"}
"""Types of the columns that not all runs have."""


@dataclass(frozen=True)
class ParquetTable:
    """`entities.parquet`, all images together, with the columns of `entities.csv`; null where that is empty.

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
        self.destination.journal.write("parquet", rows_of(prediction, self.destination))

    def close(self) -> None:
        """Write the rows of all images, a row group at a time."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        rows = all_rows(self.destination, "parquet")
        kinds = {**dict(zip(COLUMNS, TYPES, strict=True)), **{name: MORE[name] for name in self.destination.columns}}
        schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in kinds.items()])
        with (
            self.destination.writing(*self.files("")) as path,
            parquet.ParquetWriter(path, schema, compression="zstd") as writer,
        ):
            while group := list(islice(rows, ROWS)):
                columns = zip(*group, strict=True)
                arrays = [pa.array(values, kind.type) for values, kind in zip(columns, schema, strict=True)]
                writer.write_table(pa.table(arrays, schema=schema))
