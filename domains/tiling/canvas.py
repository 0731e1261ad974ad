"""Numbers per pixel of a scene: in chunks on disk where it does not fit into memory, else in one array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from domains.entities import UNLABELLED
from domains.tiling.grid import Window

LARGE_PX = 2**25  # a scene of more pixels is not held in memory: 32 megapixels, some 5792 x 5792
CHUNK_PX = 512
MOST_OPEN = 8  # chunks of 2 MiB that are held before they are written


class Canvas:
    """(H, W) int64, 0 where nothing was written. Chunks are written by `flush`, each whole or not at all."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.shape = shape
        if (path / "zarr.json").exists():
            self.array = zarr.open_array(str(path), mode="r+")
        else:
            codec = BloscCodec(cname="lz4", clevel=3, shuffle="bitshuffle")
            chunks = CHUNK_PX, CHUNK_PX
            self.array = zarr.create_array(str(path), shape=shape, chunks=chunks, dtype="int64", compressors=codec)
        self._open: dict[tuple[int, int], np.ndarray] = {}

    def write(self, window: Window, ids: np.ndarray) -> None:
        """ids: (h, w). Windows of 0 cost nothing."""
        if not ids.any():
            return
        for key in chunks_of(window):
            chunk = chunk_window(key, self.shape)
            shared = window.shared(chunk)
            if key not in self._open:
                self._open[key] = self.read(chunk)
            self._open[key][shared.within(chunk).slices] = ids[shared.within(window).slices]
        if len(self._open) > MOST_OPEN:
            self.flush()

    def read(self, window: Window) -> np.ndarray:
        """(h, w) int64 of what was flushed."""
        return np.asarray(self.array[window.slices])

    def flush(self) -> None:
        """Write the open chunks to the disk."""
        for key, values in self._open.items():
            self.array[chunk_window(key, self.shape).slices] = values
        self._open.clear()


class MemoryCanvas:
    """(H, W) int32 in memory, UNLABELLED where nothing was written."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.ids = np.full(shape, UNLABELLED, np.int32)

    def write(self, window: Window, ids: np.ndarray) -> None:
        """ids: (h, w), below 2**31."""
        self.ids[window.slices] = ids

    def renumber(self, lookup: np.ndarray) -> np.ndarray:
        """(H, W) int32: the canvas itself with every number replaced by `lookup` of it, the last one at UNLABELLED."""
        lookup = lookup.astype(np.int32)
        for row in self.ids:  # in place: at times this is the largest array there is
            row[:] = lookup[row]
        return self.ids


def chunks_of(window: Window, chunk_px: int = CHUNK_PX) -> list[tuple[int, int]]:
    """Rows and columns of the chunks that a window touches."""
    rows = range(window.y // chunk_px, -(-(window.y + window.height) // chunk_px))
    columns = range(window.x // chunk_px, -(-(window.x + window.width) // chunk_px))
    return [(row, column) for row in rows for column in columns]


def chunk_window(key: tuple[int, int], shape: tuple[int, int], chunk_px: int = CHUNK_PX) -> Window:
    """The pixels of a chunk, given by its row and column; those at the border of a scene of `shape` are cut there."""
    y, x = key[0] * chunk_px, key[1] * chunk_px
    return Window(y, x, min(chunk_px, shape[0] - y), min(chunk_px, shape[1] - x))
