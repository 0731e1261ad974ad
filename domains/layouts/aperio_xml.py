"""Annotations of Aperio ImageScope, as MoNuSeg's are: `Annotation` > `Regions` > `Region` > `Vertices` > `Vertex X Y`.

A region with NegativeROA="1" is cut out of the others of its annotation. An annotation's Name, where it has one, is the
label of its regions. Coordinates are pixels of the finest level.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from domains.errors import InputError
from domains.layouts.layout import Fault
from domains.layouts.polygons import Outline, refuse_boxes, ring

MAX_BYTES = 2**29


def read_aperio(path: Path, faults: list[Fault]) -> list[Outline]:
    """Every region as an outline; one that cannot be drawn is appended to `faults`.

    Raises InputError: no such XML, entity declarations in it, points or boxes in place of outlines.
    """
    outlines, points = [], 0
    for number, (label, vertices, negative) in enumerate(_regions(path), 1):
        try:
            border = ring(vertices)
        except ValueError as error:
            points += len(vertices) < 3
            faults.append(Fault(path, f"region {number} {error}"))
            continue
        if negative:
            outlines = [_cut(one, Outline((border,))) for one in outlines]
        else:
            outlines.append(Outline((border,), label=label))
    if points and not outlines:
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {points} points or lines; points train a detector, "
            "this tool learns shapes: draw polygons"
        )
    refuse_boxes(path, outlines)
    return outlines


def _cut(one: Outline, hole: Outline) -> Outline:
    """`one` with the hole, where their boxes meet."""
    (y0, x0, y1, x1), (v0, u0, v1, u1) = one.box, hole.box
    meet = y0 < v1 and v0 < y1 and x0 < u1 and u0 < x1
    return Outline(one.exteriors, (*one.holes, *hole.exteriors), one.label) if meet else one


def _regions(path: Path) -> Iterator[tuple[str | None, list[tuple[str, str]], bool]]:
    """(label, vertices, negative) of every region, a parsed region freed before the next."""
    if os.path.getsize(path) > MAX_BYTES:
        raise InputError(f"{str(path)!r}: wanted annotations of at most {MAX_BYTES >> 20} MB; split the file")
    with open(path, "rb") as file:
        if b"<!" in file.read(4096).replace(b"<!--", b""):
            raise InputError(f"{str(path)!r}: wanted plain XML, it declares a document type; save it without")
    label, root = None, None
    try:
        for event, element in ElementTree.iterparse(path, events=("start", "end")):
            if root is None:
                root = element
                if root.tag != "Annotations":
                    raise InputError(
                        f"{str(path)!r}: wanted Aperio's XML, <Annotations> at its root, got <{root.tag:.40}>; "
                        "export the annotations from ImageScope or as GeoJSON from QuPath"
                    )
            if event == "start" and element.tag == "Annotation":
                label = element.get("Name") or None
            elif event == "end" and element.tag == "Region":
                vertices = [(vertex.get("X", "nan"), vertex.get("Y", "nan")) for vertex in element.iter("Vertex")]
                yield label, vertices, element.get("NegativeROA") == "1"
                element.clear()
    except ElementTree.ParseError as error:
        raise InputError(f"{str(path)!r}: wanted a whole XML file, got {error}; copy it again") from error
