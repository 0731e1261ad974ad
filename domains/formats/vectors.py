"""Vector labels on a map: GeoJSON read here; GeoPackage, Shapefile and FlatGeobuf through pyogrio, an extra."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from domains.errors import InputError, suggest
from domains.formats.geojson_frame import FARTHEST_DEGREE, frame_of, is_geojson, read_json
from domains.formats.layout import Fault
from domains.formats.polygons import Outline, outline_of
from domains.scenes.georeference import Georeference
from domains.scenes.ground import is_geographic, moved, require, same_crs, transformer

SIGNATURES = {
    ".gpkg": b"SQLite format 3\0",
    ".shp": b"\0\0\x27\x0a",
    ".fgb": b"fgb\x03fgb",
}  # GDAL looks at the content, and some of its formats follow paths and addresses in it
SUFFIXES = frozenset({".geojson", *SIGNATURES})
LONLAT = "OGC:CRS84"
AROUND_WEB_MERCATOR = 2 * np.pi * 6378137.0  # metres around the equator of its sphere
UNKNOWN = "unknown"  # the class of a feature without one
NO_VALUES = frozenset({"", "nan", "NaN", "NaT", "<NA>", "null", "NULL"})  # as pandas and databases write them to text
Box = tuple[float, float, float, float]  # left, bottom, right, top
_URN = re.compile(
    r"(?:urn:(?:ogc|x-ogc):def:crs:|https?://www\.opengis\.net/def/crs/)?(?P<authority>EPSG|ESRI|IAU|IGNF)"
    r"[:/](?:[\w.]*[:/])?(?P<code>\w+)",
    re.IGNORECASE,
)
_POINTS = ("Point", "MultiPoint", "LineString", "MultiLineString")


class Shape(NamedTuple):
    """One or more polygons of one feature, each an exterior and its holes, rings (K, 2) in the CRS of its file."""

    polygons: list[list[np.ndarray]]
    label: str | None


def outlines_on(
    path: Path,
    georeference: Georeference,
    shape: tuple[int, int],
    attribute: str | None,
    faults: list[Fault],
    exclusive: bool = True,
) -> list[Outline]:
    """The polygons of a file in pixels of a raster of `shape`, those that touch it.

    attribute: the column of their classes. exclusive: the file is for this raster alone, so one that has features must
    have some on it. What cannot be drawn is appended to `faults`. Raises InputError: no such file or column, points or
    lines alone, nothing that can be drawn, a CRS that is not known, all polygons elsewhere.
    """
    failed: list[Fault] = []
    if is_geojson(path):
        crs, shapes, features = _of_geojson(path, attribute, failed)
    else:
        crs, shapes, features = _through_pyogrio(path, georeference, shape, attribute, failed)
    change = None if _same(crs, georeference.crs) else transformer(crs, georeference.crs)
    globe = globe_of(georeference, shape)
    outlines, drawn = [], 0
    for number, polygon in enumerate(shapes, 1):
        try:
            outline = outline_of(
                [_pixels(rings, change, georeference, globe) for rings in polygon.polygons], polygon.label
            )
        except (ValueError, InputError) as error:
            failed.append(Fault(path, f"polygon {number} {error}"))
            continue
        drawn += 1
        y0, x0, y1, x1 = outline.box
        if y1 > 0 and x1 > 0 and y0 < shape[0] and x0 < shape[1]:
            outlines.append(outline)
    if failed and not drawn:
        raise InputError(
            f"{str(path)!r}: wanted polygons, none of {len(failed)} features can be drawn (the first "
            f"{failed[0].reason}); export them as polygons"
        )
    if exclusive and features and not outlines:
        raise InputError(
            f"{str(path)!r}: wanted polygons on its raster, none of {features} lies there; is {crs[:40]!r} their CRS?"
        )
    faults += failed
    return outlines


class Globe:
    """Eastings as a raster has them that goes around the world: it may lie across 180 degrees, or beyond.

    turn: once around, in units of its CRS.
    """

    def __init__(self, georeference: Georeference, shape: tuple[int, int], turn: float):
        eastings = georeference.to_map(np.array([[0, 0], [shape[1], 0], [0, shape[0]], shape[::-1]]))[:, 0]
        self.west, self.east, self.turn = float(eastings.min()), float(eastings.max()), turn

    def unrolled(self, rings: Sequence[np.ndarray]) -> list[np.ndarray]:
        """A part whose edges go the short way across 180 degrees, moved by a whole turn where that is on the raster."""
        rings = [self._short_way(ring) for ring in rings]
        west, east = float(rings[0][:, 0].min()), float(rings[0][:, 0].max())
        moves = [by for by in (0, self.turn, -self.turn) if west + by < self.east and east + by > self.west]
        return [ring + (moves[0], 0) for ring in rings] if moves and moves[0] else rings

    def _short_way(self, ring: np.ndarray) -> np.ndarray:
        """A ring, unrolled where an edge of more than half a turn shows that it crosses 180 degrees. An edge of a whole
        turn, and any on a raster of half the world, is that of a map of the world.
        """
        if self.east - self.west > self.turn / 2:
            return ring
        steps = np.diff(ring[:, 0]) / self.turn
        if not ((np.abs(steps) > 0.5) & (np.abs(steps) < 1 - 1e-9)).any():
            return ring
        turns = np.concatenate([[0], np.cumsum(-self.turn * np.round(steps))])
        return np.column_stack([ring[:, 0] + turns, ring[:, 1]])


def globe_of(georeference: Georeference, shape: tuple[int, int]) -> Globe | None:
    """None for a CRS in which eastings do not go on beyond 180 degrees."""
    if is_geographic(georeference.crs):
        return Globe(georeference, shape, 360)
    return Globe(georeference, shape, AROUND_WEB_MERCATOR) if georeference.crs == "EPSG:3857" else None


def _pixels(
    rings: Sequence[np.ndarray], change: Any, georeference: Georeference, globe: Globe | None
) -> list[list[tuple[float, float]]]:
    moved_rings = [np.asarray(ring) if change is None else moved(change, ring) for ring in rings]
    if globe is not None and len(moved_rings[0]):
        moved_rings = globe.unrolled(moved_rings)
    return [georeference.to_pixels(ring).tolist() for ring in moved_rings]


def _same(crs: str, reference: str) -> bool:
    return {crs, reference} <= {LONLAT, "EPSG:4326"} or same_crs(crs, reference)


# GeoJSON


def _of_geojson(path: Path, attribute: str | None, faults: list[Fault]) -> tuple[str, list[Shape], int]:
    """(CRS, polygons, features in all). The CRS is that of the member `crs` (GeoJSON of 2008, which GDAL still writes),
    else WGS 84.
    """
    content = read_json(path, "vectors")
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        raise InputError(f"{str(path)!r}: wanted a GeoJSON FeatureCollection, it has no list `features`")
    features = [mapping(feature) for feature in features]
    columns = {key for feature in features for key in mapping(feature.get("properties"))}
    if attribute is not None and features and attribute not in columns:
        raise InputError(f"domain.attribute is {attribute!r}, which {str(path)!r} lacks; {suggest(attribute, columns)}")
    shapes, kinds = [], []
    for number, feature in enumerate(features, 1):
        geometry = feature.get("geometry")
        kinds.append(geometry.get("type") if isinstance(geometry, dict) else None)
        label = None if attribute is None else class_of(mapping(feature.get("properties")).get(attribute))
        try:
            shape = _shape(geometry, label)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            faults.append(Fault(path, f"feature {number} has no outline that can be read ({error})"))
            continue
        shapes += [shape] if shape is not None else []
    _refuse_points(path, kinds, bool(shapes))
    if features and all(feature.get("geometry") is None for feature in features):
        raise InputError(
            f"{str(path)!r}: wanted polygons, got {len(features)} features without geometry; export them with it, or "
            "an empty list where nothing is"
        )
    return _declared_crs(path, content, shapes), shapes, len(shapes)


def mapping(value: Any) -> dict[str, Any]:
    """What JSON should hold an object for; nothing where it holds something else."""
    return value if isinstance(value, dict) else {}


def _shape(geometry: Any, label: str | None) -> Shape | None:
    """None where a feature has no geometry. Raises ValueError, TypeError."""
    if geometry is None or (isinstance(geometry, dict) and geometry.get("coordinates") in ([], [[]])):
        return None
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind == "GeometryCollection" and isinstance(geometry.get("geometries"), list):
        inner = [_shape(member, label) for member in geometry["geometries"] if _is_polygon(member)]
        members = [rings for shape in inner if shape is not None for rings in shape.polygons]
        if members:
            return Shape(members, label)
    if not _is_polygon(geometry):
        raise ValueError(f"is a {kind!r:.30}, wanted a Polygon or MultiPolygon")
    polygons = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
    arrays = [[np.array([point[:2] for point in ring], float).reshape(-1, 2) for ring in rings] for rings in polygons]
    return Shape([rings for rings in arrays if rings], label)


def _is_polygon(geometry: Any) -> bool:
    return isinstance(geometry, dict) and geometry.get("type") in ("Polygon", "MultiPolygon")


def _declared_crs(path: Path, content: dict, shapes: Sequence[Shape]) -> str:
    declared = mapping(mapping(content.get("crs")).get("properties"))
    name, code = declared.get("name"), declared.get("code")
    if isinstance(name, str) and name.strip():
        return crs_named(name)
    if isinstance(code, int):
        return f"EPSG:{code}"
    farthest = max(
        (float(np.abs(rings[0]).max()) for shape in shapes for rings in shape.polygons if len(rings[0])), default=0.0
    )
    if farthest > FARTHEST_DEGREE:
        raise InputError(
            f"{str(path)!r}: wanted longitude and latitude (RFC 7946) or a member `crs`, got coordinates up to "
            f"{farthest:.0f}; export it with its CRS, for instance as GeoPackage"
        )
    return LONLAT


def crs_named(name: str) -> str:
    """`EPSG:32633` of `urn:ogc:def:crs:EPSG::32633` and of its address; WKT, PROJ strings and others as they are."""
    name = name.strip()
    match = _URN.fullmatch(name)
    if match:
        return f"{match['authority'].upper()}:{match['code']}"
    return LONLAT if name.upper().endswith("CRS84") else name


# All else


def _through_pyogrio(
    path: Path, georeference: Georeference, shape: tuple[int, int], attribute: str | None, faults: list[Fault]
) -> tuple[str, list[Shape], int]:
    """As `_through_gdal`, without the warnings of GDAL, which say of a broken ring that it was closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return _through_gdal(path, georeference, shape, attribute, faults)


