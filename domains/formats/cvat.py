"""CVAT for images 1.1: polygons, masks and ellipses in one XML file, images anywhere below the folder.

https://docs.cvat.ai/docs/dataset_management/formats/xml_format. A mask is run lengths along the rows of its box,
beginning with what is not in it. Shapes of one label and one `group_id` (above 0) are one entity, as CVAT's own exports
of masks and of COCO have it; the shape of the highest `z_order` lies on top. Tags are passed over; a box, a line or
points have no outline of an entity, and an image with one is refused. A file that declares a document type is refused
before anything in it is expanded.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser, parse

import numpy as np

from domains.entities import EntityMap
from domains.errors import InputError
from domains.formats.coco_regions import FlawedRegion, ellipse, pixels_at, region
from domains.formats.export_files import check_size, read_all, record_of
from domains.formats.finding import own_split, walk
from domains.formats.layout import Fault, Layout, Listing, Record
from domains.formats.pictures import Pictures
from domains.formats.shapes import Drawing, Shape, draw_by_kind, gather, tell, told_boxes, told_joined

MAX_BYTES = 2**30  # of an XML file, which is parsed as a whole
MIXED = "has groups of shapes of several labels; the shapes of each label are taken for an entity"


class Cvat(Layout):
    name = "cvat"
    entities = (
        "one polygon, mask or ellipse, or a group of one label; of two that overlap the higher on top, then the smaller"
    )
    expects = "an .xml in the form 'CVAT for images 1.1' with the image files anywhere below the folder"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds CVAT's XML."""
        return bool(_exports(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its shapes, and what has no counterpart."""
        pictures = Pictures(root)
        records: dict[Path, Record] = {}
        faults: list[Fault] = []
        exports = read_all(root, "an export of CVAT", _exports(root), _images, faults)
        every = (shape for images in exports.values() for image in images for shape in image if shape.tag != "tag")
        vocabulary = tuple(sorted({shape.get("label", "") for shape in every}))
        joined = [
            gather(records, record)
            for path, images in exports.items()
            for record in _records(path, images, vocabulary, pictures, faults)
        ]
        told_joined(joined, faults)
        return pictures.listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The drawn shapes with their labels; see `Layout.truths`."""
        return [draw_by_kind(record, shape, DRAW, "leave the image out of the task", faults)]


def _records(
    path: Path, images: list[Element], vocabulary: tuple[str, ...], pictures: Pictures, faults: list[Fault]
) -> list[Record]:
    """The images of one export. Images of two tasks that have one name are left out, as no file says which is which."""
    names = {i: (image.get("name"), image.get("subset") or "") for i, image in enumerate(images)}
    paths, reasons = pictures.find_all(names, path, faults)
    tasks: dict[Path, set[str | None]] = defaultdict(set)
    for i, file in paths.items():
        tasks[file].add(images[i].get("task_id"))
    records, outlines = [], []
    for i, image in enumerate(images):
        source = f"image {image.get('id')!r}"
        if i in reasons:
            faults.append(Fault(path, f"{source} {reasons[i]}"))
            continue
        file = paths[i]
        if len(tasks[file]) > 1:
            faults.append(
                Fault(file, f"is an image of {len(tasks[file])} tasks of {path.name!r:.80}; export them apart")
            )
            continue
        elements = [element for element in image if element.tag != "tag"]
        shapes = [_shape(path, number, element) for number, element in enumerate(elements)]
        sizes = ((path, size),) if (size := _size(image)) else ()
        split = own_split(Path(image.get("subset") or ""))
        truth = Drawing.of((path,), shapes, vocabulary, sizes)
        records.append(record_of(pictures.root, file, truth, split))
        outlines += [_corners(figure.geometry) if figure.kind == "polygon" else None for figure in shapes]
    told_boxes(path, outlines, faults)
    if any(_mixed(record.truth.shapes) for record in records):
        tell(faults, path, MIXED)
    return records


def _mixed(shapes: Sequence[Shape]) -> bool:
    """Whether shapes of several labels have one group."""
    groups = {figure.entity for figure in shapes if figure.entity}
    return len(groups) > len({figure.geometry["group_id"] for figure in shapes if figure.entity})


def _shape(path: Path, number: int, element: Element) -> Shape:
    values, label = dict(element.attrib), element.get("label", "")
    group = values.get("group_id", "0")
    try:
        level = int(values.get("z_order", "0"))
    except ValueError:
        level = 0
    entity = None if group in ("", "0") else (label, group)
    return Shape(path, f"shape {number}", values, label, element.tag, level, entity)


def _corners(values: dict[str, str]) -> list[float] | None:
    """[x, y, x, y, ...] of a polygon; None where it has no numbers."""
    try:
        return [at for point in values.get("points", "").split(";") for at in _numbers(point, ",", 2)]
    except FlawedRegion:
        return None


def _polygon(values: dict[str, str], shape: tuple[int, int]) -> np.ndarray:
    points = [_numbers(point, ",", 2) for point in values.get("points", "").split(";") if point.strip()]
    return region([[at for point in points for at in point]], shape) if points else region([], shape)


def _ellipse(values: dict[str, str], shape: tuple[int, int]) -> np.ndarray:
    x, y, wide, tall = (_numbers(values.get(name, ""), ",", 1)[0] for name in ("cx", "cy", "rx", "ry"))
    turn = math.radians(_numbers(values.get("rotation", "0"), ",", 1)[0])
    return region([ellipse((x, y), (wide, tall), turn)], shape)


def _mask(values: dict[str, str], shape: tuple[int, int]) -> np.ndarray:
    left, top, width, height = (int(_numbers(values.get(side, ""), ",", 1)[0]) for side in SIDES)
    if min(left, top) < 0 or min(width, height) < 1 or left + width > shape[1] or top + height > shape[0]:
        raise FlawedRegion(f"has a mask of {width} x {height} at {left}, {top}, outside its {shape[1]} x {shape[0]}")
    runs = np.array(_numbers(values.get("rle", ""), ","))
    if (runs < 0).any() or runs.sum() != width * height or (runs != np.floor(runs)).any():
        raise FlawedRegion(f"has runs of {runs.sum():g} pixels for a box of {width * height}")
    inside = np.repeat(np.arange(len(runs)) % 2, runs.astype(np.int64))
    return pixels_at(inside.reshape(height, width), shape, (top, left))


SIDES = ("left", "top", "width", "height")
DRAW = {"polygon": _polygon, "mask": _mask, "ellipse": _ellipse}


def _numbers(text: str, sign: str, count: int | None = None) -> list[float]:
    """Finite numbers between signs. Raises FlawedRegion, also where they are not `count`."""
    try:
        numbers = [float(word) for word in text.split(sign)]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)) or count not in (None, len(numbers)):
        raise FlawedRegion(f"has {text[:40]!r} where numbers are wanted")
    return numbers


