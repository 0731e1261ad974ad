"""Annotations of Aperio ImageScope, as MoNuSeg's are: `Annotation` > `Regions` > `Region` > `Vertices` > `Vertex X Y`.

Coordinates are pixels of the finest level. An annotation is a layer; its Name, where it has one, is the label of its
regions. A region with NegativeROA="1" is cut out of the others of its layer, in whatever order they come; what lies in
it whole is an island in the hole, and stays.

The Type of a region says how it was drawn: 0 freehand, 1 rectangle, 2 ellipse, 3 arrow, 4 ruler; exports of other
tools write words (`Polygon`, `Rectangle`, or a `GeoShape` beside a Type that means nothing). An ellipse is kept as two
corners of its box, as in MITOS_WSI_CCMCT, or as four. A rectangle, or any four corners of one, that holds outlines is
the area that was annotated; another rectangle has no outline. Arrows, rulers and texts are none either.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from domains.errors import InputError
from domains.formats.areas import Drawing, Held, area_kind, contains, parted, tell_nested
from domains.formats.layout import Assumption, Fault
from domains.formats.polygons import FARTHEST_PX, Outline, Part, refuse_boxes, ring

MAX_BYTES = 2**29  # of an XML file
KINDS = {
    "1": "rectangle", "rectangle": "rectangle", "2": "ellipse", "ellipse": "ellipse", "3": "mark", "arrow": "mark",
    "4": "mark", "ruler": "mark", "line": "mark", "text": "mark", "pin": "mark", "points": "points",
}  # fmt: skip
MARKS = "arrows, rulers and texts of ImageScope are passed over: they outline nothing"
ELLIPSE_PX = 0.05  # how far a corner-to-corner line may lie within the ellipse


class Region(NamedTuple):
    """kind: as in `KINDS`, "outline" for all else."""

    kind: str
    vertices: list[tuple[str, str]]
    negative: bool


class Layer(NamedTuple):
    label: str | None
    regions: list[Region]


def read_aperio(path: Path, faults: list[Fault]) -> list[Outline]:
    """The entities of `aperio_drawing`."""
    return aperio_drawing(path, faults).entities


def aperio_drawing(path: Path, faults: list[Fault]) -> Drawing:
    """What a file draws; what cannot be drawn, and what was assumed, is appended to `faults`.

    Raises InputError: no such XML, entity declarations in it, nothing that can be drawn but points or boxes.
    """
    drawn: list[tuple[str, Outline]] = []
    failed: list[Fault] = []
    points = number = 0
    for label, regions in _layers(path):
        positive, holes = [], []
        for region in regions:
            number += 1
            if region.kind == "mark":
                faults += [] if Assumption(path, MARKS) in faults else [Assumption(path, MARKS)]
                continue
            try:
                border = _border(region)
            except ValueError as error:
                points += region.kind == "points" or len(region.vertices) < 3
                failed.append(Fault(path, f"region {number} {error}"))
                continue
            if region.negative:
                holes.append(border)
            else:
                positive.append((region.kind, border))
        drawn += [(kind, Outline((Part(border, _meeting(border, holes)),), label)) for kind, border in positive]
    faults += failed
    drawing = _sorted(path, drawn, faults)
    if points and not drawing.entities:
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {points} points or lines; points train a detector, "
            "this tool learns shapes: draw polygons"
        )
    return parted(path, drawing, failed)


def _sorted(path: Path, drawn: list[tuple[str, Outline]], faults: list[Fault]) -> Drawing:
    """Every region among the entities or the areas, or told. Raises InputError where all are boxes."""
    regions, ignored, candidates = [], [], []
    for kind, outline in drawn:
        called = area_kind(outline.label)
        if called is None:
            candidates.append((kind == "rectangle" and len(outline.parts[0].exterior) <= 5, outline))
        else:
            (regions if called == "region" else ignored).append(outline)
    refuse_boxes(path, [outline for _, outline in candidates])
    held = Held([outline for rectangle, outline in candidates if not rectangle and not outline.is_box])
    entities = []
    for rectangle, outline in candidates:
        if (rectangle or outline.is_box) and held.bounded_by(outline):
            regions.append(outline)
        elif rectangle:
            y0, x0, _, _ = outline.box
            faults.append(Fault(path, f"the region at x {x0}, y {y0} is a bounding box, wanted an outline"))
        else:
            entities.append(outline)
    tell_nested(path, entities, faults)
    return Drawing(entities, regions, ignored)


def _border(region: Region) -> np.ndarray:
    """(K, 2) the ring of a region. Raises ValueError saying what is wrong."""
    if region.kind == "points":
        raise ValueError(f"has {len(region.vertices)} points, wanted an outline")
    if region.kind not in ("ellipse", "rectangle") or len(region.vertices) > (2 if region.kind == "rectangle" else 4):
        return ring(region.vertices)
    corners = np.array(region.vertices, float).reshape(-1, 2)
    if not (np.abs(corners) <= FARTHEST_PX).all() or len(corners) < 2:
        return ring(region.vertices)
    low, high = corners.min(axis=0), corners.max(axis=0)
    if region.kind == "rectangle":
        return ring([low, (high[0], low[1]), high, (low[0], high[1])])
    return ring(ellipse(low, high).tolist())


def ellipse(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(K, 2) of x, y: the ellipse in the box from its least to its largest x and y."""
    radius = max(float((high - low).max()) / 2, 1.0)
    count = min(max(64, math.ceil(math.pi / math.acos(1 - ELLIPSE_PX / radius))), 2**12)
    turn = np.arange(count) * 2 * np.pi / count
    return (low + high) / 2 + (high - low) / 2 * np.column_stack([np.cos(turn), np.sin(turn)])


