"""Sets of masks that may overlap: packed to a bit a pixel within their boxes, with scores, areas, boxes and IoUs.

Whoever proposes masks (prompts, a grid of points, E-SAM) speaks this type, until overlaps are resolved and entities are
left. A mask takes the memory of its box alone, so that thousands of them fit beside a large image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

NO_PROMPT, NO_LEVEL = -1, -1


class Bits(NamedTuple):
    """A mask's pixels: eight to a byte from the left, of all rows and bytes that hold any.

    y: its first row; byte: its first column / 8; rows: (h, b) uint8.
    """

    y: int
    byte: int
    rows: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Bits:
        """Those of a mask (H, W) bool."""
        down = np.flatnonzero(mask.any(1))
        if not len(down):
            return cls(0, 0, np.zeros((0, 0), np.uint8))
        across = np.flatnonzero(mask[down[0] : down[-1] + 1].any(0))
        byte = int(across[0]) // 8
        crop = mask[down[0] : down[-1] + 1, 8 * byte : across[-1] + 1]
        return cls(int(down[0]), byte, np.packbits(crop, axis=1))

    def moved(self, y: int, x: int) -> Bits:
        """The mask y rows lower and x columns to the right."""
        if x % 8 == 0:
            return self._replace(y=self.y + y, byte=self.byte + x // 8) if self.rows.size else self
        pixels = np.unpackbits(self.rows, axis=1)
        shifted = np.packbits(np.pad(pixels, ((0, 0), (x % 8, 0))), axis=1)
        return Bits(self.y + y, self.byte + x // 8, shifted)

    def shared(self, other: Bits) -> int:
        """How many pixels two masks share."""
        y0, x0 = max(self.y, other.y), max(self.byte, other.byte)
        y1 = min(self.y + self.rows.shape[0], other.y + other.rows.shape[0])
        x1 = min(self.byte + self.rows.shape[1], other.byte + other.rows.shape[1])
        if y1 <= y0 or x1 <= x0:
            return 0
        ours, theirs = (bits.rows[y0 - bits.y : y1 - bits.y, x0 - bits.byte : x1 - bits.byte] for bits in (self, other))
        return int(np.bitwise_count(ours & theirs).sum(dtype=np.int64))


@dataclass(frozen=True)
class MaskSet(Sequence[np.ndarray]):
    """N masks of one image; `masks[i]` is mask i as (H, W) bool.

    shape: (H, W). bits: of each mask. scores: (N,) float32, the predicted IoU. stability: (N,) float32 in [0, 1], the
    IoU of the mask at a higher and at a lower threshold. prompts: (N,) int32, which prompt gave it. levels: (N,) int8,
    which of that prompt's masks it is.
    """

    shape: tuple[int, int]
    bits: tuple[Bits, ...]
    scores: np.ndarray
    stability: np.ndarray
    prompts: np.ndarray
    levels: np.ndarray

    @classmethod
    def of_bits(
        cls,
        shape: tuple[int, int],
        bits: Sequence[Bits],
        scores: np.ndarray | None = None,
        stability: np.ndarray | None = None,
        prompts: np.ndarray | None = None,
        levels: np.ndarray | None = None,
    ) -> MaskSet:
        """Masks with what is said of them; scores and stability are 1, prompts and levels -1, where nothing is."""
        count = len(bits)
        return cls(
            shape,
            tuple(bits),
            np.ones(count, np.float32) if scores is None else np.asarray(scores, np.float32),
            np.ones(count, np.float32) if stability is None else np.asarray(stability, np.float32),
            np.full(count, NO_PROMPT, np.int32) if prompts is None else np.asarray(prompts, np.int32),
            np.full(count, NO_LEVEL, np.int8) if levels is None else np.asarray(levels, np.int8),
        )

    @classmethod
    def of(
        cls,
        masks: Sequence[np.ndarray] | np.ndarray,
        scores: np.ndarray | None = None,
        shape: tuple[int, int] | None = None,
    ) -> MaskSet:
        """Masks (H, W) bool, with scores (N,). shape: (H, W), to be said where there may be no mask."""
        if shape is None and not len(masks):
            raise ValueError("a set without masks wants the shape of its image")
        height, width = shape or masks[0].shape
        return cls.of_bits((height, width), [Bits.of(np.asarray(mask, bool)) for mask in masks], scores)

    @classmethod
    def joined(cls, sets: Sequence[MaskSet]) -> MaskSet:
        """The masks of several sets of one image, set after set. Raises ValueError for sets of several sizes."""
        if len({masks.shape for masks in sets}) != 1:
            raise ValueError(f"wanted sets of masks of one image; got shapes {[masks.shape for masks in sets]}")
        columns = ([getattr(masks, name) for masks in sets] for name in ("scores", "stability", "prompts", "levels"))
        bits = [bits for masks in sets for bits in masks.bits]
        return cls(sets[0].shape, tuple(bits), *(np.concatenate(column) for column in columns))

    def take(self, rows: np.ndarray | Sequence[int]) -> MaskSet:
        """Some of the masks in an order, by numbers or by a table of bool."""
        table = np.asarray(rows)
        numbers = np.flatnonzero(table) if table.dtype == bool else table.astype(np.int64)
        bits = tuple(self.bits[i] for i in numbers.tolist())
        columns = (self.scores, self.stability, self.prompts, self.levels)
        return MaskSet(self.shape, bits, *(column[numbers] for column in columns))

    def placed(self, y: int, x: int, shape: tuple[int, int]) -> MaskSet:
        """The masks of a crop, as those of the image of that shape which it was cut from at (y, x)."""
        bits = tuple(bits.moved(y, x) for bits in self.bits)
        return MaskSet(shape, bits, self.scores, self.stability, self.prompts, self.levels)

    @cached_property
    def areas(self) -> np.ndarray:
        """(N,) int64 pixels."""
        return np.array([np.bitwise_count(bits.rows).sum(dtype=np.int64) for bits in self.bits], np.int64)

    @cached_property
    def boxes(self) -> np.ndarray:
        """(N, 4) int64: the least and the greatest x and y of any pixel as x0, y0, x1, y1, so that a mask of a pixel
        has x0 = x1; zeros for an empty mask.
        """
        return np.array([box_of(bits) for bits in self.bits], np.int64).reshape(-1, 4)

    @property
    def nbytes(self) -> int:
        """Memory of the packed pixels, in bytes."""
        return sum(bits.rows.nbytes for bits in self.bits)

    def pixels(self, number: int) -> tuple[slice, slice, np.ndarray]:
        """Rows, columns and (h, w) bool of what is around mask `number`, which takes less time than all of it."""
        y, byte, rows = self.bits[number]
        width = min(8 * (byte + rows.shape[1]), self.shape[1]) - 8 * byte
        crop = np.unpackbits(rows, axis=1, count=max(width, 0)).astype(bool)
        return slice(y, y + rows.shape[0]), slice(8 * byte, 8 * byte + width), crop

    def union(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """(H, W) bool: pixels of any of these masks."""
        covered = np.zeros(self.shape, bool)
        for number in np.asarray(numbers, np.int64).tolist():
            down, across, crop = self.pixels(number)
            covered[down, across] |= crop
        return covered

    def intersections(self, other: MaskSet) -> np.ndarray:
        """(N, M) int64: the pixels that each mask shares with each of another set's."""
        shared = np.zeros((len(self), len(other)), np.int64)
        for i, j in zip(*np.nonzero(boxes_touch(self.boxes, other.boxes)), strict=True):
            shared[i, j] = self.bits[i].shared(other.bits[j])
        return shared

    def ious(self, other: MaskSet) -> np.ndarray:
        """(N, M) float64: intersection over union with each mask of another set; 0 of two empty masks."""
        shared = self.intersections(other)
        return shared / np.maximum(self.areas[:, None] + other.areas - shared, 1)

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, number: int) -> np.ndarray:  # type: ignore[override]  # slices are `take`
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self.union([number % len(self)])


