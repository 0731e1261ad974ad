"""The one way from a path to a scene."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import tifffile

from domains.decode import decode, quiet
from domains.errors import InputError
from domains.scenes.geotiff import GeoScene, crs_size, has_rasterio, placed_beside
from domains.scenes.meaning import PLAIN, Meaning
from domains.scenes.ome_zarr import OmeZarrScene, is_zarr
from domains.scenes.openslide import INSTALL, OpenSlideScene, has_openslide
from domains.scenes.openslide import SUFFIXES as SLIDES
from domains.scenes.scene import Photograph, Scene
from domains.scenes.sidecars import beside
from domains.scenes.tiff import SIGNATURES, CutOff, open_tiff

RASTERS = frozenset({".jp2", ".j2k", ".img", ".vrt"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
GEO_TAGS = (33550, 33922, 34264, 34735)  # scale, tie points, transformation, keys
SCANNERS = SLIDES - {".tif", ".tiff"}
SCENE_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".qptiff", ".zarr"}) | PICTURES | SLIDES | RASTERS


def open_scene(path: str | Path, pixel_size_m: float | None = None, stored: bool = False) -> Scene:
    """Whatever can be read by windows, by its content: the one way from a file to pixels.

    A folder is OME-Zarr. A TIFF that says its place on the ground, or has files beside it that do, goes through
    rasterio where that is installed; every other through tifffile, and what that cannot read through OpenSlide where
    that is installed. JPEG 2000 and ERDAS rasters want rasterio; MRXS and VMS want OpenSlide. The rest are pictures,
    held in memory (at most `decode.MAX_PIXELS`).

    pixel_size_m: in place of what the file says. stored: values as they are stored, for label maps, in place of what
    they mean as colours. Raises InputError, naming what to install where something is missing.
    """
    path = Path(path)
    if path.is_dir():
        if not is_zarr(path):
            raise InputError(
                f"{str(path)!r}: wanted an image or an OME-Zarr folder, got another folder; name its files"
            )
        return OmeZarrScene(path, pixel_size_m)
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be opened: {error.strerror}; check the path") from error
    suffix = path.suffix.lower()
    if head in SIGNATURES:
        return _tiff(path, pixel_size_m, stored)
    if suffix in RASTERS:
        return GeoScene(path, pixel_size_m, stored)
    if suffix in SLIDES:
        return OpenSlideScene(path, pixel_size_m)
    return open_picture(path, pixel_size_m, stored)


def _tiff(path: Path, pixel_size_m: float | None, stored: bool) -> Scene:
    try:
        if has_rasterio():
            sidecar = beside(path)
            if sidecar.says_anything or is_geotiff(path):
                return GeoScene(path, pixel_size_m, stored, sidecar)
        return open_tiff(path, pixel_size_m, stored)
    except CutOff:  # OpenSlide would open it, and stop in the middle
        raise
    except Exception as error:  # tifffile raises anything on what is damaged or of a kind that it does not know
        suffix, ours = path.suffix.lower(), isinstance(error, InputError)
        slide = suffix in (SCANNERS if ours else SLIDES)
        if slide and has_openslide():
            with suppress(InputError):
                return OpenSlideScene(path, pixel_size_m)
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        wanted = f"wanted a whole TIFF, got a damaged or unsupported one ({reason}); copy or save it again"
        text = str(error) if ours else f"{str(path)!r}: {wanted}"
        hint = f", or read it through OpenSlide: {INSTALL}" if suffix in SCANNERS and not has_openslide() else ""
        raise InputError(text + hint) from error


def is_geotiff(path: Path) -> bool:
    """Whether the first page of a TIFF says a place on the ground, or ground control points."""
    try:
        with quiet(), tifffile.TiffFile(path, _multifile=False) as file:
            return any(tag in file.pages.first.tags for tag in GEO_TAGS)
    except Exception:  # tifffile raises anything on what is damaged; reading the pixels will say so
        return False


def open_picture(path: Path, pixel_size_m: float | None = None, stored: bool = False) -> Photograph:
    """A PNG, JPEG, WebP or BMP in memory; grey and 16-bit as they are stored, palettes and inks as RGB."""
    picture = decode(path)
    values = picture.values if picture.values.ndim == 3 else picture.values[..., None]
    count = values.shape[2]
    names = ("red", "green", "blue", "")[:count] if count in (3, 4) else ("",) * count  # alpha says how to show it
    meaning = PLAIN
    if not stored and picture.palette is not None:
        meaning = Meaning(picture.palette)
    elif not stored and picture.inks:
        meaning = Meaning(inks=True)
    elif not stored and values.dtype == bool:
        meaning = Meaning(factor=255)
    scene = Photograph(
        np.ascontiguousarray(meaning(values, names)),
        pixel_size_m,
        meaning.channels(names),
        georeference=placed_beside(path),
        format=picture.format,
    )
    if scene.georeference is not None and pixel_size_m is None:
        scene.pixel_size_m = crs_size(scene.georeference, scene.shape)
    return scene
