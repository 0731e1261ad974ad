"""GeoJSON as a file, and in which frame its coordinates are: pixels of a picture (QuPath, our own results) or a map.

By content, since both are called `<image>.geojson`. QuPath says of each object what it is: `objectType` since 0.4,
`object_type` in 0.3, the `id` of the feature in 0.2 (QuPathTypeAdapters.java, PathObjectTypeAdapters.java).
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal

from domains.errors import InputError

Frame = Literal["pixels", "marked", "map", "beyond degrees", "degrees"]

RESULTS = "a result of `predict` is read as labels, which nobody has drawn; lay drawn ones beside it, or move it away"
MAX_BYTES = 2**29  # of a JSON file, unpacked
FARTHEST_DEGREE = 360  # longitudes are counted to 180 or, from 0, to 360
_PIECE = 2**20  # bytes looked through at a time
_OVERLAP = 2**9  # bytes, more than any mark has
_HERE = "annotation|detection|cell|tile|tmaCore|tma_core|root"
_CLASSES = "Path(?:Annotation|Detection|Cell|Tile|Root)Object|TMACoreObject"
_QUPATH = re.compile(
    rf'"object_?[tT]ype"\s*:\s*"(?:{_HERE}|{_CLASSES})"|"(?:id|type)"\s*:\s*"(?:{_CLASSES})"|"nucleusGeometry"'
    r'|"isEllipse"|"colorRGB"|"plane"\s*:\s*\{'.encode()
)
_LIKE_QUPATH = re.compile(rb'"measurements"\s*:\s*[\[{]|"classification"\s*:\s*\{')  # others write them too
_CRS = re.compile(rb'"crs"\s*:\s*\{')
_OURS = re.compile(rb'"area_px"\s*:')
_OURS_ON_THE_MAP = re.compile(rb'"area_m2"\s*:')
_POINT = re.compile(rb"\[\s*(-?[0-9][0-9.eE+-]*)\s*,\s*(-?[0-9][0-9.eE+-]*)")


def is_geojson(path: Path) -> bool:
    """Whether a file is called as GeoJSON, packed or not."""
    return path.name.lower().endswith((".geojson", ".geojson.gz"))


def frame_of(path: Path) -> Frame:
    """The frame that the marks in a file name; without marks, whether its coordinates may be degrees.

    "marked": they may be degrees, but the file has what QuPath writes among others.

    A file that cannot be read has the frame "pixels" when it is packed, as maps seldom are, else "degrees": reading it
    says what is wrong.
    """
    return _looked(path)[0]


def is_result(path: Path) -> bool:
    """Whether a GeoJSON is what `predict` wrote, and nobody has drawn. QuPath leaves our marks out when it exports."""
    return _looked(path)[1]


def _looked(path: Path) -> tuple[Frame, bool]:
    try:
        state = path.stat()
    except OSError:
        return "degrees", False
    return _look(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _look(path: Path, changed_ns: int, size: int) -> tuple[Frame, bool]:
    """(frame, whether it is a result of ours)."""
    ours, on_the_map, like_qupath, farthest = False, False, False, 0.0
    try:
        for i, piece in enumerate(_pieces(path)):
            ours = ours or bool(_OURS.search(piece))
            if _CRS.search(piece):
                return "map", ours
            if _QUPATH.search(piece):
                return "pixels", ours
            like_qupath = like_qupath or bool(_LIKE_QUPATH.search(piece))
            on_the_map = on_the_map or bool(_OURS_ON_THE_MAP.search(piece))
            if i == 0:
                farthest = max((_farther(*match.groups()) for match in _POINT.finditer(piece)), default=0.0)
    except (OSError, EOFError, zlib.error):
        return "pixels" if path.suffix == ".gz" else "degrees", False
    if ours:
        return "map" if on_the_map else "pixels", True
    if like_qupath:
        return "pixels" if farthest > FARTHEST_DEGREE else "marked", False
    return "beyond degrees" if farthest > FARTHEST_DEGREE else "degrees", False


def read_json(path: Path, content: str = "annotations") -> Any:
    """The content of a JSON file, packed by gzip or not. content: what it should hold. Raises InputError."""
    try:
        with _opened(path) as file:
            raw = bytearray()  # in pieces: asked for all at once, a small file would take MAX_BYTES of memory too
            while len(raw) <= MAX_BYTES and (piece := file.read(_PIECE)):
                raw += piece
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{str(path)!r}: wanted a whole file, got {error}; copy it again") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{str(path)!r}: wanted {content} of at most {MAX_BYTES >> 20} MB; split the file")
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r}: wanted GeoJSON, it is no whole JSON ({error}); export it again") from error


def _pieces(path: Path) -> Iterator[bytes]:
    """The file in pieces, each with the end of the one before, so that no mark is cut."""
    end, seen = b"", 0
    with _opened(path) as file:
        while seen <= MAX_BYTES and (piece := file.read(_PIECE)):
            yield end + piece
            end, seen = piece[-_OVERLAP:], seen + len(piece)


def _opened(path: Path) -> BufferedIOBase:
    return gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb")


def _farther(x: bytes, y: bytes) -> float:
    try:
        return max(abs(float(x)), abs(float(y)))
    except ValueError:
        return 0.0
