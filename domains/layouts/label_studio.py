"""Label Studio's JSON export: polygons and brush strokes, with the image files anywhere below the folder.

https://labelstud.io/guide/export: a list of tasks, each with `data` (the image) and `annotations`, one per annotator,
whose `result` is a list of regions. Polygons are in percent of width and height. Brush strokes are bytes in the format
of https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack, over the four channels of each pixel. A region of
any other kind (rectangle, ellipse, keypoint) has no outline of the entity: an image with one is refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from domains.entities import EntityMap
from domains.errors import InputError
from domains.layouts.coco_regions import FlawedRegion, region
from domains.layouts.drawing import painted, same_size
from domains.layouts.finding import own_split, printable, walk
from domains.layouts.layout import Fault, Layout, Listing, Record
from domains.layouts.pictures import Pictures

MAX_BYTES = 2 * 2**30  # of an export
UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file
DRAWN = ("polygonlabels", "polygon", "brushlabels", "brush")
ANSWERS = ("choices", "textarea", "rating", "number", "taxonomy", "datetime", "relation", "labels")  # no regions


@dataclass(frozen=True)
class Task:
    """results: the regions of each annotator, as in the file, checked when they are drawn."""

    file: Path
    results: tuple[tuple[dict[str, Any], ...], ...]
    vocabulary: tuple[str, ...]


class LabelStudio(Layout):
    name = "label_studio"
    entities = "one polygon or brush region, the smaller of two that overlap on top; each annotator is a truth"
    expects = "a Label Studio .json export with the image files anywhere below the folder"

    def matches(self, root: Path) -> bool:
        return bool(_exports(root))

    def listing(self, root: Path) -> Listing:
        pictures = Pictures(root)
        records: dict[Path, Record] = {}
        faults: list[Fault] = []
        for path in _exports(root):
            tasks = _load(path)
            vocabulary = tuple(sorted({_label(one) for task in tasks for results in _done(task) for one in results}))
            for number, task in enumerate(tasks):
                what = f"task {task.get('id', number)!r}"
                try:
                    image = _image(task, pictures, path)
                except (ValueError, OSError) as error:
                    faults.append(Fault(path, f"{what} {error}"))
                    continue
                results = tuple(_done(task))
                if not results:
                    faults.append(Fault(image, "has no finished annotation"))
                    continue
                name = printable(image.relative_to(root).with_suffix("").as_posix())
                truth = Task(path, results, vocabulary)
                records.setdefault(image, Record(name, image, truth, name, own_split(Path(name).parent)))
        return pictures.listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        truth: Task = record.truth
        maps = []
        for results in truth.results:
            regions, labels = [], []
            for one in results:
                what = f"{str(truth.file)!r}: region {one.get('id')!r:.40} of {record.name!r}"
                _check(one, record.image, shape, truth.file, what)
                try:
                    regions.append(_pixels(one["value"], shape))
                    labels.append(truth.vocabulary.index(_label(one)))
                except FlawedRegion as error:
                    faults.append(Fault(truth.file, f"region {one.get('id')!r:.40} of {record.name!r} {error}"))
            maps.append(painted(regions, labels, truth.vocabulary, shape))
        return maps


def _check(one: dict[str, Any], image: Path, shape: tuple[int, int], file: Path, what: str) -> None:
    """Raises InputError for a region that cannot be drawn on this image."""
    if one.get("type") not in DRAWN or not isinstance(one.get("value"), dict):
        raise InputError(
            f"{what}: wanted a polygon or brush strokes, got {one.get('type')!r:.40}, which has no outline; draw it, "
            "or leave the task out of the export"
        )
    if one.get("image_rotation"):
        raise InputError(f"{what}: was drawn on a turned image ({one['image_rotation']!r:.10} degrees); turn it back")
    size = one.get("original_height"), one.get("original_width")
    if all(isinstance(side, int) for side in size):
        same_size(image, shape, file, size)  # type: ignore[arg-type]


def _pixels(value: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """Flat indices. Raises FlawedRegion."""
    if "rle" in value:
        pixels = np.flatnonzero(brush_mask(value["rle"], shape))
        if not pixels.size:
            raise FlawedRegion("covers no pixel of its image")
        return pixels
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise FlawedRegion("has no points")
    try:
        return region([[float(at) * shape[1 - i] / 100 for point in points for i, at in enumerate(point)]], shape)
    except (TypeError, ValueError) as error:
        if isinstance(error, FlawedRegion):
            raise
        raise FlawedRegion("has coordinates that are no numbers") from error


def brush_mask(rle: Any, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: where the last of the four channels of brush strokes is above 0. Raises FlawedRegion."""
    if not isinstance(rle, list) or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in rle):
        raise FlawedRegion("has brush strokes that are no list of bytes")
    bits = np.unpackbits(np.array(rle, np.uint8))
    position = 0

    def read(count: int) -> int:
        nonlocal position
        if position + count > len(bits):
            raise FlawedRegion("has brush strokes that are cut off")
        position += count
        value = 0
        for bit in bits[position - count : position].tolist():
            value = value << 1 | bit
        return value

    total, word = read(32), read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    if total != 4 * shape[0] * shape[1]:
        raise FlawedRegion(f"has brush strokes of {total / 4:g} pixels, its image has {shape[0] * shape[1]}")
    values = np.zeros(total, np.int64)
    at = 0
    while at < total:
        repeated, end = read(1), at + 1 + read(widths[read(2)])
        if end > total:
            raise FlawedRegion("has brush strokes that run out of its image")
        if repeated:
            values[at:end] = read(word)
        else:
            length = (end - at) * word
            if position + length > len(bits):
                raise FlawedRegion("has brush strokes that are cut off")
            each = bits[position : position + length].reshape(-1, word).astype(np.int64)
            values[at:end] = each @ (1 << np.arange(word - 1, -1, -1, dtype=np.int64))
            position += length
        at = end
    return values.reshape(*shape, 4)[..., 3] > 0