def _size(image: Element) -> tuple[int, int] | None:
    try:
        return int(image.get("height", "")), int(image.get("width", ""))
    except ValueError:
        return None


def _exports(root: Path) -> list[Path]:
    return [path for path in walk(root, {".xml"}, depth=2) if _looks_like_export(path)]


def _looks_like_export(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(2**16)
    return b"<annotations>" in head and (b"<image " in head or b"<track " in head or b"<meta>" in head)


class _NoDocumentType(TreeBuilder):
    """Entities can only be declared in a document type, and no export has one."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """A document type is refused before anything in it is expanded. Raises InputError."""
        raise InputError(f"declares the document type {name!r:.40}")


def _images(path: Path) -> list[Element]:
    """The images of an export. Raises InputError, the reason only."""
    check_size(path, MAX_BYTES)
    try:
        root = parse(path, XMLParser(target=_NoDocumentType())).getroot()
    except InputError as error:
        raise InputError(f"{error}, which no export of CVAT does; export it again") from error
    except (ParseError, UnicodeDecodeError, LookupError, ValueError) as error:  # LookupError: an unknown encoding
        raise InputError(f"is no whole XML: {error}; export it again") from error
    if root.find("track") is not None:
        raise InputError("is 'CVAT for video', wanted 'CVAT for images 1.1'; export it as that")
    return root.findall("image")
