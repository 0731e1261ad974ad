"""A raster cut into blocks: what one image of a data set of large rasters is, and what a split keeps together.

Where there are fewer rasters than splits, a split runs through a raster. Then every block is a group of its own, a
strip of `GAP_PX` is left out between any two, and an entity belongs to the block that its middle lies in: elsewhere
its pixels are unlabelled. So no pixel and no object is in two splits, however blocks are dealt out (Roberts et al.,
Cross-validation strategies for data with spatial structure, Ecography 40, 913-929 (2017): blocking).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from domains.tiling.grid import Window

LARGEST_PX = 1024  # side of a block
SMALLEST_PX = 64  # side of a block of a raster that is split
GAP_PX = 32  # between two blocks that may be in different splits
PER_SIDE = 4  # blocks along the shorter side of a raster that is split, at least
LEAST_RASTERS = 3  # from which on rasters are the groups


class Block(NamedTuple):
    """window: its pixels. name: `y0_x512` of its corner; "" for the whole raster."""

    window: Window
    name: str


def cut_into_blocks(shape: tuple[int, int], split: bool, rim_px: int = 0) -> list[Block]:
    """Blocks of about `LARGEST_PX` a side, row by row. split: as many as splits need, with gaps between them.
    rim_px: left out all around.
    """
    side, shape = LARGEST_PX, (shape[0] - 2 * rim_px, shape[1] - 2 * rim_px)
    if split:
        side = min(side, max(SMALLEST_PX, math.ceil(min(shape) / PER_SIDE)))
    gap = min(GAP_PX, side // 8) if split else 0
    rows, columns = (_spans(length, side, gap) for length in shape)
    blocks = [
        Window(top + rim_px, left + rim_px, bottom - top, right - left)
        for top, bottom in rows
        for left, right in columns
    ]
    if len(blocks) == 1:
        return [Block(blocks[0], "")]
    return [Block(window, f"y{window.y}_x{window.x}") for window in blocks]


def _spans(length: int, side: int, gap: int) -> list[tuple[int, int]]:
    """(first, end) of equal parts of about `side`, half a gap taken off where two meet."""
    count = max(1, math.ceil(length / side - 0.25))
    edges = [round(i * length / count) for i in range(count + 1)]
    half = gap // 2
    return [
        (start + (half if i else 0), end - (half if i < count - 1 else 0))
        for i, (start, end) in enumerate(zip(edges[:-1], edges[1:], strict=True))
    ]