def _meeting(border: np.ndarray, holes: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The holes whose boxes meet that of the border; not those in which it lies whole, as an island lies in a hole."""
    low, high = border.min(axis=0), border.max(axis=0)
    near = [hole for hole in holes if (hole.min(axis=0) < high).all() and (low < hole.max(axis=0)).all()]
    return tuple(hole for hole in near if not contains(Outline((Part(hole),)), border).all())


def _layers(path: Path) -> Iterator[Layer]:
    """Every annotation with its regions, freed before the next."""
    if os.path.getsize(path) > MAX_BYTES:
        raise InputError(f"{str(path)!r}: wanted annotations of at most {MAX_BYTES >> 20} MB; split the file")
    with open(path, "rb") as file:
        if b"<!" in file.read(4096).replace(b"<!--", b""):
            raise InputError(f"{str(path)!r}: wanted plain XML, it declares a document type; save it without")
    layer, root = Layer(None, []), None
    try:
        for event, element in ElementTree.iterparse(path, events=("start", "end")):
            if root is None:
                root = element
                if root.tag != "Annotations":
                    raise InputError(
                        f"{str(path)!r}: wanted Aperio's XML, <Annotations> at its root, got <{root.tag:.40}>; "
                        "export the annotations from ImageScope or as GeoJSON from QuPath"
                    )
            if element.tag == "Coordinates":
                raise InputError(
                    f"{str(path)!r}: wanted Aperio's XML, <Regions> in its annotations, got ASAP's <Coordinates>; "
                    "export the annotations as GeoJSON from QuPath"
                )
            if event == "start" and element.tag == "Annotation":
                layer = Layer(element.get("Name") or None, [])
            elif event == "end" and element.tag == "Region":
                layer.regions.append(_region(element))
                element.clear()
            elif event == "end" and element.tag == "Annotation":
                yield layer
                layer = Layer(None, [])
        yield layer
    except ElementTree.ParseError as error:
        raise InputError(f"{str(path)!r}: wanted a whole XML file, got {error}; copy it again") from error


def _region(element: ElementTree.Element) -> Region:
    """Vertices are called `Vertex`, in older files `V`."""
    vertices = [
        (vertex.get("X", "nan"), vertex.get("Y", "nan")) for vertex in element.iter() if vertex.tag in ("Vertex", "V")
    ]
    drawn_as = (element.get("GeoShape") or element.get("Type") or "").strip().lower()
    return Region(KINDS.get(drawn_as, "outline"), vertices, (element.get("NegativeROA") or "").lower() in ("1", "true"))
