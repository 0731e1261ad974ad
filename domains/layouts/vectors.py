"""Vector labels on a map: GeoJSON read here; GeoPackage, Shapefile and FlatGeobuf through pyogrio, an extra."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from domains.errors import InputError, suggest
from domains.georeference import Georeference
from domains.ground import moved, require, same_crs, transformer
from domains.layouts.layout import Fault
from domains.layouts.polygons import Outline, ring

MAX_BYTES = 2**29
SIGNATURES = {
    ".gpkg": b"SQLite format 3\0",
    ".shp": b"\0\0\x27\x0a",
    ".fgb": b"fgb\x03fgb",
}  # GDAL looks at the content, and some of its formats follow paths and addresses in it
SUFFIXES = frozenset({".geojson", *SIGNATURES})
LONLAT = "OGC:CRS84"
UNKNOWN = "unknown"  # the class of a feature without one
_POINTS = ("Point", "MultiPoint", "LineString", "MultiLineString")


class Shape(NamedTuple):
    """A polygon of one or more parts; rings (K, 2) in the CRS of its file."""

    exteriors: list[np.ndarray]
    holes: list[np.ndarray]
    label: str | None


def outlines_on(
    path: Path, here: Georeference, shape: tuple[int, int], attribute: str | None, faults: list[Fault], own: bool = True
) -> list[Outline]:
    """The polygons of a file in pixels of a raster of `shape`, those that touch it.

    attribute: the column of their classes. own: the file is for this raster alone, so one that has features must have
    some on it. What cannot be drawn is appended to `faults`. Raises InputError: no such file or column, points or lines
    alone, a CRS that is not known, all polygons elsewhere.
    """
    if path.suffix.lower() == ".geojson":
        crs, shapes = _of_geojson(path, attribute, faults)
        features = len(shapes)
    else:
        crs, shapes, features = _through_pyogrio(path, here, shape, attribute, faults)
    change = None if _same(crs, here.crs) else transformer(crs, here.crs)
    found = []
    for number, one in enumerate(shapes, 1):
        try:
            outline = Outline(
                tuple(ring(_pixels(part, change, here).tolist()) for part in one.exteriors),
                tuple(ring(_pixels(part, change, here).tolist()) for part in one.holes),
                one.label,
            )
        except (ValueError, InputError) as error:
            faults.append(Fault(path, f"polygon {number} {error}"))
            continue
        y0, x0, y1, x1 = outline.box
        if y1 > 0 and x1 > 0 and y0 < shape[0] and x0 < shape[1]:
            found.append(outline)
    if own and features and not found:
        raise InputError(
            f"{str(path)!r}: wanted polygons on its raster, none of {features} lies there; is {crs[:40]!r} their CRS?"
        )
    return found


def _pixels(points: np.ndarray, change: Any, here: Georeference) -> np.ndarray:
    return here.to_pixels(points if change is None else moved(change, points))


def _same(one: str, other: str) -> bool:
    return {one, other} <= {LONLAT, "EPSG:4326"} or same_crs(one, other)


# GeoJSON


def _of_geojson(path: Path, attribute: str | None, faults: list[Fault]) -> tuple[str, list[Shape]]:
    """(CRS, polygons). The CRS is that of the member `crs` (GeoJSON of 2008, which GDAL still writes), else WGS 84."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{str(path)!r}: wanted vectors of at most {MAX_BYTES >> 20} MB; save them as .gpkg")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{str(path)!r}: wanted a file to read, got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r}: wanted GeoJSON, it is no whole JSON ({error}); export it again") from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        raise InputError(f"{str(path)!r}: wanted a GeoJSON FeatureCollection, it has no list `features`")
    features = [mapping(one) for one in features]
    columns = {key for one in features for key in mapping(one.get("properties"))}
    if attribute is not None and features and attribute not in columns:
        raise InputError(f"domain.attribute is {attribute!r}, which {str(path)!r} lacks; {suggest(attribute, columns)}")
    shapes, kinds = [], []
    for number, feature in enumerate(features, 1):
        geometry = feature.get("geometry")
        kinds.append(geometry.get("type") if isinstance(geometry, dict) else None)
        label = None if attribute is None else _label(mapping(feature.get("properties")).get(attribute))
        try:
            shape = _shape(geometry, label)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            faults.append(Fault(path, f"feature {number} has no outline that can be read ({error})"))
            continue
        shapes += [shape] if shape is not None else []
    _refuse_points(path, kinds, bool(shapes))
    return _declared_crs(path, content, shapes), shapes


def mapping(value: Any) -> dict[str, Any]:
    """What JSON should hold an object for; nothing where it holds something else."""
    return value if isinstance(value, dict) else {}


def _shape(geometry: Any, label: str | None) -> Shape | None:
    """None where a feature has no geometry. Raises ValueError, TypeError."""
    if geometry is None or (isinstance(geometry, dict) and geometry.get("coordinates") in ([], [[]])):
        return None
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"is a {kind!r:.30}, wanted a Polygon or MultiPolygon")
    polygons = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
    rings = [[np.array([point[:2] for point in part], float).reshape(-1, 2) for part in one] for one in polygons if one]
    return Shape([one[0] for one in rings], [hole for one in rings for hole in one[1:]], label)


