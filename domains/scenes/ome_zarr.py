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
from domains.scenes.address import Address, Source
from domains.scenes.blocks import BlockReader, Level, array_level
from domains.scenes.main_image import STACKS
from domains.scenes.pixel_size import mean_size, unit_m
from domains.scenes.ranges import Objects, Unreachable
from domains.scenes.remote import metadata_of, objects_of
from domains.scenes.remote_zarr import RemoteStore

MAX_CHANNELS = 4096  # hyperspectral sensors have some hundreds
MAX_LEVELS = 64  # each half of the one before: more than any image has


def is_zarr(path: Path) -> bool:
    """Whether a folder has the metadata of a zarr group or array, of format 2 or 3."""
    return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs"))


class LocalFolder:
    """A folder of this machine that zarr reads."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def group(self) -> zarr.Group:
        """What it is to zarr; whatever a stranger's metadata makes zarr raise."""
        return zarr.open_group(str(self.path), mode="r")

    def array(self, name: str) -> zarr.Array:
        """An array below; whatever a stranger's metadata makes zarr raise."""
        return zarr.open_array(str((self.path / name).resolve()), mode="r")

    def holds(self, name: str) -> bool:
        """Whether an array of that name would lie below, and not outside."""
        return self.path.resolve() in (self.path / name).resolve().parents

    def inner(self, name: str) -> LocalFolder:
        """A folder below."""
        return LocalFolder(self.path / name)

    def series(self) -> list[str]:
        """Its folders as bioformats2raw writes them, one for each image; none where the only one lies elsewhere."""
        folders = [path for path in self.path.iterdir() if path.name.isdecimal() and is_zarr(path)]
        return [path.name for path in folders if len(folders) > 1 or not path.is_symlink()]

    def has_first_series(self) -> bool:
        """Whether a folder of the first image lies below."""
        return (self.path / "0").is_dir()


class RemoteFolder:
    """As `LocalFolder`, behind an address. prefix: below it."""

    def __init__(self, address: Address, objects: Objects, prefix: str = "") -> None:
        self.address, self.objects, self.prefix = address, objects, prefix
        self.name = str(address / prefix) if prefix else str(address)
        self._store = RemoteStore(objects)

    def group(self) -> zarr.Group:
        """As `LocalFolder.group`; also raises `Unreachable`."""
        return zarr.open_group(self._store, path=self.prefix, mode="r")

    def array(self, name: str) -> zarr.Array:
        """As `LocalFolder.array`; also raises `Unreachable`."""
        return zarr.open_array(self._store, path=f"{self.prefix}/{name}".strip("/"), mode="r")

    def holds(self, name: str) -> bool:
        """As `LocalFolder.holds`."""
        return not {"", ".", ".."} & {*name.split("/")} and "\\" not in name

    def inner(self, name: str) -> RemoteFolder:
        """A folder below."""
        return RemoteFolder(self.address, self.objects, f"{self.prefix}/{name}".strip("/"))

    def series(self) -> list[str]:
        """As `LocalFolder.series`, two at most: what lies behind an address is not listed."""
        return [name for name in ("0", "1") if metadata_of(self.objects, f"{self.prefix}/{name}/".lstrip("/"))]

    def has_first_series(self) -> bool:
        """As `LocalFolder.has_first_series`."""
        return metadata_of(self.objects, f"{self.prefix}/0/".lstrip("/")) is not None


Folder = LocalFolder | RemoteFolder


def only_series(folder: Folder) -> Folder:
    """The folder of the image: of a root as bioformats2raw writes it, with a folder for each series, that of its only
    one. Several stay a root, which is refused. Raises `Unreachable`.
    """
    try:
        attributes = dict(folder.group().attrs)
    except Unreachable:
        raise
    except Exception:  # whatever a stranger's metadata makes zarr raise is told where the image is read
        return folder
    inner = attributes.get("ome", attributes)
    if not isinstance(inner, dict) or "multiscales" in inner:
        return folder
    series = folder.series()
    return folder.inner(series[0]) if len(series) == 1 else folder


class OmeZarrScene:
    """A multiscale image in a folder, or behind an address. Raises InputError where it is none.

    objects: behind the address.
    """

    nodata = None
    georeference = None
    format = "OME-Zarr"

    def __init__(self, path: Source, pixel_size_m: float | None = None, objects: Objects | None = None) -> None:
        folder = LocalFolder(path) if isinstance(path, Path) else RemoteFolder(path, objects or objects_of(path))
        self._folder = only_series(folder)
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
        self._levels: list[Level] = [array_level(self._folder.name, array, axes) for array in arrays]
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
            attributes = dict(self._folder.group().attrs)
        except Unreachable:
            raise
        except Exception as error:  # whatever a stranger's metadata makes zarr raise
            raise self._wrong(f"{type(error).__name__}: {error}") from error
        attributes = attributes.get("ome", attributes)  # 0.5 keeps all under one key
        if not isinstance(attributes, dict):
            raise self._wrong("metadata that are no mapping")
        multiscales = attributes.get("multiscales")
        multiscale = multiscales[0] if isinstance(multiscales, list) and multiscales else None
        if not (isinstance(multiscale, dict) and multiscale.get("datasets")):
            several = self._folder.has_first_series()
            inside = "; it has a folder for each series: name that, such as 0" if several else ""
            raise self._wrong(f"a group without multiscales{inside}")
        return multiscale, attributes

    def _array(self, name: str) -> zarr.Array:
        if not self._folder.holds(name):
            raise self._wrong(f"a level outside of its folder, {name!r}")
        try:
            return self._folder.array(name)
        except Unreachable:
            raise
        except Exception as error:
            raise self._wrong(f"level {name!r}: {type(error).__name__}: {error}") from error

    def _wrong(self, reason: str) -> InputError:
        reason = " ".join(reason.split())[:200]
        return InputError(f"{self._folder.name!r}: wanted an OME-Zarr image (NGFF 0.4 or 0.5), got {reason}")

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
