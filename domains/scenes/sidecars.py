"""What lies beside a picture and says where on the ground it lies: a world file, `.prj`, `.aux.xml`, and a mask.

Read here and not by GDAL, which would follow paths that such files may hold. World file: six lines A, D, B, E, C, F, of
which C, F are the centre of the first pixel (https://gdal.org/en/stable/drivers/raster/wld.html). `.aux.xml`: GDAL's
persistent auxiliary metadata, `PAMDataset` (https://gdal.org/en/stable/drivers/raster/gtiff.html, Georeferencing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

LARGEST = 2**22  # bytes of a file that says a place; statistics of many bands are some 100 kB

Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Sidecar:
    """What the files beside a picture say. transform: as in `Georeference`. crs: WKT, `EPSG:n` or whatever PROJ reads.
    nodata: of all bands. mask: the file of a mask. points: whether ground control points are given.
    """

    transform: Transform | None = None
    crs: str | None = None
    nodata: float | None = None
    mask: Path | None = None
    points: bool = False

    @property
    def says_anything(self) -> bool:
        """Whether any file beside the picture says something that can be used."""
        return self != Sidecar()


def beside(path: Path) -> Sidecar:
    """What lies beside a picture; nothing of it that is damaged, too large or no plain file."""
    transform, crs, nodata, points = _auxiliary(path.with_name(f"{path.name}.aux.xml"))
    mask = path.with_name(f"{path.name}.msk")
    return Sidecar(
        transform or _world(path), crs or _projection(path), nodata, mask if mask.is_file() else None, points
    )


def _world(path: Path) -> Transform | None:
    """`.tfw` or `.tifw` of a `.tif`, and `.wld` of anything."""
    ending = path.suffix[1:]
    short = f"{ending[:1]}{ending[-1:]}w" if ending else ""
    for suffix in (f".{short}", f".{ending}w", ".wld"):
        for spelling in (suffix.lower(), suffix.upper()):
            text = _text(path.with_suffix(spelling)) if len(spelling) > 1 else None
            if text is None:
                continue
            try:
                a, d, b, e, c, f = (float(word.replace(",", ".")) for word in text.split()[:6])
            except ValueError:
                continue
            values = a, b, c - (a + b) / 2, d, e, f - (d + e) / 2
            if all(map(math.isfinite, values)) and a * e != b * d:
                return values
    return None


def _projection(path: Path) -> str | None:
    text = _text(path.with_suffix(".prj")) or _text(path.with_suffix(".PRJ"))
    return text.strip() or None if text else None


def _auxiliary(path: Path) -> tuple[Transform | None, str | None, float | None, bool]:
    """(transform, CRS, nodata, whether there are ground control points) of `.aux.xml`."""
    text = _text(path)
    if text is None or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None, None, None, False
    try:
        root = ElementTree.fromstring(text.encode())
    except (ElementTree.ParseError, ValueError):
        return None, None, None, False
    values = _numbers(root.findtext("GeoTransform"), 6)
    transform = None
    if values is not None and values[1] * values[5] != values[2] * values[4]:
        c, a, b, f, d, e = values
        transform = a, b, c, d, e, f
    crs = (root.findtext("SRS") or "").strip() or None
    declared = {band.findtext("NoDataValue") for band in root.findall("PAMRasterBand")}
    nodata = _numbers(declared.pop(), 1) if len(declared) == 1 else None
    return transform, crs, nodata[0] if nodata else None, root.find("GCPList") is not None


def _numbers(text: str | None, count: int) -> list[float] | None:
    try:
        values = [float(word) for word in (text or "").split(",")]
    except ValueError:
        return None
    return values if len(values) == count and (count == 1 or all(map(math.isfinite, values))) else None


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return None
