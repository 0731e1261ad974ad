"""Label Studio's brush strokes: run lengths of bits, packed into bytes.

Format: https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack. 32 bits of how many values there are, 5 of
their width less one, four times 4 of the widths, less one, in which a length may stand; then, until all values are
there: a bit that says whether one value is repeated, 2 bits that choose a width, a length less one, and the value or
values. The values are the four channels of each pixel, row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from domains.formats.coco_regions import FlawedRegion


def brush_mask(rle: Any, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: where the last of the four channels of brush strokes is above 0. Raises FlawedRegion."""
    if not isinstance(rle, list) or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in rle):
        raise FlawedRegion("has brush strokes that are no list of bytes")
    bits = np.unpackbits(np.array(rle, np.uint8))
    position = 0

    def read(count: int) -> int:
        nonlocal position
        if position + count > len(bits):
            raise FlawedRegion("has brush strokes that are cut off")
        position += count
        value = 0
        for bit in bits[position - count : position].tolist():
            value = value << 1 | bit
        return value

    total, word = read(32), read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    if total != 4 * shape[0] * shape[1]:
        raise FlawedRegion(f"has brush strokes of {total / 4:g} pixels, its image has {shape[0] * shape[1]}")
    painted = np.zeros(total, bool)
    at = 0
    while at < total:
        repeated, end = read(1), at + 1 + read(widths[read(2)])
        if end > total:
            raise FlawedRegion("has brush strokes that run out of its image")
        if repeated:
            painted[at:end] = read(word) > 0
        else:
            length = (end - at) * word
            if position + length > len(bits):
                raise FlawedRegion("has brush strokes that are cut off")
            painted[at:end] = bits[position : position + length].reshape(-1, word).any(axis=1)
            position += length
        at = end
    return painted.reshape(*shape, 4)[..., 3]
