"""An area as a user types it: in pixels, or in a unit of length squared."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from domains.errors import InputError
from domains.scenes.pixel_size import TYPED, UNITS_M


class Area(NamedTuple):
    """value: in pixels where `unit` is "px", else in that unit, such as `um2`."""

    value: float
    unit: str

    @property
    def unit_m2(self) -> float | None:
        """Square metres of the unit; None of a pixel, whose size a scene says."""
        return None if self.unit == "px" else UNITS_M[self.unit[:-1]] ** 2

    def __str__(self) -> str:
        """As `parse_area` reads it: `20um2`."""
        return f"{self.value:g}{self.unit}"


def parse_area(text: str, option: str) -> Area:
    """The area from `60`, `60px`, `20um2`, `3m2`, `3 m²`. option: whose value it is. Raises InputError."""
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Zµμ]*[2²]?)\s*", text)
    unit = match.group(2).replace("µ", "u").replace("μ", "u").replace("²", "2") if match else ""
    try:
        value = float(match.group(1)) if match and unit in ("", "px", *(f"{word}2" for word in TYPED)) else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{option} is {text!r}; wanted a number of pixels, such as 60, or one with a unit of "
            f"{', '.join(f'{word}2' for word in TYPED)}, such as 20um2"
        )
    return Area(value, unit or "px")
