"""What files hold, as SHA-256: of one file, and of a split of a data set in the form that `sha256sum` gives it; and
what samples hold, however their files are called and written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from domains.entities import EntitySample, Samples
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


def samples_sha256(samples: Samples) -> str:
    """SHA-256 of all that decides a measurement on labelled images: pixels, every annotator's entities with what is
    known of them, sizes of pixels, groups and strata, in their order.

    Every sample is read. Of tiles the file that they are cut from counts too. Raises InputError.
    """
    digest = hashlib.sha256()
    records = getattr(samples, "records", None)
    for i in range(len(samples)):
        sample = samples[i]
        record = records[i] if records else None
        cut_from = sample.place.cut_from
        facts = {
            "group": record.group if record else sample.place.scene,
            "stratum": record.stratum if record else "",
            "pixel_size_m": sample.place.pixel_size_m,
            "cut_from": None if cut_from is None else content_sha256(cut_from),
            "vocabularies": [truth.vocabulary for truth in sample.truths],
        }
        digest.update(json.dumps(facts).encode())
        for array in _arrays(sample):
            digest.update(b"none" if array is None else f"{array.dtype.str} {array.shape}".encode())
            digest.update(b"" if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _arrays(sample: EntitySample) -> list[np.ndarray | None]:
    """The image, and each annotator's map with what is known of its entities."""
    arrays: list[np.ndarray | None] = [sample.image]
    for truth in sample.truths:
        arrays += [truth.ids, truth.scores, truth.labels, truth.parents, truth.pixel_scores]
    return arrays


@lru_cache(maxsize=100_000)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """`size` and `changed_ns` only tell one state of the file from another."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
