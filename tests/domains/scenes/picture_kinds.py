"""One picture written in many kinds of file, each with what a network is to be shown of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

HEIGHT, WIDTH = 48, 64
Y, X = np.mgrid[:HEIGHT, :WIDTH]
COLOUR = np.stack([40 + 2 * Y + X, 200 - Y - X, 30 + (Y * X) % 97], axis=2).astype(np.uint8)
GREY = COLOUR[..., 0]
BITS = (Y // 6 + X // 8) % 2 == 0
WIDE = COLOUR.astype(np.uint16) * 200 + 300
HOLE = np.zeros((HEIGHT, WIDTH), bool)
HOLE[:9, :12] = True
ALPHA = np.where(HOLE, 0, 255).astype(np.uint8)
PALETTE = np.random.default_rng(0).integers(1, 256, (256, 3)).astype(np.uint8)


@dataclass(frozen=True)
class Kind:
    """write: makes the file. shown: (H, W, 3) what a network sees. tolerance: grey levels that a codec may cost."""

    name: str
    write: Callable[[Path], Any]
    shown: np.ndarray
    tolerance: int = 1


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def stretched(values: np.ndarray, seen: np.ndarray | None = None, apart: bool = False) -> np.ndarray:
    """The 0.1 to 99.9 percentile range as 0..255, of all channels together or of each; 0 where nothing is seen."""
    valid = np.ones(values.shape[:2], bool) if seen is None else seen
    axis = 0 if apart else None
    low, high = np.percentile(values[valid].astype(float), (0.1, 99.9), axis=axis)
    shown = np.round(np.clip((values - low) * 255.0 / (high - low), 0, 255)).astype(np.uint8)
    if seen is not None:
        shown = np.where(seen[..., None], np.maximum(shown, ~shown.any(axis=2, keepdims=True)), 0).astype(np.uint8)
    return shown


def plain(values: np.ndarray, **options: Any) -> Callable[[Path], Any]:
    return lambda path: tifffile.imwrite(path, values, **{"metadata": None, "photometric": "minisblack"} | options)


def pages(*images: tuple[np.ndarray, dict]) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        with tifffile.TiffWriter(path) as file:
            for image, options in images:
                file.write(image, **{"photometric": "rgb", "metadata": None} | options)

    return write


def pillow(image: Image.Image, **options: Any) -> Callable[[Path], Any]:
    return lambda path: image.save(path, **options)


def raster(bands: Any, colours: Any = None, names: Any = (), palette: Any = None, **options: Any):
    """A GeoTIFF through rasterio; colours: names of colour interpretations."""

    def write(path: Path) -> None:
        import rasterio
        from rasterio.enums import ColorInterp
        from rasterio.transform import from_origin

        values = np.asarray(bands)
        about = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": len(values), "dtype": values.dtype}
        place = {"crs": "EPSG:32633", "transform": from_origin(4e5, 5e6, 0.5, 0.5)}
        with rasterio.open(path, "w", **about | place | options) as file:
            if palette is not None:
                file.write_colormap(1, palette)
            file.write(values)
            if colours:
                file.colorinterp = [ColorInterp[colour] for colour in colours]
            for number, name in enumerate(names, 1):
                file.set_band_description(number, name)

    return write


def planes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(values, -1, 0))


SMALL = COLOUR[::2, ::2]
TAGS = {"photometric": "rgb"}
FLOAT = COLOUR.astype(np.float32) / 255
SEEN = ~HOLE
BLANK_COLOUR = np.where(HOLE[..., None], 0, COLOUR)
PILLOW_COLOUR, PILLOW_GREY = Image.fromarray(COLOUR), Image.fromarray(GREY)
CMYK = np.dstack([255 - COLOUR, np.zeros_like(GREY)])
QUANTISED = PILLOW_COLOUR.quantize(32)
ORIENTATION = {"extratags": [(274, "H", 1, 6, True)]}
LOWEST = np.where(HOLE[..., None], np.finfo(np.float32).min, FLOAT)
NAN = np.where(HOLE[..., None], np.nan, FLOAT).astype(np.float32)
MINUS = np.where(HOLE[..., None], -9999, FLOAT).astype(np.float32)
OME = {"ome": True, "photometric": "minisblack"}
IMAGEJ = {"imagej": True}
CHANNELS = stretched(WIDE, apart=True)

TIFFS = [
    Kind("rgb", plain(COLOUR, **TAGS), COLOUR),
    Kind("rgb tiled", plain(COLOUR, tile=(16, 16), **TAGS), COLOUR),
    Kind("rgb strips of 5 rows", plain(COLOUR, rowsperstrip=5, **TAGS), COLOUR),
    Kind("rgb planar", plain(planes(COLOUR), planarconfig="separate", **TAGS), COLOUR),
    Kind("rgb deflate predictor", plain(COLOUR, compression="zlib", predictor=True, **TAGS), COLOUR),
    Kind("rgb lzw", plain(COLOUR, compression="lzw", **TAGS), COLOUR),
    Kind("rgb zstd", plain(COLOUR, compression="zstd", **TAGS), COLOUR),
    Kind("rgb packbits", plain(COLOUR, compression="packbits", **TAGS), COLOUR),
    Kind("rgb lerc", plain(COLOUR, compression="lerc", **TAGS), COLOUR),
    Kind("rgb jpeg 2000", plain(COLOUR, compression="jpeg2000", tile=(16, 16), **TAGS), COLOUR),
    Kind("rgb big-endian", plain(COLOUR, byteorder=">", **TAGS), COLOUR),
    Kind("rgb bigtiff", plain(COLOUR, bigtiff=True, **TAGS), COLOUR),
    Kind("rgb turned", plain(COLOUR, **ORIENTATION, **TAGS), np.rot90(COLOUR, -1)),
    Kind("rgba", plain(np.dstack([COLOUR, ALPHA]), extrasamples=["unassalpha"], **TAGS), BLANK_COLOUR),
    Kind("rgb and a fourth", plain(np.dstack([COLOUR, GREY]), extrasamples=["unspecified"], **TAGS), COLOUR),
    Kind("rgb 16", plain(WIDE, **TAGS), stretched(WIDE)),
    Kind("rgb 16 big-endian", plain(WIDE, byteorder=">", **TAGS), stretched(WIDE)),
    Kind("rgb int16", plain((WIDE.astype(int) - 20000).astype(np.int16), **TAGS), stretched(WIDE)),
    Kind("rgb uint32", plain(WIDE.astype(np.uint32) * 1000, **TAGS), stretched(WIDE)),
    Kind("rgb float", plain(FLOAT, **TAGS), stretched(FLOAT)),
    Kind("rgb half", plain((COLOUR / 256).astype(np.float16), **TAGS), stretched(COLOUR)),
    Kind("rgb double", plain(COLOUR / 7.0, **TAGS), stretched(COLOUR)),
    Kind("rgb float predictor", plain(FLOAT, compression="zlib", predictor=True, **TAGS), stretched(FLOAT)),
    Kind("grey", plain(GREY), three(GREY)),
    Kind("grey turned", plain(GREY, **ORIENTATION), three(np.rot90(GREY, -1))),
    Kind("grey 16", plain(WIDE[..., 0]), three(stretched(WIDE[..., :1])[..., 0])),
    Kind("grey alpha", plain(np.dstack([GREY, ALPHA]), extrasamples=["unassalpha"]), three(BLANK_COLOUR[..., 0])),
    Kind("white is 0", plain(GREY, photometric="miniswhite"), three(255 - GREY)),
    Kind(
        "white is 0, 16",
        plain(WIDE[..., 0], photometric="miniswhite"),
        255 - stretched(WIDE[..., :1]) + three(0 * GREY),
    ),
    Kind("one bit", plain(BITS), three(np.where(BITS, 255, 0).astype(np.uint8))),
    Kind("one bit, white is 0", plain(BITS, photometric="miniswhite"), three(np.where(BITS, 0, 255).astype(np.uint8))),
    Kind("palette", plain(GREY, photometric="palette", colormap=PALETTE.T.astype(np.uint16) * 257), PALETTE[GREY]),
    Kind(
        "palette turned",
        plain(GREY, photometric="palette", colormap=PALETTE.T.astype(np.uint16) * 257, **ORIENTATION),
        np.rot90(PALETTE[GREY], -1),
    ),
    Kind("inks", plain(CMYK, photometric="separated"), COLOUR),
    Kind("inks 16", plain(CMYK.astype(np.uint16) * 257, photometric="separated"), COLOUR),
    Kind("pages of one size", plain(planes(WIDE)), three(stretched(WIDE[..., :1])[..., 0])),
    Kind("preview first", pages((SMALL, {"subfiletype": 1}), (COLOUR, {})), COLOUR),
    Kind("label first", pages((SMALL[:10, :10], {"description": "Label"}), (COLOUR, {"tile": (16, 16)})), COLOUR),
    Kind(
        "levels backwards",
        pages(*((COLOUR[::n, ::n], {"tile": (16, 16), "subfiletype": n > 1}) for n in (4, 2, 1))),
        COLOUR,
    ),
    Kind("a mask behind", pages((COLOUR, {}), (BITS, {"photometric": "mask", "subfiletype": 4})), COLOUR),
    Kind("five channels", plain(np.dstack([WIDE, WIDE[..., :2]]), planarconfig="contig"), CHANNELS),
    Kind("two channels", plain(WIDE[..., :2], planarconfig="contig"), three(stretched(WIDE[..., :1])[..., 0])),
    Kind("ome cyx", plain(planes(WIDE), metadata={"axes": "CYX"}, **OME), CHANNELS),
    Kind("ome cyx 8", plain(planes(COLOUR), metadata={"axes": "CYX"}, **OME), COLOUR),
    Kind("ome zcyx", plain(np.stack([planes(WIDE), planes(WIDE) // 2]), metadata={"axes": "ZCYX"}, **OME), CHANNELS),
    Kind(
        "ome tczyx",
        plain(np.stack([planes(WIDE), planes(WIDE) // 2])[:, :, None], metadata={"axes": "TCZYX"}, **OME),
        CHANNELS,
    ),
    Kind("ome yxs", plain(COLOUR, ome=True, photometric="rgb", metadata={"axes": "YXS"}), COLOUR),
    Kind("imagej cyx", plain(planes(WIDE), metadata={"axes": "CYX"}, **IMAGEJ), CHANNELS),
    Kind(
        "imagej zyx", plain(planes(WIDE), metadata={"axes": "ZYX"}, **IMAGEJ), three(stretched(WIDE[..., :1])[..., 0])
    ),
    Kind("imagej rgb", plain(COLOUR, metadata={"axes": "YXS"}, imagej=True, photometric="rgb"), COLOUR),
    Kind(
        "imagej tzcyx",
        plain(np.stack([planes(WIDE)] * 4).reshape(2, 2, 3, HEIGHT, WIDTH), metadata={"axes": "TZCYX"}, **IMAGEJ),
        CHANNELS,
    ),
    Kind("lowest float", plain(LOWEST, **TAGS), stretched(FLOAT, SEEN)),
    Kind("not a number", plain(NAN, **TAGS), stretched(FLOAT, SEEN)),
    Kind("undeclared -9999", plain(MINUS, **TAGS), stretched(FLOAT, SEEN)),
]

PICTURES = [
    Kind("rgb.png", pillow(PILLOW_COLOUR), COLOUR),
    Kind("rgba.png", pillow(Image.fromarray(np.dstack([COLOUR, ALPHA]))), COLOUR),
    Kind("grey.png", pillow(PILLOW_GREY), three(GREY)),
    Kind("grey alpha.png", pillow(Image.fromarray(np.dstack([GREY, ALPHA]), "LA")), three(GREY)),
    Kind("grey 16.png", pillow(Image.fromarray(WIDE[..., 0])), three(stretched(WIDE[..., :1])[..., 0])),
    Kind("bits.png", pillow(Image.fromarray(BITS)), three(np.where(BITS, 255, 0).astype(np.uint8))),
    Kind("palette.png", pillow(QUANTISED), np.asarray(QUANTISED.convert("RGB"))),
    Kind("rgb.bmp", pillow(PILLOW_COLOUR), COLOUR),
    Kind("rgb.webp", pillow(PILLOW_COLOUR, lossless=True), COLOUR),
    Kind("rgb.jpg", pillow(PILLOW_COLOUR, quality=100, subsampling=0), COLOUR, 12),
    Kind("progressive.jpg", pillow(PILLOW_COLOUR, quality=100, subsampling=0, progressive=True), COLOUR, 12),
    Kind("grey.jpg", pillow(PILLOW_GREY, quality=100), three(GREY), 12),
    Kind("inks.jpg", pillow(Image.fromarray(CMYK, "CMYK"), quality=100, subsampling=0), COLOUR, 40),
    Kind(
        "turned.png",
        pillow(PILLOW_COLOUR, exif=b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
        np.rot90(COLOUR, -1),
    ),
]

UNNAMED = ("gray", "undefined", "undefined", "undefined")
BGRN = [COLOUR[..., 2], COLOUR[..., 1], COLOUR[..., 0], GREY]
TABLE = {index: (*map(int, colour), 255) for index, colour in enumerate(PALETTE)}
SEETHROUGH = TABLE | {int(GREY[0, 0]): (9, 9, 9, 0)}

RASTERS = [
    Kind("rgb", raster(planes(COLOUR), photometric="rgb"), COLOUR),
    Kind("band by band", raster(planes(COLOUR), photometric="rgb", interleave="band"), COLOUR),
    Kind(
        "tiled deflate",
        raster(planes(COLOUR), photometric="rgb", tiled=True, blockxsize=16, blockysize=16, compress="deflate"),
        COLOUR,
    ),
    Kind("blue first, by colour", raster(BGRN, ("blue", "green", "red", "undefined")), COLOUR),
    Kind(
        "blue first, called B02",
        raster(BGRN, ("blue", "green", "red", "undefined"), ("B02", "B03", "B04", "B08")),
        COLOUR,
    ),
    Kind(
        "blue first, called Blue",
        raster(BGRN, UNNAMED, ("Blue", "Green", "Red", "NIR"), photometric="minisblack"),
        COLOUR,
    ),
    Kind(
        "colour against name",
        raster(planes(COLOUR), ("red", "green", "blue"), ("blue", "green", "red"), photometric="rgb"),
        COLOUR,
    ),
    Kind(
        "alpha called mask",
        raster(
            [*planes(COLOUR), ALPHA],
            ("red", "green", "blue", "alpha"),
            ("", "", "", "mask"),
            photometric="rgb",
            alpha="yes",
        ),
        BLANK_COLOUR,
    ),
    Kind("nodata", raster(planes(np.where(HOLE[..., None], 250, COLOUR)), photometric="rgb", nodata=250), BLANK_COLOUR),
    Kind(
        "16 bits with nodata",
        raster(planes(np.where(HOLE[..., None], 7, WIDE)), photometric="rgb", nodata=7),
        stretched(WIDE, SEEN),
    ),
    Kind("11 bits", raster(planes(WIDE // 32), photometric="rgb", nbits=11), stretched(WIDE // 32)),
    Kind("12 bits", raster(planes(WIDE // 16), photometric="rgb", nbits=12), stretched(WIDE // 16)),
    Kind("one bit", raster([BITS.astype(np.uint8)], nbits=1), three(np.where(BITS, 255, 0).astype(np.uint8))),
    Kind("palette", raster([GREY], palette=TABLE, photometric="palette"), PALETTE[GREY]),
    Kind("white is 0", raster([GREY], photometric="miniswhite"), three(255 - GREY)),
    Kind("inks", raster(planes(CMYK), photometric="cmyk"), COLOUR),
    Kind("float with NaN", raster(planes(NAN), photometric="rgb"), stretched(FLOAT, SEEN)),
    Kind(
        "declared lowest float", raster(planes(LOWEST), photometric="rgb", nodata=-3.4028235e38), stretched(FLOAT, SEEN)
    ),
    Kind("undeclared lowest float", raster(planes(LOWEST), photometric="rgb"), stretched(FLOAT, SEEN)),
    Kind("undeclared -9999", raster(planes(MINUS), photometric="rgb"), stretched(FLOAT, SEEN)),
    Kind("five bands", raster(planes(np.dstack([WIDE, WIDE[..., :2]]))), CHANNELS),
    Kind("70 bands", raster(np.concatenate([planes(WIDE)] * 23 + [planes(WIDE)[:1]])), CHANNELS),
]
