"""Which bands of a raster the network sees, by name, by number or as normalised differences of two.

`bands` is what a recipe says: `red`, `nir`, `3` (counted from 1, as GDAL does), `ndvi`, `(nir-red)/(nir+red)`. Names
are those that the file gives its bands, or those of `band_names` for files that give none. Nothing is evaluated: a
word, a number or a difference over the sum of the same two is all that is understood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from domains.errors import InputError

MOST = 16
INDICES = {
    "ndvi": ("nir", "red"),  # vegetation: Rouse et al., 1974
    "ndwi": ("green", "nir"),  # water: McFeeters, Int. J. Remote Sensing 17, 1425-1432 (1996)
    "mndwi": ("green", "swir1"),  # water: Xu, Int. J. Remote Sensing 27, 3025-3033 (2006)
    "ndbi": ("swir1", "nir"),  # built-up land: Zha et al., Int. J. Remote Sensing 24, 583-594 (2003)
    "ndmi": ("nir", "swir1"),  # moisture: Gao, Remote Sensing of Environment 58, 257-266 (1996)
    "nbr": ("nir", "swir2"),  # burnt area: Key and Benson, 2006
}
"""Name -> a and b of (a - b) / (a + b)."""
RGB = ("red", "green", "blue")
_WORD = r"[A-Za-z0-9_.]{1,40}"
_DIFFERENCE = re.compile(rf"\(\s*({_WORD})\s*-\s*({_WORD})\s*\)\s*/\s*\(\s*({_WORD})\s*\+\s*({_WORD})\s*\)")


class Band(NamedTuple):
    """A band of a raster, or of two the normalised difference (first - second) / (first + second)."""

    first: str
    second: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The one or two bands that it is made of."""
        return (self.first,) if self.second is None else (self.first, self.second)


def parse_band(text: str | int) -> Band:
    """Raises InputError."""
    word = str(text).strip()
    if word.lower() in INDICES:
        return Band(*INDICES[word.lower()])
    if re.fullmatch(_WORD, word):
        return Band(word)
    found = _DIFFERENCE.fullmatch(word)
    if found and {found[1], found[2]} == {found[3], found[4]} and found[1] != found[2]:
        return Band(found[1], found[2])
    raise InputError(
        f"a band is {text!r:.80}; wanted a name, a number from 1, one of {', '.join(INDICES)}, or a normalised "
        "difference such as (nir-red)/(nir+red)"
    )


def parse_bands(bands: Sequence[str | int]) -> tuple[Band, ...]:
    """Raises InputError: no band, or more than `MOST`."""
    if not 1 <= len(bands) <= MOST:
        raise InputError(f"bands are {list(bands)!r:.120}; wanted from 1 to {MOST}")
    return tuple(parse_band(band) for band in bands)


def channels_of(bands: Sequence[str | int]) -> int:
    """Channels of an image of these bands: one band is shown thrice, no bands are RGB."""
    return len(bands) if len(bands) > 1 else 3


def as_colours(names: Sequence[str]) -> tuple[str, ...]:
    """The names; where red, green and blue, in any writing, occur once each, these in small letters."""
    words = [name.strip().lower() for name in names]
    if any(words.count(colour) != 1 for colour in RGB):
        return tuple(names)
    return tuple(word if word in RGB else name for word, name in zip(words, names, strict=True))


def starts_with_rgb(bands: Sequence[str | int]) -> bool:
    """Whether the first three channels are red, green and blue, which colour augmentations are made for."""
    return not bands or tuple(str(band).lower() for band in bands[:3]) == RGB
