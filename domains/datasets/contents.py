"""What files hold, as SHA-256: of one file, and of a split of a data set in the form that `sha256sum` gives it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from domains.errors import InputError

_BLOCK = 2**20  # bytes read at a time


def content_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes; of a folder (OME-Zarr) that of its files, as `files_sha256` has it.

    A file is read once per process, for as long as its size and its time of change stay. Raises InputError.
    """
    if path.is_dir():
        return files_sha256(path, (file for file in path.rglob("*") if file.is_file()))
    try:
        facts = path.stat()
        return _sha256(path, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{str(path)!r}: wanted a file to read, got {error.strerror}") from error


def files_sha256(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 over names and contents: a line `<sha256>  <path from root>` per file, sorted by path.

    With names of plain letters that is what anybody gets by
    `cd ROOT && sha256sum FILES | LC_ALL=C sort -k2 | sha256sum`. Raises InputError.
    """
    return parts_sha256(root, ((file, "") for file in files))


def parts_sha256(root: Path, entries: Iterable[tuple[Path, str]]) -> str:
    """SHA-256 as of `files_sha256`; a fragment that is not "" follows its path as `#fragment`, a part of the file."""
    named = sorted(
        (os.fsencode(_inside(root, file)), os.fsencode(f"#{fragment}" if fragment else ""), file)
        for file, fragment in set(entries)
    )
    lines = [content_sha256(file).encode() + b"  " + name + fragment + b"\n" for name, fragment, file in named]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _inside(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


@lru_cache(maxsize=100_000)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """`size` and `changed_ns` only tell one state of the file from another."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
