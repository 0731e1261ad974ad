"""Where an image has data: the one rule for files, views, labels and predictions.

An 8-bit image that is shown is 0 in every channel where there are no data, and nowhere else where its file declares
that there may be such pixels; so "shown as nothing" and "nothing was seen" stay one, through memory and through tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

ALPHA = "alpha"
HUGE = 1e30
"""Floats beyond it are none that anybody measured: the lowest float32 (-3.4e38) and netCDF's fill (9.97e36) mean that
there are no data, whether a file declares them or not.
"""


class Validity(NamedTuple):
    """What a file declares. nodata: the value of no data. alpha: the channel that is above 0 where there are data.
    infinite: values may be NaN or infinite.
    """

    nodata: float | None = None
    alpha: int | None = None
    infinite: bool = False

    @classmethod
    def of(cls, dtype: np.dtype, nodata: float | None, channels: Sequence[str] = ()) -> Validity:
        """What values of a type, their nodata value and the names of their channels, perhaps `ALPHA`, declare."""
        names = [name.lower() for name in channels]
        return cls(nodata, names.index(ALPHA) if ALPHA in names else None, dtype.kind == "f")

    @property
    def declared(self) -> bool:
        """Whether there may be pixels without data at all."""
        return self.nodata is not None or self.alpha is not None or self.infinite

    def values(self, values: np.ndarray) -> np.ndarray:
        """bool of the same shape: finite, of floats within `HUGE`, and not `nodata`."""
        valid = np.abs(values) < HUGE if values.dtype.kind == "f" and values.itemsize > 2 else np.isfinite(values)
        return valid if self.nodata is None else valid & (values != self.nodata)

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """(..., C) to (...) bool: any band has data, and alpha is above 0."""
        if self.alpha is None:
            return any_band(self.values(values))
        seen = values[..., self.alpha] > 0
        return seen & any_band(self.values(np.delete(values, self.alpha, axis=-1)))

    def blanked(self, rgb: np.ndarray, values: np.ndarray) -> np.ndarray:
        """rgb (..., 3) uint8 of values (..., C): 0 where there are no data, and 1 where there are and all would be 0
        (as gdalwarp does); the very array where nothing is declared.
        """
        if not self.declared:
            return rgb
        seen = self.pixels(values)[..., None]
        black = ~any_band(rgb != 0)[..., None]
        return np.where(seen, np.maximum(rgb, black), np.uint8(0))


def any_band(true: np.ndarray) -> np.ndarray:
    """(..., C) to (...) bool; band by band, several times as fast as `any` over so short an axis."""
    return reduce(np.logical_or, np.moveaxis(true, -1, 0))


def held(nodata: float | None, dtype: np.dtype) -> float | None:
    """A nodata value, None where values of that type never have it, such as NaN or -9999 of uint8."""
    if nodata is None or dtype.kind == "f":
        return nodata
    limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return nodata if limits[0] <= nodata <= limits[1] else None


SHOWN = Validity(0)
"""Of an image that is shown and may have pixels without data."""
