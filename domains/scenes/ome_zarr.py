"""OME-Zarr images, NGFF 0.4 and 0.5 (https://ngff.openmicroscopy.org), through zarr.

The first multiscale of the group is the scene. Of time and depth the first is taken.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from domains.bands import as_colours
from domains.errors import InputError
from domains.scenes.blocks import BlockReader, Level, array_level
from domains.scenes.main_image import STACKS
from domains.scenes.pixel_size import mean_size, unit_m

MAX_CHANNELS = 4096  # hyperspectral sensors have some hundreds
MAX_LEVELS = 64  # each half of the one before: more than any image has


def is_zarr(path: Path) -> bool:
    """Whether a folder has the metadata of a zarr group or array, of format 2 or 3."""
    return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs"))


def only_series(path: Path) -> Path:
    """The folder of the image: of a root as bioformats2raw writes it, with a folder for each series, that of its only
    one. Several stay a root, which is refused.
    """
    try:
        attributes = dict(zarr.open_group(str(path), mode="r").attrs)
    except Exception:  # whatever a stranger's metadata makes zarr raise is told where the image is read
        return path
    inner = attributes.get("ome", attributes)
    if not isinstance(inner, dict) or "multiscales" in inner:
        return path
    series = [folder for folder in path.iterdir() if folder.name.isdecimal() and is_zarr(folder)]
    return series[0] if len(series) == 1 and not series[0].is_symlink() else path


class OmeZarrScene:
    """A multiscale image in a folder. Raises InputError where it is none."""

    nodata = None
    georeference = None
    format = "OME-Zarr"

    def __init__(self, path: Path, pixel_size_m: float | None = None) -> None:
        self.path = path = only_series(path)
        multiscale, attributes = self._multiscale()
        axes = axis_letters(multiscale)
        arrays = [self._array(str(entry.get("path"))) for entry in multiscale["datasets"][:MAX_LEVELS]]
        axes = axes or "TCZYX"[-arrays[0].ndim :]  # before 0.4 the order was fixed
        if any(array.ndim != len(axes) for array in arrays) or not {"Y", "X"} <= set(axes):
            raise self._wrong(f"arrays of {[array.ndim for array in arrays]} axes for {axes!r}")
        self.dtype = np.dtype(arrays[0].dtype)
        count = dict(zip(axes, arrays[0].shape, strict=True)).get("C", 1)
        if count > MAX_CHANNELS or self.dtype.kind not in "uifb":
            raise self._wrong(f"{count} channels of {self.dtype}")
        self._levels: list[Level] = [array_level(str(path), array, axes) for array in arrays]
        self.reader = BlockReader(self._levels, count, self.dtype)
        omero_channels = attributes.get("omero", {}).get("channels", [])
        labels = [str(channel.get("label", "")) for channel in omero_channels if isinstance(channel, dict)]
        self.channels = as_colours(labels) if len(labels) == count else ("",) * count
        self.descriptions = tuple(labels) if len(labels) == count else ()
        lengths = dict(zip(axes, arrays[0].shape, strict=True))
        self.remarks = tuple(
            f"of several {STACKS[axis]} the first is read" for axis in STACKS if lengths.get(axis, 1) > 1
        )
        self.pixel_size_m = pixel_size_m or ngff_pixel_size(multiscale, axes)

    def _multiscale(self) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            attributes = dict(zarr.open_group(str(self.path), mode="r").attrs)
        except Exception as error:  # whatever a stranger's metadata makes zarr raise
            raise self._wrong(f"{type(error).__name__}: {error}") from error
        attributes = attributes.get("ome", attributes)  # 0.5 keeps all under one key
        if not isinstance(attributes, dict):
            raise self._wrong("metadata that are no mapping")
        multiscales = attributes.get("multiscales")
        multiscale = multiscales[0] if isinstance(multiscales, list) and multiscales else None
        if not (isinstance(multiscale, dict) and multiscale.get("datasets")):
            inside = "; it has a folder for each series: name that, such as 0" if (self.path / "0").is_dir() else ""
            raise self._wrong(f"a group without multiscales{inside}")
        return multiscale, attributes

    def _array(self, name: str) -> zarr.Array:
        folder = (self.path / name).resolve()
        if self.path.resolve() not in folder.parents:
            raise self._wrong(f"a level outside of its folder, {name!r}")
        try:
            return zarr.open_array(str(folder), mode="r")
        except Exception as error:
            raise self._wrong(f"level {name!r}: {type(error).__name__}: {error}") from error

    def _wrong(self, reason: str) -> InputError:
        reason = " ".join(reason.split())[:200]
        return InputError(f"{str(self.path)!r}: wanted an OME-Zarr image (NGFF 0.4 or 0.5), got {reason}")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the finest level in pixels."""
        return self._levels[0].shape

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of the first `MAX_LEVELS` data sets, in the order of the multiscale: the finest first."""
        return tuple(level.shape for level in self._levels)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """As `Scene.read`. Raises InputError where a chunk is damaged."""
        return self.reader.read(y, x, height, width, level)

    def close(self) -> None:
        """Chunks are files, opened when they are read."""


def axis_letters(multiscale: dict[str, Any]) -> str:
    """`TCZYX`: initials of the axes in upper case, as 0.3 and later list them; "" for older metadata without a list."""
    axes = multiscale.get("axes") or []
    return "".join(str(axis.get("name") if isinstance(axis, dict) else axis).upper()[:1] for axis in axes)


def ngff_pixel_size(multiscale: dict[str, Any], axes: str) -> float | None:
    """The scale of the first level times that of the whole, in the axes' units; None without a unit of length."""
    named = multiscale.get("axes") or []
    if len(named) != len(axes):
        return None
    sizes = []
    for letter in "YX":
        i = axes.index(letter)
        unit = unit_m(named[i].get("unit")) if isinstance(named[i], dict) else None
        scales = [
            step["scale"][i]
            for steps in (multiscale["datasets"][0], multiscale)
            for step in steps.get("coordinateTransformations") or []
            if step.get("type") == "scale" and len(step.get("scale", [])) == len(axes)
        ]
        sizes.append(math.prod(scales) * unit if unit and scales else None)
    return mean_size(*sizes)
