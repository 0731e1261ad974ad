"""What a GeoPackage holds, without the time at which it was made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

TIMES = {"gpkg_contents": "last_change"}  # table -> the column that is left out


def rows_of_geopackage(path: Path) -> dict[str, list[tuple]]:
    """The rows of each table, in the file's order; of virtual tables those that hold their content."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        listed = "select name from sqlite_master where type='table' and sql not like 'create virtual%' order by name"
        tables = [name for (name,) in database.execute(listed)]
        return {table: rows_of(database, table) for table in tables}


def rows_of(database: sqlite3.Connection, table: str) -> list[tuple]:
    columns = [row[1] for row in database.execute(f'pragma table_info("{table}")') if row[1] != TIMES.get(table)]
    chosen = ", ".join(f'"{column}"' for column in columns)
    return list(database.execute(f'select {chosen} from "{table}"'))
