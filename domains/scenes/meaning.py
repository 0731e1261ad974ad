"""What stored values mean: colours of a palette, inks, white that is 0, bits that are too few.

One rule for pictures, TIFFs and rasters, so that they look alike whoever reads them. Label pictures want the stored
values themselves and never pass here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domains.bands import RGB
from domains.scenes.validity import ALPHA


@dataclass(frozen=True, eq=False)
class Meaning:
    """From (h, w, C) as stored to what is meant, pixel by pixel. The plain one changes nothing.

    palette: (K, 3) uint8 colours, of which the first channel holds indices. transparent: indices without data. inks:
    cyan, magenta, yellow and black, the largest value full ink. inverted: the largest value where 0 is white. factor:
    by which grey values of fewer than 8 bits become 0..255.
    """

    palette: np.ndarray | None = None
    transparent: tuple[int, ...] = ()
    inks: bool = False
    inverted: int | None = None
    factor: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether stored values are what they mean, so that nothing need be done to them."""
        return self.palette is None and not self.inks and self.inverted is None and self.factor == 1

    def channels(self, stored: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the channels that come out."""
        if self.palette is not None:
            return (*RGB, ALPHA) if self.transparent else RGB
        if self.inks:
            return (*RGB, *(ALPHA for name in stored if name == ALPHA))
        return stored

    def dtype(self, stored: np.dtype) -> np.dtype:
        """The type of the values that come out of stored ones of a type: uint8 wherever they are changed to colours."""
        return np.dtype(np.uint8) if self.palette is not None or self.inks or self.factor > 1 else stored

    def nodata(self, stored: float | None) -> float | None:
        """The value of no data after the change; None where a channel alpha says it instead."""
        if stored is None or self.palette is not None or self.inks:
            return None
        return (stored if self.inverted is None else self.inverted - stored) * self.factor

    def __call__(self, values: np.ndarray, names: tuple[str, ...] = ()) -> np.ndarray:
        """names: of the stored channels, among them perhaps alpha."""
        if self.palette is not None:
            largest = min(len(self.palette) - 1, np.iinfo(values.dtype).max)
            colours = self.palette[np.minimum(values[..., 0], largest)]
            if not self.transparent:
                return colours
            seen = np.where(np.isin(values[..., :1].astype(np.int64), self.transparent), np.uint8(0), np.uint8(255))
            return np.concatenate([colours, seen], axis=-1)
        if self.inks:
            alpha = [values[..., i : i + 1] for i, name in enumerate(names) if name == ALPHA]
            return np.concatenate([rgb_of_inks(values), *(eight_bits(channel) for channel in alpha)], axis=-1)
        if values.dtype == bool:
            values = values.astype(np.uint8)  # a view would show Pillow's true as 255
        if self.inverted is not None:
            values = (self.inverted - values).astype(values.dtype)
        return values if self.factor == 1 else values * np.uint8(self.factor)


PLAIN = Meaning()


def of_grey(bits: int, dtype: np.dtype, white_is_zero: bool = False) -> Meaning:
    """The meaning of grey values of that many bits; of floats "white is 0" says nothing of their range."""
    if dtype.kind not in "bu":
        return PLAIN
    largest = 2 ** min(bits, 8 * dtype.itemsize) - 1 if dtype.kind == "u" else 1
    return Meaning(inverted=largest if white_is_zero else None, factor=255 // largest if largest < 255 else 1)


def rgb_of_inks(values: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 of CMYK, the largest value full ink, as Pillow does it: (1 - ink) (1 - black)."""
    paper = 255 - eight_bits(values[..., :4]).astype(np.uint16)
    return ((paper[..., :3] * paper[..., 3:] + 127) // 255).astype(np.uint8)


def eight_bits(values: np.ndarray) -> np.ndarray:
    """uint8 of uint8 or uint16 over their whole range."""
    return values if values.dtype == np.uint8 else (values >> 8 * (values.dtype.itemsize - 1)).astype(np.uint8)
