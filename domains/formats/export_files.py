"""What readers of annotation files on photographs share: reading each file of a folder, and naming its pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from domains.errors import InputError
from domains.formats.finding import own_split, printable
from domains.formats.layout import Fault, Record, Split

Content = TypeVar("Content")


def read_all(
    root: Path, kind: str, paths: Iterable[Path], load: Callable[[Path], Content], faults: list[Fault]
) -> dict[Path, Content]:
    """The content of each file that can be read; why another cannot is appended to `faults`.

    kind: what was wanted, for the error. load: raises InputError with the reason alone. Raises InputError where there
    is no file that can be read.
    """
    contents: dict[Path, Content] = {}
    for path in paths:
        try:
            contents[path] = load(path)
        except InputError as error:
            faults.append(Fault(path, str(error)))
    if not contents:
        raise InputError(
            f"{str(root)!r}: wanted {kind}, got none that can be read ({faults[0] if faults else 'no such file'})"
        )
    return contents


def both_ends(path: Path, count: int = 2**16) -> bytes:
    """The first and the last bytes of a file, up to `count` each, which tell what it is."""
    with open(path, "rb") as file:
        head = file.read(count)
        file.seek(max(file.tell(), os.path.getsize(path) - count))
        return head + file.read(count)


def check_size(path: Path, most_bytes: int) -> None:
    """Raises InputError, the reason alone, for an export that is too large to be parsed as a whole."""
    if path.stat().st_size > most_bytes:
        raise InputError(f"wanted an export of at most {most_bytes >> 30} GiB; export it in parts")


def read_json(path: Path, advice: str) -> Any:
    """What a JSON file holds. Raises InputError, the reason alone and the advice, where it is not whole."""
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no whole JSON: {error}; {advice}") from error


def record_of(root: Path, image: Path, truth: Any, split: Split | None = None) -> Record:
    """The record of a picture, called by its place below the folder, each picture its own group.

    split: as a file says it; else the folder's.
    """
    place = image.relative_to(root)
    name = printable(place.with_suffix("").as_posix())
    return Record(name, image, truth, name, split or own_split(place.parent))
