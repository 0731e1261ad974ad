"""Bytes that are read by ranges: of an object behind an address, of an entry of a zip, or of memory.

What is read of an object is kept in blocks, and a read that goes on behind blocks that are kept asks for more of them
at once, half as many as are kept there: a window takes little more than its own bytes, a whole scene few requests.
"""

from __future__ import annotations

import errno
import io
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any, Protocol, TypeVar

from domains.errors import InputError

BLOCK = 2**14  # bytes; of 64 KiB the pages of a small slide, scattered over it, took three times as much
KEPT = 2048  # blocks of a file: 32 MiB
AHEAD = 64  # blocks that are asked for at once where a read goes on: 1 MiB
LARGEST = 2**29  # bytes of one read or object, as of a decoded block of a scene
WAITS_S = (0.5, 2.0, 5.0)  # before a request that broke is sent again

Result = TypeVar("Result")


class Unreachable(InputError):
    """What lies behind an address cannot be read. The text has no secrets, and neither has its cause."""


class Missing(Unreachable):
    """Nothing lies behind an address."""


class Broken(Exception):
    """A reply that did not come, or not whole; asked for again. The text has no secrets."""


@dataclass(frozen=True)
class Reply:
    """content: the bytes that were asked for. size: of the whole object. tag: what changes when it does, "" where the
    server does not say.
    """

    content: bytes
    size: int
    tag: str


class Objects(Protocol):
    """What lies at and below an address."""

    def get(self, key: str = "", span: str = "") -> Reply:
        """The bytes of an object, at most `LARGEST`. key: below the address, "" for itself. span: as HTTP spells a
        range, `0-99`, `100-` or `-8`; "" for all. Raises `Missing`, `Unreachable`.
        """
        ...


class Ranges(Protocol):
    """A file that is read by ranges, by several threads at a time."""

    size: int
    tag: str

    def pread(self, count: int, offset: int) -> bytes:
        """Bytes from an offset on; fewer at the end. Raises `Unreachable`."""
        ...


class RemoteFile:
    """An object behind an address. name: for people. Raises `Missing`, `Unreachable`."""

    def __init__(self, objects: Objects, name: str, key: str = "") -> None:
        self.objects, self.name, self.key = objects, name, key
        start = objects.get(key, "0-0")
        self.size, self.tag = start.size, start.tag
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._lock = RLock()  # held while bytes come, so that none are asked for twice

    def pread(self, count: int, offset: int) -> bytes:
        """As `Ranges.pread`."""
        end = min(offset + count, self.size)
        if end <= offset:
            return b""
        check_size(self.name, end - offset)
        with self._lock:
            if end - offset > BLOCK * KEPT // 2:
                return self._get(offset, end)
            start = offset // BLOCK
            joined = b"".join(self._run(start, (end - 1) // BLOCK + 1))
            return joined[offset - start * BLOCK : end - start * BLOCK]

    def _run(self, start: int, stop: int) -> list[bytes]:
        """Blocks, from memory or asked for in as few requests as can be."""
        run = {number: self._blocks[number] for number in range(start, stop) if number in self._blocks}
        number = start
        while number < stop:
            if number in run:
                number += 1
                continue
            end = next((block for block in range(number, stop) if block in run), stop)
            if end == stop:
                end = self._further(number, end)
            content = self._get(number * BLOCK, min(end * BLOCK, self.size))
            blocks = {block: content[(block - number) * BLOCK :][:BLOCK] for block in range(number, end)}
            run |= blocks
            self._blocks |= blocks
            number = end
        for block in range(start, stop):
            self._blocks.move_to_end(block)
        while len(self._blocks) > KEPT:
            self._blocks.popitem(last=False)
        return [run[block] for block in range(start, stop)]

    def _further(self, start: int, stop: int) -> int:
        """Where a request ends that goes on behind blocks that are kept: by half their number, up to `AHEAD`."""
        kept = next((count for count in range(2 * AHEAD) if start - count - 1 not in self._blocks), 2 * AHEAD)
        end = max(stop, start + kept // 2)
        end = next((block for block in range(stop, end) if block in self._blocks), end)
        return min(end, -(-self.size // BLOCK))

    def _get(self, start: int, end: int) -> bytes:
        reply = self.objects.get(self.key, f"{start}-{end - 1}")
        if (reply.size, reply.tag) != (self.size, self.tag):
            raise Unreachable(f"{self.name!r} was changed while it was read; give the same command again")
        return reply.content


class Slice:
    """A stretch of a file, as of an entry that lies in a zip as it is."""

    def __init__(self, file: Ranges, start: int, size: int) -> None:
        self.file, self.start, self.size, self.tag = file, start, size, file.tag

    def pread(self, count: int, offset: int) -> bytes:
        """As `Ranges.pread`."""
        return self.file.pread(max(0, min(count, self.size - offset)), self.start + offset)


class Held:
    """Bytes in memory."""

    def __init__(self, content: bytes, tag: str) -> None:
        self.content, self.size, self.tag = content, len(content), tag

    def pread(self, count: int, offset: int) -> bytes:
        """As `Ranges.pread`."""
        return self.content[offset : offset + count]


class Cursor(io.RawIOBase):
    """A file object with a position of its own. limit: bytes of one read, above which it raises `Unreachable`."""

    def __init__(self, file: Ranges, name: str, limit: int = LARGEST) -> None:
        super().__init__()
        self.file, self.name, self.limit, self.mode = file, name, limit, "rb"
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new position. Raises OSError for one before the start, as a file does."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.file.size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "a position before the start")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, fewer at the end alone; of a negative size all that remain."""
        remaining = max(0, self.file.size - self._position)
        count = remaining if size is None or size < 0 else min(size, remaining)
        check_size(self.name, count, self.limit)
        content = self.file.pread(count, self._position)
        self._position += len(content)
        return content

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, an array for example; how many bytes came."""
        view = memoryview(buffer).cast("B")
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)


def check_size(name: str, count: int, limit: int = LARGEST) -> None:
    """Raises `Unreachable` before that many bytes are taken into memory."""
    if count > limit:
        raise Unreachable(
            f"{name!r}: wanted at most {limit // 2**20} MiB of it at once, it asks for {count // 2**20}; write it in "
            "tiles (vips tiffsave --tile, gdal_translate -of COG)"
        )


def patiently(name: str, ask: Callable[[], Result]) -> Result:
    """What `ask` returns; asked again after a while where it raises `Broken`. Raises `Unreachable` in the end."""
    reason = ""
    for wait in (0.0, *WAITS_S):
        time.sleep(wait)
        try:
            return ask()
        except Broken as error:
            reason = str(error)
    raise Unreachable(
        f"{name!r}: the connection broke {len(WAITS_S) + 1} times ({reason}); what was done is kept, and the same "
        "command goes on from there"
    )
