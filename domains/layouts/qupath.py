"""Annotations of QuPath: GeoJSON features with `objectType` and `classification`, coordinates in pixels.

Written by File > Export objects as GeoJSON, https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
A FeatureCollection, a list of features, one feature or a bare geometry, gzipped or not. A cell counts by its nucleus
where that was exported too (`nucleusGeometry`). What is classified as one of `REGIONS` says which area was annotated.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from domains.errors import InputError
from domains.layouts.layout import Fault
from domains.layouts.polygons import Outline, ring

REGIONS = ("region", "roi", "annotated", "annotated area", "annotation area")  # QuPath's own class is `Region*`
MAX_BYTES = 2**29
_PIECE = 2**20
_LINES = ("Point", "MultiPoint", "LineString", "MultiLineString")


def read_qupath(path: Path, faults: list[Fault]) -> tuple[list[Outline], list[Outline]]:
    """(entities, annotated regions); what cannot be drawn is appended to `faults`.

    An unclassified box that holds outlines is such a region. Other boxes among outlines are faults. Raises InputError:
    no GeoJSON, or nothing but points or boxes.
    """
    entities, regions, points = [], [], 0
    for number, feature in enumerate(_features(_load(path)), 1):
        geometry = feature.get("nucleusGeometry") or feature.get("geometry") or {}
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if kind in _LINES:
            points += 1
            faults.append(Fault(path, f"feature {number} is a {kind}, wanted a Polygon"))
            continue
        label = _label(feature)
        try:
            outline = _outline(geometry, kind, label)
        except (ValueError, TypeError) as error:
            faults.append(Fault(path, f"feature {number} {error}"))
            continue
        (regions if (label or "").lower().strip("* ") in REGIONS else entities).append(outline)
    if points and not entities:
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {points} points or lines; points train a detector, "
            "this tool learns shapes: draw polygons"
        )
    return _without_boxes(path, entities, regions, faults), regions


def _without_boxes(path: Path, entities: list[Outline], regions: list[Outline], faults: list[Fault]) -> list[Outline]:
    """The outlines; their boxes go to `regions` where they hold some, else they are faults."""
    boxes = [one for one in entities if one.is_box]
    outlines = [one for one in entities if not one.is_box]
    if boxes and not outlines:
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {len(boxes)} bounding boxes; draw polygons, or let a "
            "model turn the boxes into outlines and correct those"
        )
    for box in boxes:
        (y0, x0, y1, x1) = box.box
        inside = any(y0 <= v0 and x0 <= u0 and v1 <= y1 and u1 <= x1 for v0, u0, v1, u1 in (o.box for o in outlines))
        if box.label is None and inside:
            regions.append(box)
        else:
            faults.append(Fault(path, f"the object at x {x0}, y {y0} is a bounding box, wanted an outline"))
    return outlines


def _load(path: Path) -> Any:
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            raw = bytearray()  # in pieces: asked for all at once, a small file would take MAX_BYTES of memory too
            while len(raw) <= MAX_BYTES and (piece := file.read(_PIECE)):
                raw += piece
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{str(path)!r}: wanted a whole file, got {error}; copy it again") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{str(path)!r}: wanted annotations of at most {MAX_BYTES >> 20} MB; split the file")
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r}: wanted GeoJSON, it is no whole JSON ({error}); export it again") from error


def _features(content: Any) -> Iterator[dict]:
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    if isinstance(content, dict):
        content = [content if content.get("type") == "Feature" else {"geometry": content}]
    for feature in content if isinstance(content, list) else ():
        yield feature if isinstance(feature, dict) else {}


def _label(feature: dict) -> str | None:
    """QuPath's classification: {"name": ...}, {"names": [...]} or, of others, text."""
    properties = feature.get("properties")
    said = properties.get("classification") if isinstance(properties, dict) else None
    if isinstance(said, dict):
        names = said.get("names")
        said = ": ".join(map(str, names)) if isinstance(names, list) else said.get("name")
    return str(said) if said else None


def _outline(geometry: dict, kind: object, label: str | None) -> Outline:
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon") or not isinstance(coordinates, list) or not coordinates:
        raise ValueError(f"is a {kind!r:.30}, wanted a Polygon or MultiPolygon")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    exteriors = tuple(ring(polygon[0]) for polygon in polygons if polygon)
    if not exteriors:
        raise ValueError("has no ring")
    holes = tuple(ring(hole) for polygon in polygons for hole in polygon[1:])
    return Outline(exteriors, holes, label)
