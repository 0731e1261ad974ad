"""Slides that tifffile cannot read, through OpenSlide (https://openslide.org), an optional extra: MRXS, old NDPI, VMS.

OpenSlide is LGPL, and is loaded only when a slide asks for it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from domains.errors import InputError
from domains.scenes.pixel_size import mean_size
from domains.scenes.scene import check_level, clipped

INSTALL = 'pip install "entity-adapters[openslide]"'
SUFFIXES = frozenset(
    {".mrxs", ".vms", ".vmu", ".ndpi", ".scn", ".bif", ".svs", ".svslide", ".tif", ".tiff", ".dcm", ".czi"}
)


def has_openslide() -> bool:
    """Whether OpenSlide is installed; it is not imported for the answer."""
    return find_spec("openslide") is not None


class OpenSlideScene:
    """A slide that OpenSlide reads, RGB uint8 on white where the scanner saw nothing. Raises InputError.

    Of its levels those are used whose pixels are a whole number of pixels of level 0: windows are asked for in pixels
    of level 0, so that of others (1001 pixels above 500 are 2.002 each) every window is blended of neighbours,
    differently wherever it begins.
    """

    channels = ("red", "green", "blue")
    dtype = np.dtype(np.uint8)
    nodata = None
    georeference = None
    descriptions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    format = "slide"

    def __init__(self, path: Path, pixel_size_m: float | None = None) -> None:
        if not has_openslide():
            raise InputError(f"{str(path)!r} wants OpenSlide; {INSTALL}")
        import openslide

        self.path = path
        try:
            self.slide = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as error:
            raise InputError(
                f"{str(path)!r}: wanted a slide, OpenSlide says: {error}; copy it again, or convert it to OME-TIFF"
            ) from error
        steps = enumerate(zip(self.slide.level_dimensions, self.slide.level_downsamples, strict=True))
        usable = [(number, (h, w), int(step)) for number, ((w, h), step) in steps if float(step).is_integer()]
        self._numbers, levels, self._steps = zip(*usable, strict=True)
        self.levels: tuple[tuple[int, int], ...] = levels
        self.shape = self.levels[0]
        declared = [self.slide.properties.get(f"openslide.mpp-{axis}") for axis in "yx"]
        self.pixel_size_m = pixel_size_m or mean_size(*(float(text) * 1e-6 if text else None for text in declared))

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """As `Scene.read`; transparent pixels become white. Raises InputError where a region cannot be decoded."""
        import openslide

        check_level(level, self.levels)
        inside, (rows, columns) = clipped(y, x, height, width, self.levels[level])
        result = np.zeros((height, width, 3), np.uint8)
        if rows.start == rows.stop:
            return result
        step = self._steps[level]
        corner = columns.start * step, rows.start * step  # always of level 0
        try:
            image = self.slide.read_region(
                corner, self._numbers[level], (columns.stop - columns.start, rows.stop - rows.start)
            )
        except openslide.OpenSlideError as error:
            raise InputError(f"{str(self.path)!r}: OpenSlide says: {error}; copy it again") from error
        rgba = np.asarray(image)
        result[inside] = np.where(rgba[..., 3:] > 0, rgba[..., :3], 255)
        return result

    def close(self) -> None:
        """Closes the slide; reading after it fails."""
        self.slide.close()
