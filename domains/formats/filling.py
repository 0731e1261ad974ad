"""The pixels inside of a ring, the same in whatever window they are asked for.

The rule is that of pycocotools' `rleFrPoly` (https://github.com/cocodataset/cocoapi, common/maskApi.c), so that areas
agree with other tools: corners go to fifths of a pixel, an edge is walked along its longer axis, and a pixel's row is
where the walk passes the middle of its column. pycocotools cuts negative coordinates towards 0, walks in coordinates of
its picture, and counts pixels in 32 bits; so an outline that a window cuts at its top or left has other pixels there
than in the whole picture. Here the walk is in coordinates of the whole picture, below 0 as well as above.
"""

from __future__ import annotations

import numpy as np

from domains.tiling.grid import Window

STEPS = 5  # of a pixel


def inside(ring: np.ndarray, window: Window) -> np.ndarray:
    """(H, W) bool: the pixels of the window that lie in a ring (K, 2) of x, y by the even-odd rule."""
    columns, rows = crossings(ring, window.x, window.x + window.width)
    flips = np.zeros((window.height + 1, window.width), np.uint8)
    np.add.at(flips, (np.clip(rows - window.y, 0, window.height), columns - window.x), 1)  # even counts cancel out
    return np.bitwise_xor.accumulate(flips[:-1] & 1, axis=0).astype(bool)


def crossings(ring: np.ndarray, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """(columns, rows), each (C,) int64: where a ring passes the middles of the columns from `begin` to before `end`.

    row: the first pixel of the column below the passage.
    """
    points = np.floor(STEPS * np.asarray(ring, float) + 0.5).astype(np.int64)
    starts, ends = points, np.roll(points, -1, axis=0)
    low, high = np.minimum(starts, ends)[:, 0], np.maximum(starts, ends)[:, 0]
    leftmost = np.maximum(-((2 - low) // STEPS), begin)  # of the columns whose middle, 5 column + 2, is passed
    rightmost = np.minimum((high - 3) // STEPS, end - 1)
    counts = np.maximum(rightmost - leftmost + 1, 0)
    edge = np.repeat(np.arange(len(points)), counts)
    columns = leftmost[edge] + np.arange(len(edge)) - (np.cumsum(counts) - counts)[edge]
    heights = _heights(starts[edge], ends[edge], STEPS * columns + 2)
    return columns, -((2 - heights) // STEPS)


def _heights(starts: np.ndarray, ends: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(C,) y, in steps, where each edge goes from x = `at` to the next x, the smaller of both ends of that step."""
    across, down = np.abs(ends - starts).T
    flat = across >= down
    axis = np.where(flat, 0, 1)
    rows = np.arange(len(at))
    turned = starts[rows, axis] > ends[rows, axis]  # an edge is walked towards larger values of its longer axis
    (x, y), (x_end, y_end) = np.where(turned[:, None], ends, starts).T, np.where(turned[:, None], starts, ends).T
    slope = np.where(flat, y_end - y, x_end - x) / np.maximum(np.where(flat, across, down), 1)
    step = at - x
    level = np.floor(np.minimum(y + slope * step, y + slope * (step + 1)) + 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        guess = np.nan_to_num(np.ceil((step + 0.5) / slope))

    def passed(step: np.ndarray) -> np.ndarray:
        place = x + slope * step + 0.5
        return np.where(slope > 0, place >= at + 1, place < at + 1)

    step = np.where(passed(guess - 1), guess - 1, np.where(passed(guess), guess, guess + 1))
    return np.where(flat, level, y + step - 1).astype(np.int64)
