"""The size of a pixel: from what files say of it, and from what a user types."""

from __future__ import annotations

import logging
import math
import re
import xml.etree.ElementTree as ElementTree
from functools import lru_cache
from typing import Any

from domains.errors import InputError

UNITS_M = {
    "m": 1.0, "metre": 1.0, "meter": 1.0, "cm": 1e-2, "centimeter": 1e-2, "centimetre": 1e-2, "mm": 1e-3,
    "millimeter": 1e-3, "millimetre": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6, "micrometer": 1e-6,
    "micrometre": 1e-6, "nm": 1e-9, "nanometer": 1e-9, "nanometre": 1e-9, "pm": 1e-12, "picometer": 1e-12,
    "å": 1e-10, "angstrom": 1e-10, "km": 1e3, "kilometer": 1e3, "kilometre": 1e3, "inch": 0.0254, "in": 0.0254,
    '"': 0.0254, "foot": 0.3048, "ft": 0.3048,
}  # fmt: skip
_SPELLINGS = {"\\u00b5": "µ", "&#181;": "µ", "&micro;": "µ", "âµ": "µ", "\ufffd": "µ", "a\u030a": "å"}
TYPED = ("nm", "um", "mm", "cm", "m", "km")
PLAUSIBLE_TAG_M = 20e-6
"""Resolution tags of larger pixels (under 1270 dpi) are a printer's or a screen's, such as 72, 96 or 300 dpi."""
COMPARABLE = (1 / 8, 4.0)
"""Resizings to the pixel size of a domain: enlarged more an image shows no more, and memory goes by the square."""
PRINTED_DPI = (72, 90, 96, 100, 120, 150, 200, 240, 300, 360, 400, 600)
PRINTED = "its resolution is a screen's or a printer's (such as 72 or 300 dpi), so the size of a pixel is unknown"
ISOTROPIC = 0.05
"""Pixels are square to this share; what is farther from it is seen stretched, and a line says so."""
_LARGEST_XML = 2**26  # characters: what is larger is not parsed


def unit_m(text: object) -> float | None:
    """Metres of a unit as files spell it, None for pixels and for what is no unit of length."""
    word = str(text).strip().lower()
    for spelling, sign in _SPELLINGS.items():
        word = word.replace(spelling, sign)
    return UNITS_M.get(word, UNITS_M.get(word.removesuffix(".").removesuffix("s")))


def is_printed(size_m: float) -> bool:
    """Whether a pixel is as large as those of a screen or a printer: a whole usual number to the inch."""
    return any(abs(size_m * dpi / 0.0254 - 1) < 2e-3 for dpi in PRINTED_DPI)


def parse_pixel_size(text: str) -> float:
    """Metres from `0.25` (micrometres), `0.25um`, `250nm`, `10m`. Raises InputError."""
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Zµμ]*)\s*", text)
    unit = match.group(2).replace("µ", "u").replace("μ", "u") if match else ""
    try:
        value = float(match.group(1)) * UNITS_M[unit or "um"] if match and unit in ("", *TYPED) else math.nan
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(
            f"--pixel-size is {text!r}; wanted micrometres, such as 0.25, or a number with one of {', '.join(TYPED)}, "
            "such as 10m"
        )
    return value


def show_pixel_size(size_m: float) -> str:
    """`0.25 um`, `30 m`: what `parse_pixel_size` reads."""
    unit = unit_of(size_m)
    return f"{size_m / UNITS_M[unit]:.4g} {unit}"


def scale_to(seen_m: float | None, size_m: float | None) -> float:
    """By how much an image with pixels of `size_m` is resized to be seen at `seen_m`; 1, as it is, where either is
    unknown or the two lie so far apart (outside `COMPARABLE`) that it shows other things than are looked for."""
    if seen_m is None or size_m is None:
        return 1.0
    scale = size_m / seen_m
    return scale if COMPARABLE[0] <= scale <= COMPARABLE[1] else 1.0


def unit_of(size_m: float) -> str:
    """The unit in which a size is shown: um below a millimetre, mm below ten centimetres, else m."""
    return "um" if size_m < 1e-3 else "mm" if size_m < 0.1 else "m"


def mean_size(y_m: float | None, x_m: float | None) -> float | None:
    """One size for both axes, their geometric mean; None unless both are known, finite and above 0.

    Logs a warning where they differ.
    """
    if y_m is None or x_m is None or not all(math.isfinite(size) and size > 0 for size in (y_m, x_m)):
        return None
    if abs(math.log(y_m / x_m)) > ISOTROPIC:
        warn_stretched("tall as wide" if y_m > x_m else "wide as tall", f"{max(y_m / x_m, x_m / y_m):.2g}")
    return math.sqrt(y_m * x_m)


