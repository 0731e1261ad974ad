"""What was predicted so far, one record per tile, in a file that is only ever appended to.

A record is whole or, where the machine stopped in the middle of it, the end of the journal: its checksum tells.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domains.tiling.stitching import FRAGMENT

_HEAD = struct.Struct("<4sQIIIHHI")  # mark, tile, fragments, links, bytes of ids, height, width, checksum of the rest
_MARK = b"tile"


@dataclass(frozen=True)
class Record:
    """A tile that is done. fragments: (P,) FRAGMENT; links: (M, 2) int64; packed: its map (height, width) int32."""

    tile: int
    fragments: np.ndarray
    links: np.ndarray
    packed: bytes
    shape: tuple[int, int]

    @property
    def ids(self) -> np.ndarray:
        """(height, width) int32: its map."""
        return unpack(self.packed, self.shape)


def pack(ids: np.ndarray) -> bytes:
    """A map's ids, compressed; nothing for a tile without an entity."""
    return b"" if not ids.any() else zlib.compress(np.ascontiguousarray(ids, np.int32).tobytes(), 1)


def unpack(packed: bytes, shape: tuple[int, int]) -> np.ndarray:
    """(height, width) int32: the ids that `pack` was given."""
    if not packed:
        return np.zeros(shape, np.int32)
    return np.frombuffer(zlib.decompress(packed), np.int32).reshape(shape)


class Journal:
    """Records are kept in memory until `commit`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[bytes] = []

    def append(self, record: Record) -> None:
        """Keep a record for the next `commit`."""
        body = record.fragments.tobytes() + record.links.astype("<i8").tobytes() + record.packed
        numbers = record.tile, len(record.fragments), len(record.links), len(record.packed), *record.shape
        checksum = zlib.crc32(body, zlib.crc32(struct.pack("<QIIIHH", *numbers)))
        self._pending.append(_HEAD.pack(_MARK, *numbers, checksum) + body)

    def commit(self) -> None:
        """All records are on the disk when this returns."""
        if self._pending:
            with open(self.path, "ab") as file:
                file.write(b"".join(self._pending))
                file.flush()
                os.fsync(file.fileno())
            self._pending.clear()

    def records(self) -> Iterator[tuple[Record, int]]:
        """Whole records in order, each with the position where it ends."""
        if not self.path.exists():
            return
        size = self.path.stat().st_size
        with open(self.path, "rb") as file:
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                mark, tile, fragments, links, packed, height, width, checksum = _HEAD.unpack(head)
                length = fragments * FRAGMENT.itemsize + links * 16 + packed
                if mark != _MARK or file.tell() + length > size:
                    return
                body = file.read(length)
                if zlib.crc32(body, zlib.crc32(head[4:-4])) != checksum:
                    return
                at = fragments * FRAGMENT.itemsize
                record = Record(
                    tile,
                    np.frombuffer(body, FRAGMENT, fragments),
                    np.frombuffer(body, "<i8", 2 * links, at).reshape(-1, 2),
                    body[at + links * 16 :],
                    (height, width),
                )
                yield record, file.tell()

    def truncate(self, position: int) -> None:
        """Cut off the records from a position on."""
        if self.path.exists():
            os.truncate(self.path, position)
