"""From values of any type to 8 bits: the percentile range of what is valid becomes 0..255."""

from __future__ import annotations

import numpy as np

from domains.scenes.validity import Validity


def stretch_limits(values: np.ndarray, nodata: float | None = None) -> tuple[float, float]:
    """(low, high) for `apply_stretch`: the 0.1 and 99.9 percentile of the valid values.

    Where these meet (nearly constant images) the full range is taken; low equals high for a constant image. Raises
    ValueError where nothing is valid.
    """
    valid = values[Validity(nodata).values(values)]
    if not valid.size:
        raise ValueError("wanted pixel values, got only NaN, infinity or nodata")
    sample = valid[:: 1 + valid.size // 2**24]  # an even sample of 16 M values is enough for a percentile
    low, high = (float(value) for value in np.percentile(sample, (0.1, 99.9)))
    return (low, high) if high > low else (float(valid.min()), float(valid.max()))


def apply_stretch(values: np.ndarray, low: float, high: float, nodata: float | None = None) -> np.ndarray:
    """uint8 of the same shape: low..high to 0..255, what lies beyond clipped, what is not valid 0."""
    valid = Validity(nodata).values(values)
    scale = 255.0 / (high - low) if high > low else 0.0
    wide = np.where(valid, values, low).astype(np.result_type(values.dtype, np.float32))
    return np.where(valid, np.round(np.clip((wide - low) * scale, 0, 255)), 0).astype(np.uint8)
