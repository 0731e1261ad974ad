"""Windows from what is stored in blocks: strips, tiles, chunks.

A block is decoded once for all windows that touch it, as long as it stays among the last ones used. Neighbouring
windows overlap, and one strip crosses a whole row of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from domains.errors import InputError
from domains.scenes.ranges import Unreachable
from domains.scenes.scene import check_level, clipped

CACHE_BYTES = 2**28  # of decoded values that a scene keeps
MAX_BLOCK_BYTES = 2**29  # decoded; a file cut into larger ones is one image in a file, not a scene


@dataclass(frozen=True)
class Level:
    """One resolution of a scene.

    shape: (height, width) in pixels; block: (height, width) of a block, those of the last row and column may be cut.
    fetch: row and column of a block to its (h, w, C) values, called from several threads.
    """

    shape: tuple[int, int]
    block: tuple[int, int]
    fetch: Callable[[int, int], np.ndarray]


class BlockReader:
    """Windows of levels that are stored in blocks. Of the values that were decoded the last `cache_bytes` are kept."""

    def __init__(
        self,
        levels: list[Level],
        channels: int,
        dtype: np.dtype,
        fill: float = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.levels, self.channels, self.dtype, self.fill = levels, channels, dtype, fill
        self.cache_bytes = cache_bytes
        self._cache: OrderedDict[tuple[int, int, int], np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """As `Scene.read`; raises InputError where a block is damaged."""
        check_level(level, tuple(resolution.shape for resolution in self.levels))
        inside, window = clipped(y, x, height, width, self.levels[level].shape)
        result = np.full((height, width, self.channels), self.fill, self.dtype)
        rows, columns = window
        if rows.start == rows.stop:
            return result
        tall, wide = self.levels[level].block
        view = result[inside]
        for row in range(rows.start // tall, -(-rows.stop // tall)):
            for column in range(columns.start // wide, -(-columns.stop // wide)):
                block = self.block(level, row, column)
                down, across = (
                    _shared(rows, row * tall, block.shape[0]),
                    _shared(columns, column * wide, block.shape[1]),
                )
                view[down[0], across[0]] = block[down[1], across[1]]
        return result

    def block(self, level: int, row: int, column: int) -> np.ndarray:
        """The (h, w, C) values of a block, from memory or decoded. Raises InputError for a damaged one."""
        key = level, row, column
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        values = self.levels[level].fetch(row, column)  # two threads may decode the same block; both get it right
        with self._lock:
            if key not in self._cache:
                self._cache[key] = values
                self._bytes += values.nbytes
            while self._bytes > self.cache_bytes and len(self._cache) > 1:
                self._bytes -= self._cache.popitem(last=False)[1].nbytes
        return values


def array_level(path: str, array: Any, axes: str, block: tuple[int, int] | None = None) -> Level:
    """A level of a zarr or memory-mapped array whose axes are named by a letter each.

    Y and X are the plane; C and S become channels; of every other axis (time, depth) the first is taken. block: for
    arrays without `chunks`. Raises InputError for blocks that are too large.
    """
    size = dict(zip(axes, array.shape, strict=True))
    if block is None:
        chunk = dict(zip(axes, array.chunks, strict=True))
        block = min(chunk["Y"], size["Y"]), min(chunk["X"], size["X"])
    channels = "".join(axis for axis in axes if axis in "CS")
    count = int(np.prod([size[axis] for axis in channels], dtype=np.int64))
    tall, wide = block
    check_block(path, block, count, np.dtype(array.dtype))
    kept = "".join(axis for axis in axes if axis in "CSYX")

    def fetch(row: int, column: int) -> np.ndarray:
        within = {"Y": slice(row * tall, (row + 1) * tall), "X": slice(column * wide, (column + 1) * wide)}
        index = tuple(within.get(axis, slice(None) if axis in "CS" else 0) for axis in axes)
        try:
            values = np.asarray(array[index])
        except Unreachable:
            raise
        except Exception as error:  # damaged blocks make decoders raise anything
            raise damaged(path, row * tall, column * wide, error) from error
        values = values.transpose([kept.index(axis) for axis in "YX" + channels])  # (h, w, ...)
        return np.ascontiguousarray(values).reshape(*values.shape[:2], count)

    return Level((size["Y"], size["X"]), block, fetch)


def damaged(path: str, y: int, x: int, error: Exception) -> InputError:
    """The error that names the pixel where a block begins, and up to 200 characters of what its decoder said."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return InputError(f"{path!r}: the block at y {y}, x {x} cannot be read ({reason}); copy it again")


def check_block(path: str, block: tuple[int, int], channels: int, dtype: np.dtype) -> None:
    """Raises InputError before a block takes more memory than a scene may."""
    size = block[0] * block[1] * channels * dtype.itemsize
    if size > MAX_BLOCK_BYTES:
        raise InputError(
            f"{path!r}: wanted a scene in tiles or strips, got blocks of {block[0]} x {block[1]} px, "
            f"{size / 2**30:.1f} GiB each; write it in tiles (vips tiffsave --tile, gdal_translate -of COG)"
        )


def _shared(window: slice, start: int, length: int) -> tuple[slice, slice]:
    """What a window and the block start..start + length share: within the window, and within the block."""
    begin, end = max(window.start, start), min(window.stop, start + length)
    return slice(begin - window.start, end - window.start), slice(begin - start, end - start)
