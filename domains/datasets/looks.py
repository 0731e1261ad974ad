"""How an image looks, small enough to hold every image of a data set against every other.

Two looks at each: a 64-bit DCT hash (C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions,
2010, section 3.2: 32 x 32 grey, the 8 x 8 lowest frequencies, above or below their median) finds the pairs, and the
fine structure of a 64 x 64 thumbnail decides: pictures of one kind of thing share their coarse light, which is all that
the hash sees, and not their detail. Flips and turns need no second picture: a flip changes the sign of every odd
frequency, a turn swaps the two axes. That is why `imagehash`, which hashes eight pictures for it, is not used.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import uniform_filter

from domains.scenes.images import as_rgb

THUMBNAIL_PX = 64
LOW = 8  # frequencies each way, 64 bits
SMOOTHED_PX = 9  # of the thumbnail: what is wider than a seventh of the image is light, not detail
MAX_DISTANCE, MIN_LIKENESS = 8, 0.8  # chosen on six real sets, see docs/leaks.md
_ODD = (-1.0) ** np.arange(LOW)


@dataclass(frozen=True)
class Look:
    """hashes: (8,) uint64, one per flip and turn, the image as it is first.

    detail: (64, 64) float32 of mean 0 and norm 1; all 0 where the image is of one colour.
    """

    hashes: np.ndarray
    detail: np.ndarray


STORED = np.dtype([("hashes", "<u8", 8), ("detail", "<f4", (THUMBNAIL_PX, THUMBNAIL_PX))])
"""A look as `Looks` stores it."""


@dataclass(frozen=True)
class Likeness:
    """Of an image and a candidate (indices): bits of 64 that differ, and the correlation of their detail."""

    look: int
    candidate: int
    bits: int
    correlation: float


class Looks(Sequence[Look]):
    """Looks that are added one by one and lie in a temporary file, where those of 16,000 images take 260 MB."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._count = 0

    def __del__(self) -> None:
        self._file.close()

    def append(self, look: Look) -> None:
        """Add a look at the end."""
        self._file.seek(self._count * STORED.itemsize)
        self._file.write(np.array((look.hashes, look.detail), STORED).tobytes())
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Look: ...
    @overload
    def __getitem__(self, index: slice) -> list[Look]: ...
    def __getitem__(self, index: int | slice) -> Look | list[Look]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        self._file.seek(range(self._count)[index] * STORED.itemsize)
        stored = np.frombuffer(self._file.read(STORED.itemsize), STORED)[0]
        return Look(stored["hashes"], stored["detail"])


def look_at(image: np.ndarray) -> Look:
    """The look of an image, (H, W, 3) uint8 of any size; of other channels `as_rgb` counts."""
    grey = (
        Image.fromarray(as_rgb(image)).convert("L").convert("F")
    )  # averaged unrounded, or a dim image would lose its detail
    thumbnail = np.asarray(grey.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX))
    coarse = thumbnail.reshape(THUMBNAIL_PX // 2, 2, THUMBNAIL_PX // 2, 2).mean((1, 3))  # (32, 32)
    frequencies = np.asarray(dctn(coarse))[:LOW, :LOW]
    turned = np.stack([
        axes * down[:, None] * across
        for axes in (frequencies, frequencies.T)
        for down in (np.ones(LOW), _ODD)
        for across in (np.ones(LOW), _ODD)
    ]).reshape(8, -1)  # fmt: skip
    above = turned > np.median(turned, axis=1, keepdims=True)
    detail = thumbnail - uniform_filter(thumbnail, SMOOTHED_PX)
    detail -= detail.mean()
    norm = float(np.linalg.norm(detail))
    return Look(
        np.packbits(above, axis=1).view(np.uint64)[:, 0],
        (detail / norm if norm > 1e-2 else np.zeros_like(detail)).astype(np.float32),
    )


def flips_and_turns(square: np.ndarray) -> list[np.ndarray]:
    """The eight symmetries of (N, N), in the order of `Look.hashes`."""
    return [
        across for axes in (square, square.T) for down in (axes, axes[::-1]) for across in (down, down[:, ::-1])
    ]  # fmt: skip


def alike(looks: Sequence[Look], candidates: Sequence[Look]) -> list[Likeness]:
    """Every pair that shows nearly the same, however flipped or turned, in the order of `looks`."""
    if not looks or not candidates:
        return []
    turned = np.stack([look.hashes for look in candidates])  # (N, 8)
    pairs = []
    for i, look in enumerate(looks):
        bits = np.bitwise_count(look.hashes[0] ^ turned)  # (N, 8)
        for j in np.unique(np.flatnonzero(bits <= MAX_DISTANCE) // bits.shape[1]).tolist():
            views = flips_and_turns(candidates[j].detail)
            near = np.flatnonzero(bits[j] <= MAX_DISTANCE).tolist()
            correlation = max(float((look.detail * views[view]).sum()) for view in near)
            if correlation >= MIN_LIKENESS:
                pairs.append(Likeness(i, j, int(bits[j].min()), correlation))
    return pairs
