"""CVAT for images 1.1: polygons, masks and ellipses in one XML file, images anywhere below the folder.

https://docs.cvat.ai/docs/dataset_management/formats/xml_format. A mask is run lengths along the rows of its box,
beginning with what is not in it. Tags are passed over; a box, a line or points have no outline of an entity, and an
image with one is refused. A file that declares a document type is refused before anything in it is expanded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser, parse

import numpy as np

from domains.entities import EntityMap
from domains.errors import InputError
from domains.layouts.coco_regions import FlawedRegion, region
from domains.layouts.drawing import painted, same_size
from domains.layouts.finding import own_split, printable, walk
from domains.layouts.layout import Fault, Layout, Listing, Record
from domains.layouts.pictures import Pictures

MAX_BYTES = 2**30
CORNERS = 64  # of the polygon that stands for an ellipse


@dataclass(frozen=True)
class Shape:
    """What an <image> holds: tag of the element, its attributes, index into the vocabulary."""

    tag: str
    values: dict[str, str]
    label: int


@dataclass(frozen=True)
class Image:
    """size: (H, W) as declared, None where it is not."""

    file: Path
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]
    vocabulary: tuple[str, ...]


class Cvat(Layout):
    name = "cvat"
    entities = "one polygon, mask or ellipse, the smaller of two that overlap on top"
    expects = "an .xml in the form 'CVAT for images 1.1' with the image files anywhere below the folder"

    def matches(self, root: Path) -> bool:
        return bool(_exports(root))

    def listing(self, root: Path) -> Listing:
        pictures = Pictures(root)
        records: dict[Path, Record] = {}
        faults: list[Fault] = []
        for path in _exports(root):
            images = _load(path).findall("image")
            found = {shape.get("label", "") for image in images for shape in image if shape.tag != "tag"}
            vocabulary = tuple(sorted(found))
            for image in images:
                try:
                    file = pictures.find(image.get("name"), path)
                except (ValueError, OSError) as error:
                    faults.append(Fault(path, f"image {image.get('id')!r} {error}"))
                    continue
                name = printable(file.relative_to(root).with_suffix("").as_posix())
                shapes = tuple(
                    Shape(one.tag, dict(one.attrib), vocabulary.index(one.get("label", "")))
                    for one in image
                    if one.tag != "tag"
                )
                split = own_split(Path(image.get("subset") or "")) or own_split(Path(name).parent)
                truth = Image(path, _size(image), shapes, vocabulary)
                records.setdefault(file, Record(name, file, truth, name, split))
        return pictures.listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        truth: Image = record.truth
        if truth.size is not None:
            same_size(record.image, shape, truth.file, truth.size)
        regions, labels = [], []
        for number, one in enumerate(truth.shapes):
            what = f"shape {number} of {record.name!r}"
            if one.tag not in DRAW:
                raise InputError(
                    f"{str(truth.file)!r}: {what}: wanted a polygon, mask or ellipse, got a {one.tag!r:.40}, which has "
                    "no outline; draw it, or leave the image out of the task"
                )
            try:
                regions.append(DRAW[one.tag](one.values, shape))
                labels.append(one.label)
            except FlawedRegion as error:
                faults.append(Fault(truth.file, f"{what} {error}"))
        return [painted(regions, labels, truth.vocabulary, shape)]


def _polygon(values: dict[str, str], shape: tuple[int, int]) -> np.ndarray:
    points = [_numbers(point, ",", 2) for point in values.get("points", "").split(";") if point.strip()]
    return region([[at for point in points for at in point]], shape)


def _ellipse(values: dict[str, str], shape: tuple[int, int]) -> np.ndarray:
    x, y, wide, tall = (_numbers(values.get(name, ""), ",", 1)[0] for name in ("cx", "cy", "rx", "ry"))
    turn = math.radians(_numbers(values.get("rotation", "0"), ",", 1)[0])
    around = np.arange(CORNERS) * 2 * np.pi / CORNERS
    across, down = wide * np.cos(around), tall * np.sin(around)
    corners = np.stack(
        [x + across * np.cos(turn) - down * np.sin(turn), y + across * np.sin(turn) + down * np.cos(turn)]
    )
    return region([corners.T.ravel().tolist()], shape)


def _mask(values: dict[str, str], shape: tuple[int, int]) -> np.ndarray:
    left, top, width, height = (int(_numbers(values.get(side, ""), ",", 1)[0]) for side in SIDES)
    if min(left, top) < 0 or min(width, height) < 1 or left + width > shape[1] or top + height > shape[0]:
        raise FlawedRegion(f"has a mask of {width} x {height} at {left}, {top}, outside its {shape[1]} x {shape[0]}")
    runs = np.array(_numbers(values.get("rle", ""), ","))
    if (runs < 0).any() or runs.sum() != width * height or (runs != np.floor(runs)).any():
        raise FlawedRegion(f"has runs of {runs.sum():g} pixels for a box of {width * height}")
    inside = np.repeat(np.arange(len(runs)) % 2, runs.astype(np.int64))
    y, x = np.divmod(np.flatnonzero(inside), width)
    if not y.size:
        raise FlawedRegion("covers no pixel of its image")
    return (y + top) * shape[1] + x + left


SIDES = ("left", "top", "width", "height")
DRAW = {"polygon": _polygon, "ellipse": _ellipse, "mask": _mask}


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
        raise InputError(f"declares the document type {name!r:.40}")


def _load(path: Path) -> Element:
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{str(path)!r}: wanted an export of at most {MAX_BYTES >> 30} GiB; export it in parts")
    try:
        root = parse(path, XMLParser(target=_NoDocumentType())).getroot()
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}, which no export of CVAT does; export it again") from error
    except (ParseError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{str(path)!r}: is no whole XML: {error}; export it again") from error
    if root.find("track") is not None:
        raise InputError(f"{str(path)!r}: is 'CVAT for video', wanted 'CVAT for images 1.1'; export it as that")
    return root
