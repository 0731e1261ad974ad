"""Annotations of QuPath: GeoJSON features with `objectType` and `classification`, coordinates in pixels.

Written by File > Export objects as GeoJSON, https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
A FeatureCollection, a list of features, one feature, a hierarchy or a bare geometry, gzipped or not. What an object is
says `objectType` (0.4 and later), `object_type` (0.3), or the `id` of its feature (0.2); children may lie in it
(`childObjects`). A cell counts by its nucleus where that was exported too (`nucleusGeometry`).

No entity is: what is classified as an area (`domains.formats.areas`); a TMA core or a tile; an annotation that holds
detections or cells, for it is where they were looked for; a rectangle around outlines; an annotation without a class
around outlines that have one; an object of another time, depth or channel (`plane`) than the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from domains.errors import InputError
from domains.formats.areas import Drawing, Held, area_kind, parted, tell_nested
from domains.formats.geojson_frame import read_json
from domains.formats.layout import Assumption, Fault
from domains.formats.polygons import Outline, outline_of, refuse_boxes

KINDS = {
    "annotation": "annotation", "detection": "detection", "cell": "detection", "tile": "frame", "tmaCore": "frame",
    "tma_core": "frame", "root": "root", "PathAnnotationObject": "annotation", "PathDetectionObject": "detection",
    "PathCellObject": "detection", "PathTileObject": "frame", "TMACoreObject": "frame", "PathRootObject": "root",
}  # fmt: skip
MUCH_LONGER = 10  # times the longest detection: an annotation of that size is no object beside detections
PARENTS = "annotations that hold detections are read as the areas in which these were looked for, not as entities"
HOLDERS = (
    "annotations without a class around outlines that have one are read as areas that were annotated, not as entities"
)
LARGE = "annotations without detections that are many times as large as any are read as areas of which nothing is known"
AGAIN = "annotations around a single detection of their size are read as entities beneath it: one object is drawn twice"
FRAMES = "TMA cores and tiles without an outline in them are read as areas of which nothing is known"
PLANES = "objects of other planes (z, t or c of `plane`) are left out: the first is what is read"
_LINES = ("Point", "MultiPoint", "LineString", "MultiLineString")


class Drawn(NamedTuple):
    """An object that has an outline. parent: whether detections are among its children, as the file nests them.
    exact: whether it is a result of ours, which follows pixel edges and so may be a rectangle.
    """

    kind: str
    outline: Outline
    parent: bool
    exact: bool


def read_qupath(path: Path, faults: list[Fault]) -> tuple[list[Outline], list[Outline]]:
    """(entities, annotated regions) of `qupath_drawing`."""
    return qupath_drawing(path, faults)[:2]


def qupath_drawing(path: Path, faults: list[Fault]) -> Drawing:
    """What a file draws; what cannot be drawn, and what was assumed, is appended to `faults`.

    Raises InputError: no GeoJSON, or nothing that can be drawn but points, boxes or areas.
    """
    objects = _on_the_first_plane(path, list(_objects(read_json(path))), faults)
    drawn, failed, points = [], [], 0
    for number, kind, feature, parent in objects:
        geometry = _geometry(feature)
        shape = geometry.get("type")
        label = _label(feature)
        if shape in _LINES:
            points += 1
            failed.append(Fault(path, f"feature {number} is a {shape}, wanted a Polygon"))
            continue
        if _properties(feature).get("isMissing") is True:
            continue
        try:
            drawn.append(Drawn(kind, _outline(geometry, shape, label), parent, "area_px" in _properties(feature)))
        except (ValueError, TypeError) as error:
            failed.append(Fault(path, f"feature {number} {error}"))
    faults += failed
    drawing = _sorted(path, drawn, faults)
    if points and not drawing.entities:
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {points} points or lines; points train a detector, "
            "this tool learns shapes: draw polygons"
        )
    return parted(path, drawing, failed)


def _sorted(path: Path, drawn: Sequence[Drawn], faults: list[Fault]) -> Drawing:
    """Every object among the entities or the areas, or told."""
    regions, ignored, candidates = [], [], []
    for item in drawn:
        called = area_kind(item.outline.label)
        if called is None:
            candidates.append(item)
        else:
            (regions if called == "region" else ignored).append(item.outline)
    detections = [item.outline for item in candidates if item.kind == "detection"]
    annotations = [item for item in candidates if item.kind == "annotation"]
    if detections:
        if not any(item.exact for item in candidates):
            refuse_boxes(path, detections)
        entities = [*detections, *_beside_detections(path, annotations, detections, regions, faults)]
    else:
        entities = _drawn_by_hand(path, [item.outline for item in annotations], regions, faults)
    frames, held = [item.outline for item in candidates if item.kind == "frame"], Held(entities)
    used = [frame for frame in frames if len(held.by(frame, limit=1, boxed=False))]
    if frames and not entities and not regions:
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {len(frames)} TMA cores or tiles, which are areas; "
            "export the detections too"
        )
    if len(used) < len(frames):
        faults.append(Assumption(path, FRAMES))
    return Drawing(entities, [*regions, *used], ignored)


def _beside_detections(
    path: Path, annotations: Sequence[Drawn], detections: Sequence[Outline], regions: list[Outline], faults: list[Fault]
) -> list[Outline]:
    """The annotations that are entities; those that hold detections go to `regions`."""
    held, entities = Held(detections), []
    longest = max(_length(outline) for outline in detections)
    for _, outline, parent, _ in annotations:
        if parent or held.bounded_by(outline):
            regions.append(outline)
            _tell(Assumption(path, PARENTS), faults)
        elif _length(outline) > MUCH_LONGER * longest:
            _tell(Assumption(path, LARGE), faults)
        elif outline.is_box:
            faults.append(_box_fault(path, outline))
        else:
            entities.append(outline)
            if len(held.by(outline, limit=1)):
                _tell(Assumption(path, AGAIN), faults)
    return entities


def _drawn_by_hand(
    path: Path, annotations: Sequence[Outline], regions: list[Outline], faults: list[Fault]
) -> list[Outline]:
    """The annotations that are entities; rectangles, and those without a class, around others go to `regions`.

    Raises InputError where all are boxes.
    """
    refuse_boxes(path, annotations)
    outlines = [outline for outline in annotations if not outline.is_box]
    held, entities = Held(outlines), []
    with_classes = any(outline.label is not None for outline in outlines)
    for outline in annotations:
        if outline.is_box:
            if held.bounded_by(outline):
                regions.append(outline)
            else:
                faults.append(_box_fault(path, outline))
        elif with_classes and outline.label is None and _all_have_classes(outlines, held.by(outline)):
            regions.append(outline)
            _tell(Assumption(path, HOLDERS), faults)
        else:
            entities.append(outline)
    tell_nested(path, entities, faults)
    return entities


def _all_have_classes(outlines: Sequence[Outline], inner: np.ndarray) -> bool:
    return len(inner) > 0 and all(outlines[int(i)].label is not None for i in inner)


def _box_fault(path: Path, outline: Outline) -> Fault:
    return Fault(path, f"the object at x {outline.box[1]}, y {outline.box[0]} is a bounding box, wanted an outline")


def _tell(assumption: Assumption, faults: list[Fault]) -> None:
    if assumption not in faults:
        faults.append(assumption)


def _length(outline: Outline) -> int:
    y0, x0, y1, x1 = outline.box
    return max(y1 - y0, x1 - x0)


# Features


Numbered = tuple[int, str, dict, bool]  # number in the file, kind, feature, whether it holds detections


def _objects(content: Any) -> Iterator[Numbered]:
    """Every object of a file with its children, in the order of the file; roots are only what holds the others."""
    if isinstance(content, dict) and isinstance(content.get("root"), dict):
        content = content["root"]
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    if isinstance(content, dict):
        content = [content if content.get("type") == "Feature" else {"geometry": content}]
    waiting, number = list(reversed(content)) if isinstance(content, list) else [], 0
    while waiting:
        feature = waiting.pop()
        feature = feature if isinstance(feature, dict) else {}
        children = _children(feature)
        waiting += reversed(children)
        kind, number = _kind(feature), number + 1
        if kind != "root":
            yield number, kind, feature, any(_kind(child) == "detection" for child in children)


def _children(feature: dict) -> list[dict]:
    properties = _properties(feature)
    children = properties.get("childObjects", properties.get("children"))
    return [child for child in children if isinstance(child, dict)] if isinstance(children, list) else []


def _kind(feature: dict) -> str:
    """As QuPath reads it: what is not said is an annotation. Our own results are detections."""
    properties = _properties(feature)
    for word in (
        properties.get("objectType"),
        properties.get("object_type"),
        properties.get("type"),
        feature.get("id"),
    ):
        if isinstance(word, str) and word in KINDS:
            return KINDS[word]
    return "detection" if "area_px" in properties else "annotation"


def _properties(feature: dict) -> dict:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _geometry(feature: dict) -> dict:
    geometry = feature.get("nucleusGeometry") or feature.get("geometry")
    return geometry if isinstance(geometry, dict) else {}


def _on_the_first_plane(path: Path, objects: list[Numbered], faults: list[Fault]) -> list[Numbered]:
    """The objects of the first time and depth, and of all channels or the first.

    Where a single channel has objects it is taken, for all channels are seen together. Raises InputError where all
    objects are of other planes.
    """
    planes = [_plane(_geometry(feature)) for _, _, feature, _ in objects]
    counts = Counter(planes)
    first_plane = {(0, 0, -1), (0, 0, 0)}
    if len(counts) == 1 and next(iter(counts))[:2] == (0, 0):
        first_plane |= {*counts}
    items = [item for item, plane in zip(objects, planes, strict=True) if plane in first_plane]
    if objects and not items:
        z, t, c = counts.most_common(1)[0][0]
        raise InputError(
            f"{str(path)!r}: wanted objects of the first plane (z 0, t 0), got {len(objects)} of others, most of "
            f"z {z}, t {t}, c {c}; save that plane as an image of its own, and its objects without `plane`"
        )
    if len(items) < len(objects):
        faults.append(Assumption(path, PLANES))
    return items


def _plane(geometry: dict) -> tuple[int, int, int]:
    """(z, t, c), c -1 for all channels."""
    stated = geometry.get("plane")
    plane: dict = stated if isinstance(stated, dict) else {}

    def index(axis: str, missing: int = 0) -> int:
        value = plane.get(axis, missing)
        return int(value) if isinstance(value, int | float) else 0

    return index("z"), index("t"), index("c", -1)


def _label(feature: dict) -> str | None:
    """QuPath's classification: {"name": ...}, {"names": [...]} or, of others, text; of our own results their label."""
    properties = _properties(feature)
    name_given = properties.get("classification")
    if name_given is None and "area_px" in properties:
        name_given = properties.get("label")
    if isinstance(name_given, dict):
        names = name_given.get("names")
        name_given = ": ".join(map(str, names)) if isinstance(names, list) else name_given.get("name")
    return str(name_given) if name_given else None


def _outline(geometry: dict, kind: object, label: str | None) -> Outline:
    coordinates = geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon") or not isinstance(coordinates, list) or not coordinates:
        raise ValueError(f"is a {kind!r:.30}, wanted a Polygon or MultiPolygon")
    return outline_of([coordinates] if kind == "Polygon" else coordinates, label)