def _through_gdal(
    path: Path, georeference: Georeference, shape: tuple[int, int], attribute: str | None, faults: list[Fault]
) -> tuple[str, list[Shape], int]:
    """(CRS, polygons near the raster, features in all)."""
    require("pyogrio", "shapely", "pyproj", subject=f"{str(path)!r}")
    import shapely
    from pyogrio import list_layers, read_info
    from pyogrio.errors import DataLayerError, DataSourceError
    from shapely.errors import ShapelyError

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
        rows = _near(path, layers[0], attribute, _bounds(georeference, shape, crs, info.get("total_bounds")))
    except InputError:
        raise
    except (DataSourceError, DataLayerError, ShapelyError, ValueError) as error:  # a name may be no UTF-8
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{str(path)!r}: wanted vectors, GDAL says: {reason}; export it again") from error
    shapes, kinds = [], []
    for number, (geometry, label) in enumerate(rows, 1):
        kinds.append(None if geometry is None else geometry.geom_type)
        if geometry is None or geometry.is_empty:
            continue
        polygons = [member for member in _flat(geometry) if member.geom_type == "Polygon" and not member.is_empty]
        if not polygons:
            faults.append(Fault(path, f"feature {number} is a {geometry.geom_type}, wanted a Polygon or MultiPolygon"))
            continue
        arrays = [
            [shapely.get_coordinates(ring) for ring in (polygon.exterior, *polygon.interiors)] for polygon in polygons
        ]
        shapes.append(Shape(arrays, label))
    _refuse_points(path, kinds, bool(shapes))
    return crs, shapes, int(info["features"])