def _done(task: dict[str, Any]) -> Iterator[tuple[dict[str, Any], ...]]:
    """The regions of each annotation that was not cancelled."""
    for annotation in task.get("annotations") or []:
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            results = annotation.get("result")
            if isinstance(results, list):
                yield tuple(one for one in results if isinstance(one, dict) and one.get("type") not in ANSWERS)


def _label(one: dict[str, Any]) -> str:
    """The region's first label; `region` where it has none."""
    value = one.get("value")
    labels = value.get(one.get("type")) if isinstance(value, dict) and isinstance(one.get("type"), str) else None
    return str(labels[0]) if isinstance(labels, list) and labels else "region"


def _image(task: dict[str, Any], pictures: Pictures, file: Path) -> Path:
    """The file of a task's image. Raises ValueError with the reason."""
    data = task.get("data")
    texts = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    if not texts:
        raise ValueError("names no image")
    text = data["image"] if isinstance(data, dict) and isinstance(data.get("image"), str) else texts[0]
    parts = urlsplit(text)
    path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]  # /data/local-files/?d=folder/name.png
    name = PurePosixPath(path.replace("\\", "/")).name
    try:
        return pictures.find(name, file)
    except ValueError:
        if not UPLOADED.match(name):
            raise
        return pictures.find(UPLOADED.sub("", name), file)


def _exports(root: Path) -> list[Path]:
    return [path for path in walk(root, {".json"}, depth=3) if _looks_like_export(path)]


def _looks_like_export(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(2**16)
        file.seek(max(file.tell(), os.path.getsize(path) - 2**16))
        ends = head + file.read(2**16)
    return head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[") and b'"annotations"' in ends and b'"result"' in ends


def _load(path: Path) -> list[dict[str, Any]]:
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{str(path)!r}: wanted an export of at most {MAX_BYTES >> 30} GiB; export it in parts")
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r}: is no whole JSON: {error}; export it again") from error
    return [task for task in content if isinstance(task, dict)]