def _declared_crs(path: Path, content: dict, shapes: Sequence[Shape]) -> str:
    name = mapping(mapping(content.get("crs")).get("properties")).get("name")
    if isinstance(name, str):
        if "CRS84" in name:
            return LONLAT
        authority, _, code = name.removeprefix("urn:ogc:def:crs:").partition(":")
        return f"{authority}:{code.rpartition(':')[2]}"
    farthest = max((float(np.abs(part).max()) for one in shapes for part in one.exteriors if len(part)), default=0.0)
    if farthest > 360:
        raise InputError(
            f"{str(path)!r}: wanted longitude and latitude (RFC 7946) or a member `crs`, got coordinates up to "
            f"{farthest:.0f}; export it with its CRS, for instance as GeoPackage"
        )
    return LONLAT


# All else


def _through_pyogrio(
    path: Path, here: Georeference, shape: tuple[int, int], attribute: str | None, faults: list[Fault]
) -> tuple[str, list[Shape], int]:
    """(CRS, polygons near the raster, features in all)."""
    require("pyogrio", "shapely", "pyproj", what=f"{str(path)!r}")
    import shapely  # type: ignore[import-not-found]
    from pyogrio import list_layers, raw, read_info  # type: ignore[import-not-found]
    from pyogrio.errors import DataSourceError  # type: ignore[import-not-found]

    with open(path, "rb") as file:
        if not file.read(16).startswith(SIGNATURES[path.suffix.lower()]):
            raise InputError(f"{str(path)!r}: wanted what its name says, got other content; export it again")
    try:
        layers = [str(name) for name, kind in list_layers(path) if kind is not None]
        if len(layers) != 1:
            raise InputError(f"{str(path)!r}: wanted one layer of polygons, got {layers}; save the one by itself")
        info = read_info(path, layer=layers[0])
        columns = list(info["fields"])
        if attribute is not None and attribute not in columns:
            raise InputError(
                f"domain.attribute is {attribute!r}, which {str(path)!r} lacks; {suggest(attribute, columns)}"
            )
        crs = info["crs"]
        if crs is None:
            raise InputError(f"{str(path)!r}: wanted vectors with a CRS, got none; assign it in QGIS and save again")
        chosen = [] if attribute is None else [attribute]
        _, _, blobs, values = raw.read(path, layer=layers[0], columns=chosen, bbox=_bounds(here, shape, crs))
    except DataSourceError as error:
        raise InputError(f"{str(path)!r}: wanted vectors, GDAL says: {error}; export it again") from error
    labels = [None] * len(blobs) if attribute is None else [_label(value) for value in values[0]]
    shapes, kinds = [], []
    for number, (one, label) in enumerate(zip(shapely.from_wkb(blobs), labels, strict=True), 1):
        kinds.append(None if one is None else one.geom_type)
        if one is None or one.is_empty:
            continue
        if one.geom_type not in ("Polygon", "MultiPolygon"):
            faults.append(Fault(path, f"feature {number} is a {one.geom_type}, wanted a Polygon or MultiPolygon"))
            continue
        parts = shapely.get_parts(one)
        holes = [shapely.get_coordinates(hole) for part in parts for hole in part.interiors]
        shapes.append(Shape([shapely.get_coordinates(part.exterior) for part in parts], holes, label))
    _refuse_points(path, kinds, bool(shapes))
    return crs, shapes, int(info["features"])


def _bounds(here: Georeference, shape: tuple[int, int], crs: str) -> tuple[float, float, float, float]:
    """The raster's bounding box in another CRS."""
    corners = here.to_map(np.array([[0, 0], [shape[1], 0], [0, shape[0]], shape[::-1]]))
    (left, bottom), (right, top) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if _same(here.crs, crs):
        return left, bottom, right, top
    return transformer(here.crs, crs).transform_bounds(left, bottom, right, top)


def _label(value: Any) -> str:
    missing = value is None or value == "" or (isinstance(value, float) and np.isnan(value))
    return UNKNOWN if missing else str(value)


def _refuse_points(path: Path, kinds: Sequence[object], any_polygon: bool) -> None:
    points = sum(kind in _POINTS for kind in kinds)
    if points and not any_polygon:
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {points} points or lines; points train a detector, "
            "this tool learns shapes: draw polygons"
        )


def holds_map_coordinates(path: Path) -> bool:
    """Whether a GeoJSON is a map's and not QuPath's, whose objects say so; other vector files always are."""
    if path.suffix.lower() != ".geojson":
        return True
    try:
        with open(path, "rb") as file:
            return b'"objectType"' not in file.read(2**20)
    except OSError:
        return True  # reading it will say so


def rings(outline: Outline) -> Iterator[np.ndarray]:
    yield from outline.exteriors
    yield from outline.holes