def _flat(geometry: Any) -> Iterator[Any]:
    """The parts of a geometry, those of collections in it too."""
    for member in getattr(geometry, "geoms", [geometry]):
        if hasattr(member, "geoms"):
            yield from _flat(member)
        else:
            yield member


def _near(path: Path, layer: str, attribute: str | None, boxes: list[Box]) -> list[tuple[Any, str | None]]:
    """(geometry, class) of the features in any of the boxes, in the order of the file.

    Cells without a value are read apart from those with one: together they would turn whole numbers and flags to
    float64, where 1 becomes 1.0 and numbers above 2**53 melt.
    """
    import shapely
    from pyogrio import raw

    chosen = [] if attribute is None else [attribute]
    # the quote in a name is doubled in the SQL of a GeoPackage, and follows a backslash in GDAL's own
    column = str(attribute).replace('"', '""' if path.suffix.lower() == ".gpkg" else '\\"')
    filters = [None] if attribute is None else [f'"{column}" IS NOT NULL', f'"{column}" IS NULL']
    rows: dict[int, tuple[Any, str | None]] = {}
    for box in boxes:
        for where in filters:
            _, fids, blobs, values = raw.read(
                path, layer=layer, columns=chosen, bbox=box, where=where, return_fids=True, force_2d=True
            )
            labels = [None] * len(blobs) if attribute is None else [class_of(value) for value in values[0]]
            rows |= zip(fids.tolist(), zip(shapely.from_wkb(blobs, on_invalid="fix"), labels, strict=True), strict=True)
    return [rows[fid] for fid in sorted(rows)]


