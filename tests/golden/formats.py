"""What files hold that name a time or a place in a form that no pattern of text can mask."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from tests.golden.masks import CHECKPOINT_TIMES, GEOPACKAGE_TIMES

JOURNAL_HEAD = struct.Struct("<5s8sII")  # kind, table, bytes, checksum; the last two follow from what is masked


def text_of_journal(path: Path) -> str:
    """The records of a prediction's journal, one a line: kind, table, content."""
    content, lines, at = path.read_bytes(), [], 0
    while at < len(content):
        kind, table, length, _ = JOURNAL_HEAD.unpack_from(content, at)
        body = content[at + JOURNAL_HEAD.size : at + JOURNAL_HEAD.size + length]
        lines.append(" ".join(word.rstrip(b"\0").decode("latin-1") for word in (kind, table, body)))
        at += JOURNAL_HEAD.size + length
    return "\n".join(lines)


def values_of_checkpoint(path: Path, place: str) -> dict[str, Any]:
    """Every number, word and tensor of a checkpoint by its keys, `optimizer_states/0/state/3/step`; `place`, the folder
    of the run, is called FOLDER."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return dict(leaves(content, "", place))


def leaves(value: Any, keys: str, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list | tuple):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        yield keys, f"{type(value).__name__} of {len(value)}"
        for key, inner in inside:
            if key not in CHECKPOINT_TIMES:
                yield from leaves(inner, f"{keys}/{key}".replace(place, "FOLDER"), place)
    elif isinstance(value, torch.Tensor):
        yield keys, value.numpy()
    else:
        yield keys, value.replace(place, "FOLDER") if isinstance(value, str) else value


def rows_of_geopackage(path: Path) -> dict[str, list[tuple]]:
    """The rows of each table, in the file's order; of virtual tables those that hold their content."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        listed = "select name from sqlite_master where type='table' and sql not like 'create virtual%' order by name"
        tables = [name for (name,) in database.execute(listed)]
        return {table: rows_of(database, table) for table in tables}


def rows_of(database: sqlite3.Connection, table: str) -> list[tuple]:
    listed = [row[1] for row in database.execute(f'pragma table_info("{table}")')]
    columns = ", ".join(f'"{column}"' for column in listed if (table, column) not in GEOPACKAGE_TIMES)
    return list(database.execute(f'select {columns} from "{table}"'))
