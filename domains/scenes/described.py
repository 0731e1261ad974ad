"""How a file is read, in a line: for people who want to see what was assumed before the minutes are spent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.bands import RGB
from domains.scenes.pixel_size import UNITS_M
from domains.scenes.scene import Scene
from domains.scenes.validity import ALPHA
from domains.scenes.view import View

MOST_NAMES = 6  # of channels in the line of a file


def described(scene: Scene, view: View) -> str:
    """`OME-TIFF, 3 channels of uint16 (DAPI, CK, CD3); 0.25 um a pixel; of several planes in depth the first is read`:
    the same line for all files of a kind.
    """
    phrases = [f"{scene.format}, {channels(scene)}", size(scene.pixel_size_m)]
    if scene.georeference is not None:
        phrases.append(scene.georeference.crs if len(scene.georeference.crs) < 20 else "a CRS without EPSG code")
    if view.validity.declared and scene.dtype.kind != "f":
        phrases.append("no data by alpha" if view.validity.alpha is not None else f"no data: {view.validity.nodata:g}")
    return "; ".join([*filter(None, phrases), *scene.remarks, *view.remarks])


def channels(scene: Scene) -> str:
    """`RGB of 8 bits`, `3 channels of uint16 (DAPI, CK, CD3)`: number, type and names, alpha not counted."""
    names = [name for name in scene.channels if name != ALPHA]
    if tuple(names[:3]) == RGB and not any(names[3:]):
        text = "RGB" if len(names) == 3 else "RGBA" if len(names) == 4 else f"RGB and {len(names) - 3} more channels"
    elif len(names) == 1:
        text = "grey"
    else:
        text = f"{len(names)} channels"
    kind = "8 bits" if scene.dtype == np.uint8 else str(scene.dtype)
    called = list(scene.descriptions[: len(names)]) if any(scene.descriptions) else names
    listing = listed(called) if not text.startswith(("RGB", "grey")) and any(called) else ""
    return f"{text} of {kind}{listing}"


def listed(names: Sequence[str]) -> str:
    """` (DAPI, CK, -)`: at most `MOST_NAMES` of the names, a dash for an empty one."""
    ellipsis = ", ..." if len(names) > MOST_NAMES else ""
    return f" ({', '.join(name or '-' for name in names[:MOST_NAMES])}{ellipsis})"


def size(size_m: float | None) -> str:
    """`0.25 um a pixel`, "" where unknown; two digits, so that slides of one scanner have one line."""
    if size_m is None:
        return ""
    unit = "um" if size_m < 1e-3 else "mm" if size_m < 0.1 else "m"
    return f"{size_m / UNITS_M[unit]:.2g} {unit} a pixel"