def _bounds(georeference: Georeference, shape: tuple[int, int], crs: str, extent: Box | None) -> list[Box]:
    """The raster's bounding box in another CRS; in degrees also a turn to the west and to the east, as files may count
    beyond 180 or stop there. extent: of the file, where it says so.
    """
    corners = georeference.to_map(np.array([[0, 0], [shape[1], 0], [0, shape[0]], shape[::-1]]))
    (left, bottom), (right, top) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if not _same(georeference.crs, crs):
        left, bottom, right, top = transformer(georeference.crs, crs).transform_bounds(left, bottom, right, top)
    if not is_geographic(crs):
        return [(left, bottom, right, top)]
    right += 360 if right < left else 0  # the box lies across 180 degrees
    west, _, east, _ = extent or (-np.inf, 0, np.inf, 0)
    turns = [turn for turn in (-360, 0, 360) if turn == 0 or (left + turn <= east and right + turn >= west)]
    return [(left + turn, bottom, right + turn, top) for turn in turns]


def class_of(value: Any) -> str:
    """A cell as the name of a class; `unknown` for one without a value."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if value is None or (not isinstance(value, str | list) and value != value):  # NaN and NaT differ from themselves
        return UNKNOWN
    return UNKNOWN if str(value).strip() in NO_VALUES else str(value)


def _refuse_points(path: Path, kinds: Sequence[object], any_polygon: bool) -> None:
    points = sum(kind in _POINTS for kind in kinds)
    if points and not any_polygon:
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {points} points or lines; points train a detector, "
            "this tool learns shapes: draw polygons"
        )


def holds_map_coordinates(path: Path) -> bool:
    """Whether a vector file is a map's; GeoJSON may be QuPath's, or our own result for a picture."""
    return not is_geojson(path) or frame_of(path) != "pixels"
