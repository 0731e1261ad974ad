"""Formats that a scene cannot have."""

from __future__ import annotations

from collections.abc import Iterable

from domains.exports.density import CELL_UM
from domains.scenes.georeference import Georeference
from domains.scenes.pixel_size import show_pixel_size


def impossible(size: float | None, georeference: Georeference | None, formats: Iterable[str]) -> dict[str, str]:
    """Those of the formats that a scene of that size of a pixel, in metres, and that place cannot have, each with why
    and what to do.
    """
    reasons = {}
    if size is None:
        reasons["density"] = "it does not say the size of a pixel, which a density map wants; say it by --pixel-size"
    elif size > CELL_UM * 1e-6:
        reasons["density"] = (
            f"its pixels of {show_pixel_size(size)} are larger than a density map's cells, {CELL_UM:g} um; leave it out"
        )
    if georeference is None:
        reason = "it does not say where on the Earth it lies, which a GeoPackage wants; write --format geojson"
        reasons |= {"gpkg": reason, "forest-gpkg": reason}
    return {word: reasons[word] for word in formats if word in reasons}
