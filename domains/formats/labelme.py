"""labelme: a JSON beside each photograph, with polygons, circles and masks.

https://github.com/wkentaro/labelme, format of its versions 4 to 6 (`labelme/_label_file.py`, and for what shapes mean
`labelme/utils/shape.py` and `examples/instance_segmentation/labelme2coco.py`, which this reader follows to the pixel).
Shapes of one label and one `group_id` are one entity; of two shapes that overlap the later lies on top. What is called
`__ignore__` is unlabelled, `_background_` is background. The image is what `imagePath` names from beside the JSON; a
copy in `imageData` is never decoded. A rectangle, a line or a point has no outline of an entity: an image with one is
refused.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from domains.entities import EntityMap
from domains.errors import InputError
from domains.formats.coco_regions import FlawedRegion, pixels_at, polygons, region
from domains.formats.export_files import both_ends, read_all, read_json, record_of
from domains.formats.finding import walk
from domains.formats.ids import number
from domains.formats.inline_png import png_mask
from domains.formats.layout import Fault, Layout, Listing, Record
from domains.formats.pictures import Pictures
from domains.formats.shapes import Drawing, Shape, draw_by_kind, gather, told_boxes, told_joined

MAX_BYTES = 512 * 2**20  # of a JSON, whose imageData may be a large photograph
IGNORED, BACKGROUND = "__ignore__", "_background_"
LEAST_CORNERS = 12  # of the polygon that stands for a circle, as in labelme2coco


class Labelme(Layout):
    name = "labelme"
    entities = "one polygon, circle or mask, or a group of one label; the later of two that overlap on top"
    expects = "labelme's .json (shapes, imagePath) beside each image"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds a JSON of labelme's for each image."""
        return any(_looks_like_labelme(path) for path in walk(root, {".json"}))

    def listing(self, root: Path) -> Listing:
        """Each image with its JSON, and what has no counterpart."""
        pictures = Pictures(root)
        faults: list[Fault] = []
        paths = filter(_looks_like_labelme, walk(root, {".json"}))
        contents = read_all(root, "labelme's files", paths, _load, faults)
        every = {_label(shape) for content in contents.values() for shape in content["shapes"]}
        vocabulary = tuple(sorted(every - {IGNORED, BACKGROUND}))
        records: dict[Path, Record] = {}
        joined: list[Path | None] = []
        for path, content in contents.items():
            images, reasons = pictures.find_all({0: (content.get("imagePath"), "")}, path, faults)
            if reasons:
                inside = "; it holds the image itself (imageData), save that" if content["inside"] else ""
                faults.append(Fault(path, f"has an image that {reasons[0]}{inside}"))
                continue
            sizes = ((path, size),) if (size := _size(content)) else ()
            truth = Drawing.of((path,), _shapes(path, content["shapes"]), vocabulary, sizes)
            joined.append(gather(records, record_of(root, images[0], truth)))
        told_joined(joined, faults)
        drawn = (_corners(shape) for record in records.values() for shape in record.truth.shapes)
        told_boxes(root, drawn, faults)
        return pictures.listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The drawn shapes with their labels; see `Layout.truths`."""
        return [draw_by_kind(record, shape, DRAW, "take the file away", faults)]


def _shapes(path: Path, entries: list[dict[str, Any]]) -> list[Shape]:
    """The shapes of a file but for background, each a level higher than the one before."""
    shapes = []
    for i, entry in enumerate(entries):
        label, group = _label(entry), entry.get("group_id")
        if label == BACKGROUND:
            continue
        kind = str(entry.get("shape_type") or "polygon")
        geometry = {"points": entry.get("points"), "mask": entry.get("mask") if kind == "mask" else None}
        entity = None if group is None else (label, str(group) if number(group) is None else number(group))
        ignored = label == IGNORED
        shapes.append(Shape(path, f"shape {i}", geometry, label, kind, level=i, entity=entity, ignored=ignored))
    return shapes


def _label(entry: dict[str, Any]) -> str:
    return "" if entry.get("label") is None else str(entry["label"])


def _polygon(geometry: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    return region(_points(geometry), shape)


def _circle(geometry: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """About the first point, through the second."""
    (x, y), (rim_x, rim_y) = _pair(geometry)
    radius = math.hypot(rim_x - x, rim_y - y)
    if not 0 < radius <= 2 * max(shape):
        raise FlawedRegion(f"has a radius of {radius:g} px")
    count = LEAST_CORNERS if radius <= 1 else max(int(math.pi / math.acos(1 - 1 / radius)), LEAST_CORNERS)
    around = np.arange(count) * 2 * np.pi / count
    corners = np.stack([x + radius * np.sin(around), y + radius * np.cos(around)], axis=1)
    return region([corners.ravel().tolist()], shape)


def _mask(geometry: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """Between two corners, both in it, whose fractions are cut off."""
    (left, top), (right, bottom) = (tuple(map(int, corner)) for corner in _pair(geometry))
    if not (0 <= left <= right < shape[1] and 0 <= top <= bottom < shape[0]):
        raise FlawedRegion(f"has a mask from {left}, {top} to {right}, {bottom}, outside its {shape[1]} x {shape[0]}")
    return pixels_at(png_mask(geometry["mask"], (bottom - top + 1, right - left + 1)), shape, (top, left))


DRAW = {"polygon": _polygon, "circle": _circle, "mask": _mask}


def _points(geometry: dict[str, Any]) -> list[list[float]]:
    """[[x, y, x, y, ...]]. Raises FlawedRegion."""
    points = geometry["points"]
    if not isinstance(points, list) or len(points) < 2 or not all(isinstance(point, list) for point in points):
        raise FlawedRegion("has no points")
    return polygons([points])


def _pair(geometry: dict[str, Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two points. Raises FlawedRegion."""
    flat = _points(geometry)[0]
    if len(flat) != 4:
        raise FlawedRegion(f"has {len(flat) // 2} points, wanted 2")
    return (flat[0], flat[1]), (flat[2], flat[3])


def _corners(shape: Shape) -> list[float] | None:
    try:
        return _points(shape.geometry)[0] if shape.kind == "polygon" else None
    except FlawedRegion:
        return None


def _size(content: dict[str, Any]) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _looks_like_labelme(path: Path) -> bool:
    ends = both_ends(path)
    marks = (b'"imagePath"', b'"imageHeight"', b'"shape_type"')
    return b'"shapes"' in ends and any(mark in ends for mark in marks)


def _load(path: Path) -> dict[str, Any]:
    """A labelme file without its `imageData`; `inside` says whether it has any. Raises InputError, the reason only."""
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"wanted a file of at most {MAX_BYTES >> 20} MiB; save it without imageData (--nodata)")
    content = read_json(path, "save it again")
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise InputError("has no list `shapes` of objects, as labelme writes it; save it again")
    inside = bool(content.pop("imageData", None))
    return {**content, "inside": inside}