def box_of(bits: Bits) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the pixels of a mask, the greatest included; zeros where there is none."""
    if not bits.rows.size:
        return 0, 0, 0, 0
    columns = np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(bits.rows, axis=0)))
    down = np.flatnonzero(bits.rows.any(1))
    start = 8 * bits.byte
    return start + int(columns[0]), bits.y + int(down[0]), start + int(columns[-1]), bits.y + int(down[-1])


def boxes_touch(boxes: np.ndarray, against: np.ndarray) -> np.ndarray:
    """(N, M) bool: which boxes (N, 4) share a pixel with those against (M, 4); of both as `MaskSet.boxes` has them."""
    lower = np.maximum(boxes[:, None, :2], against[None, :, :2])
    upper = np.minimum(boxes[:, None, 2:], against[None, :, 2:])
    return np.all(lower <= upper, axis=-1)


def box_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Numbers of the boxes that remain, best first, when none is left whose IoU with a better one is above a threshold.

    boxes: (N, 4) x0, y0, x1, y1, whose sides are x1 - x0 and y1 - y0 as torchvision's `nms` has them, in single
    precision; scores: (N,), of equal ones the earlier comes first. A box without area is above no threshold.
    """
    corners = boxes.astype(np.float32)
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    remaining = np.argsort(-scores, kind="stable")
    chosen = []
    while len(remaining):
        best, remaining = remaining[0], remaining[1:]
        chosen.append(best)
        lower = np.maximum(corners[best, :2], corners[remaining, :2])
        upper = np.minimum(corners[best, 2:], corners[remaining, 2:])
        shared = np.maximum(upper - lower, 0).prod(1)
        union = areas[best] + areas[remaining] - shared
        with np.errstate(invalid="ignore", divide="ignore"):
            remaining = remaining[~(shared / union > np.float32(threshold))]
    return np.array(chosen, np.int64)


def mask_nms(masks: MaskSet, threshold: float | np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """Numbers of the masks that remain, best first, when none is left whose IoU with a better one is above a threshold.

    threshold: one, or (N,) of which the better mask's counts. order: numbers, best first; by default by score, of equal
    ones the earlier first.
    """
    limits = np.broadcast_to(threshold, len(masks))
    remaining = np.argsort(-masks.scores, kind="stable") if order is None else order
    chosen = []
    while len(remaining):
        best, remaining = int(remaining[0]), remaining[1:]
        chosen.append(best)
        near = np.flatnonzero(boxes_touch(masks.boxes[[best]], masks.boxes[remaining])[0])
        shared = np.array([masks.bits[best].shared(masks.bits[j]) for j in remaining[near].tolist()], np.int64)
        union = np.maximum(masks.areas[best] + masks.areas[remaining[near]] - shared, 1)
        remaining = np.delete(remaining, near[shared / union > limits[best]])
    return np.array(chosen, np.int64)