@lru_cache(maxsize=256)
def warn_stretched(way: str, ratio: str) -> None:
    """Warns once for pixels of a shape, however many files have it and however often they are opened."""
    logging.getLogger(__name__).warning(
        f"pixels are {ratio} times as {way}, and the network sees the image stretched; resample it "
        "to square ones, for a raster in degrees by gdalwarp -t_srs with a projected CRS such as UTM"
    )


def from_aperio(description: str) -> float | None:
    """`|MPP = 0.4990|` of an SVS: micrometres."""
    match = re.search(r"\|\s*MPP\s*=\s*([0-9.]+(?:[eE][-+]?\d+)?)", description)
    return _positive(match.group(1), 1e-6) if match else None


def from_ome_xml(xml: str, name: str = "") -> tuple[float | None, tuple[str, ...]]:
    """(PhysicalSizeX and Y of the Pixels of an image, what was not believed); without a unit they are micrometres
    (https://docs.openmicroscopy.org/ome-model).

    name: of the image, the first where none is called so. Nothing for XML with a document type, which could grow when
    parsed.
    """
    pixels = _ome_pixels(xml, name)
    if pixels is None:
        return None, ()
    sizes = []
    for axis in "YX":
        unit = unit_m(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        sizes.append(_positive(pixels.get(f"PhysicalSize{axis}"), unit) if unit else None)
    size = mean_size(*sizes)
    return (None, (PRINTED,)) if size is not None and is_printed(size) else (size, ())


def ome_channels(xml: str, name: str = "") -> tuple[str, ...]:
    """Names of the channels of an image, "" for one without; none where the XML does not name any."""
    pixels = _ome_pixels(xml, name)
    channels = [] if pixels is None else [child for child in pixels if child.tag.rpartition("}")[2] == "Channel"]
    names = tuple(channel.get("Name", "") for channel in channels)
    return names if any(names) else ()


def _ome_pixels(xml: str, name: str) -> ElementTree.Element | None:
    if len(xml) > _LARGEST_XML or "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return None
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    images = [element for element in root.iter() if element.tag.rpartition("}")[2] == "Image"]
    images.sort(key=lambda image: image.get("Name", "") != name)  # stable: without such a name the first
    pixels = (child for image in images[:1] for child in image if child.tag.rpartition("}")[2] == "Pixels")
    return next(pixels, None)


def from_resolution(x: float, y: float, unit: int) -> tuple[float | None, tuple[str, ...]]:
    """(the size of a pixel, what was not believed) by TIFF tags 282, 283 and 296 (2 inch, 3 centimetre): pixels per
    unit. See PLAUSIBLE_TAG_M.
    """
    length = {2: 0.0254, 3: 0.01}.get(unit)
    if length is None or not (x > 0 and y > 0) or x == y == 1:  # 1 is what writers put where they know nothing
        return None, ()
    size = mean_size(length / y, length / x)
    return (None, (PRINTED,)) if size is not None and size > PLAUSIBLE_TAG_M else (size, ())


def from_imagej(metadata: dict[str, Any] | None, x: float, y: float) -> tuple[float | None, tuple[str, ...]]:
    """(the size of a pixel, what was not believed): ImageJ keeps pixels per `unit` in the resolution tags and the
    unit's name in its description; inches and centimetres of prints are no measure.
    """
    unit = unit_m((metadata or {}).get("unit", ""))
    size = mean_size(unit / y, unit / x) if unit and x > 0 and y > 0 else None
    if size is None or unit is None:
        return None, ()
    of_prints = unit in (UNITS_M["inch"], UNITS_M["cm"]) and size > PLAUSIBLE_TAG_M
    return (None, (PRINTED,)) if of_prints or is_printed(size) else (size, ())


def of_degrees(dy: float, dx: float, latitude: float) -> float | None:
    """Metres of a pixel of dy x dx degrees at a latitude, on the ellipsoid of WGS 84."""
    semi_major, flattening = 6378137.0, 1 / 298.257223563
    e2 = flattening * (2 - flattening)
    sine = math.sin(math.radians(latitude))
    root = math.sqrt(1 - e2 * sine**2)
    meridian = semi_major * (1 - e2) / root**3
    parallel = semi_major * math.cos(math.radians(latitude)) / root
    return mean_size(math.radians(dy) * meridian, math.radians(dx) * parallel)


def _positive(text: str | None, unit: float) -> float | None:
    try:
        value = float(text or "nan") * unit
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
