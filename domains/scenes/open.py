"""The one way from a path to a scene."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from domains.errors import InputError
from domains.scenes.address import Address, Source, source_of
from domains.scenes.decode import decode, quiet
from domains.scenes.geotiff import NO_CRS, GeoScene, crs_size, has_rasterio, placed_by
from domains.scenes.main_image import main_image
from domains.scenes.meaning import PLAIN, Meaning
from domains.scenes.ome_zarr import OmeZarrScene, is_zarr
from domains.scenes.openslide import INSTALL, OpenSlideScene, has_openslide
from domains.scenes.openslide import SUFFIXES as SLIDES
from domains.scenes.ranges import Missing, Ranges, Unreachable
from domains.scenes.remote import file_of, is_folder, metadata_of, objects_of
from domains.scenes.scene import Photograph, Scene
from domains.scenes.sidecars import Sidecar, beside
from domains.scenes.tiff import SIGNATURES, CutOff, open_tiff, tiff_file
from domains.scenes.validity import ALPHA, held

RASTERS = frozenset({".jp2", ".j2k", ".img", ".vrt"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
PICTURE_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # whatever the file is called
GEO_TAGS = (33550, 33922, 34264, 34735)  # scale, tie points, transformation, keys
SCANNERS = SLIDES - {".tif", ".tiff"}
SCENE_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".qptiff", ".zarr"}) | PICTURES | SLIDES | RASTERS


def open_scene(path: str | Source, pixel_size_m: float | None = None, stored: bool = False) -> Scene:
    """Whatever can be read by windows, by its content: the one way from a file to pixels.

    A folder is OME-Zarr. A TIFF that says its place on the ground, or has files beside it that do, goes through
    rasterio where that is installed; every other through tifffile, and what that cannot read through OpenSlide where
    that is installed. JPEG 2000 and ERDAS rasters want rasterio; MRXS and VMS want OpenSlide. The rest are pictures,
    held in memory (at most `decode.MAX_PIXELS`). Behind an address (`domains.scenes.address`) there are TIFF and
    OME-Zarr alone, and nothing beside them is looked for.

    pixel_size_m: in place of what the file says. stored: values as they are stored, for label maps, in place of what
    they mean as colours. Raises InputError, naming what to install where something is missing.
    """
    path = source_of(path) if isinstance(path, str) else path
    if isinstance(path, Address):
        return open_address(path, pixel_size_m, stored)
    if path.is_dir():
        if not is_zarr(path):
            raise InputError(
                f"{str(path)!r}: wanted an image or an OME-Zarr folder, got another folder; name its files"
            )
        return OmeZarrScene(path, pixel_size_m)
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be opened: {error.strerror}; check the path") from error
    suffix = path.suffix.lower()
    if head[:4] in SIGNATURES:
        return _tiff(path, pixel_size_m, stored)
    if head.startswith(PICTURE_HEADS):
        return open_picture(path, pixel_size_m, stored)
    if suffix in RASTERS:
        return GeoScene(path, pixel_size_m, stored)
    if suffix in SLIDES:
        return OpenSlideScene(path, pixel_size_m)
    return open_picture(path, pixel_size_m, stored)


def open_address(address: Address, pixel_size_m: float | None = None, stored: bool = False) -> Scene:
    """The scene behind an address, of which ranges are read. Raises InputError for what is neither TIFF nor OME-Zarr,
    and for what cannot be reached, without what is secret in the address.
    """
    objects = objects_of(address)
    if is_folder(address) and metadata_of(objects) is not None:
        return OmeZarrScene(address, pixel_size_m, objects)
    try:
        file = file_of(address, objects)
    except Missing:
        if metadata_of(objects) is None:
            raise
        return OmeZarrScene(address, pixel_size_m, objects)
    head = file.pread(4, 0)
    if head in SIGNATURES:
        return _tiff(address, pixel_size_m, stored, file)
    inside = "a zip; name what is in it: zip://INNER::ADDRESS" if head == b"PK\3\4" else "another file; download it"
    raise InputError(f"{str(address)!r}: wanted a TIFF or an OME-Zarr behind an address, got {inside}")


def _tiff(path: Source, pixel_size_m: float | None, stored: bool, file: Ranges | None = None) -> Scene:
    """file: of an address."""
    try:
        if has_rasterio():
            sidecar = beside(path) if isinstance(path, Path) else Sidecar()
            page = geotiff_page(path, file)
            if file is not None and page:  # GDAL is given an address as one file, whose first page it takes
                page = None
            if sidecar.says_anything or page is not None:
                return GeoScene(path, pixel_size_m, stored, sidecar, page or 0, file)
        return open_tiff(path, pixel_size_m, stored, file)
    except (CutOff, Unreachable):  # OpenSlide would open what is cut off, and stop in the middle
        raise
    except Exception as error:  # tifffile raises anything on what is damaged or of a kind that it does not know
        suffix, ours = path.suffix.lower(), isinstance(error, InputError)
        if isinstance(path, Path) and suffix in (SCANNERS if ours else SLIDES) and has_openslide():
            with suppress(InputError):
                return OpenSlideScene(path, pixel_size_m)
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        complaint = f"wanted a whole TIFF, got a damaged or unsupported one ({reason}); copy or save it again"
        text = str(error) if ours else f"{str(path)!r}: {complaint}"
        scanner = isinstance(path, Path) and suffix in SCANNERS
        hint = f", or read it through OpenSlide: {INSTALL}" if scanner and not has_openslide() else ""
        raise InputError(text + hint) from error


def geotiff_page(path: Source, content: Ranges | None = None) -> int | None:
    """The page of the picture of a TIFF, where that says a place on the ground or ground control points.

    content: of an address. Raises `Unreachable`.
    """
    try:
        with quiet(), tiff_file(path, content) as file:
            page: Any = main_image(file).keyframe
            return int(page.index) if any(tag in page.tags for tag in GEO_TAGS) else None
    except Unreachable:
        raise
    except Exception:  # tifffile raises anything on what is damaged; reading the pixels will say so
        return None


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
    values, channels = np.ascontiguousarray(meaning(values, names)), meaning.channels(names)
    sidecar = beside(path)
    if sidecar.mask is not None and ALPHA not in channels:
        values, channels = np.dstack([values, mask_beside(path, sidecar.mask, values)]), (*channels, ALPHA)
    scene = Photograph(
        values,
        pixel_size_m,
        channels,
        None if sidecar.nodata is None or meaning != PLAIN else held(sidecar.nodata, values.dtype),
        placed_by(sidecar),
        format=picture.format,
    )
    if sidecar.transform is not None and scene.georeference is None:
        scene.remarks = (NO_CRS,)
    if scene.georeference is not None and pixel_size_m is None:
        scene.pixel_size_m = crs_size(scene.georeference, scene.shape)
    return scene


def mask_beside(path: Path, mask: Path, values: np.ndarray) -> np.ndarray:
    """(H, W) of the type of the picture's values, above 0 where the mask beside it says that there are data. Raises
    InputError for one of another size.
    """
    seen = decode(mask).values
    if seen.shape[:2] != values.shape[:2]:
        raise InputError(
            f"{str(path)!r}: wanted a mask beside it of its size, {values.shape[1]} x {values.shape[0]}, got "
            f"{seen.shape[1]} x {seen.shape[0]}; remove or mend the .msk"
        )
    return (seen.reshape(*values.shape[:2], -1)[..., 0] > 0).astype(values.dtype)
