"""Label Studio's JSON export: polygons, ellipses, brush strokes and masks, images anywhere below the folder.

https://labelstud.io/guide/export: a list of tasks, each with `data` and `annotations`, one per annotator, whose
`result` is a list of regions. The picture of a region is the value of `data` called as its `to_name`, else the only
value that is a picture; of a list of pictures the one of `item_index`. Polygons and ellipses are in percent of width
and height. Brush strokes are bytes in the format of
https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack, over the four channels of each pixel; a bit mask is a
PNG. A region of any other kind (rectangle, keypoint) has no outline of the entity: an image with one is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from domains.entities import EntityMap
from domains.errors import InputError
from domains.formats.brush_strokes import brush_mask
from domains.formats.coco_regions import FlawedRegion, ellipse, pixels_at, region
from domains.formats.drawing import same_size
from domains.formats.export_files import both_ends, check_size, read_all, read_json, record_of
from domains.formats.finding import walk
from domains.formats.inline_png import png_mask
from domains.formats.layout import Assumption, Fault, Layout, Listing, Record
from domains.formats.pictures import Pictures, readings
from domains.formats.shapes import JOINED, Shape, draw_all, same_content, told_boxes
from domains.scenes.images import IMAGE_SUFFIXES

MAX_BYTES = 2 * 2**30  # of an export
DRAWN = ("polygon", "brush", "ellipse", "bitmask")  # and each with `labels` after it
ANSWERS = ("choices", "textarea", "rating", "number", "taxonomy", "datetime", "relation", "labels")  # no regions
AGAIN = "annotates pictures that another task annotates too; each annotation is taken for that of one more annotator"
REFERENCE = "is a picture of a task with several, and no task draws on its like; it is not read"

Key = tuple[str, int | None]
"""Of a picture of a task: the key of `data`, and its number where that is a list."""


@dataclass(frozen=True)
class Task:
    """What is drawn on one picture. files: that drew it. truths: the regions of each annotator."""

    files: tuple[Path, ...]
    truths: tuple[tuple[Shape, ...], ...]
    vocabulary: tuple[str, ...]


class LabelStudio(Layout):
    name = "label_studio"
    entities = (
        "one polygon, ellipse, brush region or mask, the smaller of two that overlap on top; each annotator is a truth"
    )
    expects = "a Label Studio .json export with the image files anywhere below the folder"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds an export of Label Studio."""
        return bool(_exports(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its results, and what has no counterpart."""
        pictures = Pictures(root)
        records: dict[Path, Record] = {}
        faults: list[Fault] = []
        exports = read_all(root, "an export of Label Studio", _exports(root), _load, faults)
        answers = (results for tasks in exports.values() for task in tasks for results in _done(task))
        vocabulary = tuple(sorted({_label(result) for results in answers for result in results}))
        remarks = [
            _gather(records, record)
            for path, tasks in exports.items()
            for record in _records(path, tasks, vocabulary, pictures, faults)
        ]
        faults += [Assumption(*line) for line in sorted({line for line in remarks if line is not None})]
        return pictures.listing(records, [fault for fault in faults if fault.path not in records])

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The drawn regions with their labels; see `Layout.truths`."""
        task: Task = record.truth
        for regions in task.truths:
            for figure in regions:
                _check(figure, record, shape)
        maps, failed = [], []
        for regions in task.truths:
            try:
                maps.append(draw_all(regions, task.vocabulary, record.name, shape, _pixels, faults))
            except InputError as error:
                failed.append(error)
        if failed and not any(truth.count for truth in maps):
            raise failed[0]
        file = task.files[0]
        faults += [Fault(file, str(error).removeprefix(f"{str(file)!r}: ")) for error in failed]
        return maps


def _records(
    path: Path, tasks: list[dict[str, Any]], vocabulary: tuple[str, ...], pictures: Pictures, faults: list[Fault]
) -> Iterator[Record]:
    """The pictures of one export."""
    names: dict[tuple[int, Key], tuple[object, str]] = {}
    regions: dict[tuple[int, Key], list[tuple[Shape, ...]]] = {}
    drawn_on: set[str] = set()
    for number, task in enumerate(tasks):
        source = f"task {task.get('id', number)!r:.40}"
        texts = _pictures(task)
        results = list(_done(task))
        targets = [{_target(result, texts) for result in shapes} for shapes in results]
        if not texts:
            faults.append(Fault(path, f"{source} names no image"))
        elif any(None in keys for keys in targets):
            called = ", ".join(dict.fromkeys(key for key, _ in texts))
            faults.append(Fault(path, f"{source} draws on what is called as none of its pictures ({called:.80})"))
        else:
            for key, text in texts.items():
                names[number, key] = text, ""
                regions[number, key] = [_shapes(path, shapes, key, texts) for shapes in results]
            drawn_on |= {key[0] for keys in targets for key in keys if key}
    paths, reasons = pictures.find_all(names, path, faults)
    for number, key in reasons:
        faults.append(Fault(path, f"task {tasks[number].get('id', number)!r:.40} {reasons[number, key]}"))
    counts = Counter(number for number, _ in names)
    told_boxes(path, (_corners(figure) for place in regions for shapes in regions[place] for figure in shapes), faults)
    for (number, key), image in paths.items():
        if not regions[number, key]:
            faults.append(Fault(image, "has no finished annotation"))
        elif counts[number] > 1 and key[0] not in drawn_on:
            faults.append(Assumption(image, REFERENCE))
        else:
            yield record_of(pictures.root, image, Task((path,), tuple(regions[number, key]), vocabulary))


def _gather(records: dict[Path, Record], record: Record) -> tuple[Path, str] | None:
    """Adds a picture. What two exports say is joined, if each is of one annotator; else they stand side by side.

    Returns the file and what is to be told of it, where it adds to a picture.
    """
    before = records.setdefault(record.image, record)
    if before is record:
        return None
    held, task = before.truth, record.truth
    files = tuple(dict.fromkeys((*held.files, *task.files)))
    if len(held.truths) == len(task.truths) == 1 and held.files != task.files:
        mine, rivals = task.truths[0], held.truths[0]
        added = [figure for figure in mine if not any(same_content(figure, rival) for rival in rivals)]
        truths = ((*rivals, *added),)
        reason = JOINED
    else:
        added = [shapes for shapes in task.truths if not any(_same(shapes, rival) for rival in held.truths)]
        truths = (*held.truths, *added)
        reason = AGAIN
    if not added:
        return None
    records[record.image] = replace(before, truth=replace(held, files=files, truths=truths))
    return task.files[0], reason


def _same(shapes: tuple[Shape, ...], rivals: tuple[Shape, ...]) -> bool:
    return len(shapes) == len(rivals) and all(map(same_content, shapes, rivals))


def _check(figure: Shape, record: Record, shape: tuple[int, int]) -> None:
    """Raises InputError for a region that cannot be drawn on this image."""
    source = f"{str(figure.file)!r}: {figure.title} of {record.name!r}"
    drawn = figure.geometry
    if figure.kind.removesuffix("labels") not in DRAWN or not isinstance(drawn.get("value"), dict):
        raise InputError(
            f"{source}: wanted a polygon, an ellipse, brush strokes or a mask, got {figure.kind!r:.40}, which has no "
            "outline; draw it, or leave the task out of the export"
        )
    if drawn.get("image_rotation"):
        raise InputError(
            f"{source}: was drawn on a turned image ({drawn['image_rotation']!r:.10} degrees); turn it back"
        )
    size = drawn.get("original_height"), drawn.get("original_width")
    if all(isinstance(side, int) for side in size):
        same_size(record.image, shape, figure.file, size)


def _pixels(figure: Shape, shape: tuple[int, int]) -> np.ndarray:
    """Flat indices. Raises FlawedRegion."""
    value = figure.geometry["value"]
    kind = figure.kind.removesuffix("labels")
    if kind in ("brush", "bitmask"):
        mask = brush_mask(value.get("rle"), shape) if kind == "brush" else png_mask(value.get("imageDataURL"), shape)
        return pixels_at(mask, shape)
    return region([_ellipse(value, shape) if kind == "ellipse" else _polygon(value, shape)], shape)


def _polygon(value: dict[str, Any], shape: tuple[int, int]) -> list[float]:
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise FlawedRegion("has no points")
    return [_number(at) * shape[1 - i] / 100 for point in points for i, at in enumerate(point)]


def _ellipse(value: dict[str, Any], shape: tuple[int, int]) -> list[float]:
    """Its middle and radii are shares of width and height, its turn is one of pixels, clockwise."""
    names = ("x", "y", "radiusX", "radiusY")
    x, y, wide, tall = (_number(value.get(name)) * shape[1 - i % 2] / 100 for i, name in enumerate(names))
    return ellipse((x, y), (wide, tall), np.deg2rad(_number(value.get("rotation", 0))))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise FlawedRegion("has coordinates that are no numbers") from error


def _done(task: dict[str, Any]) -> Iterator[tuple[dict[str, Any], ...]]:
    """The regions of each annotation that was not cancelled. Where a region and its label are results apart, as with a
    `Brush` beside `Labels`, the region gets the label."""
    annotations = task.get("annotations") or task.get("completions")
    for annotation in annotations if isinstance(annotations, list) else ():
        results = annotation.get("result") if isinstance(annotation, dict) else None
        if not isinstance(results, list) or annotation.get("was_cancelled"):
            continue
        every = [result for result in results if isinstance(result, dict)]
        labels = {str(result.get("id")): _label(result) for result in every if result.get("type") == "labels"}
        drawn = [result for result in every if result.get("type") not in ANSWERS]
        yield tuple({**result, "apart": labels.get(str(result.get("id")))} for result in drawn)


def _label(result: dict[str, Any]) -> str:
    """The region's first label; `region` where it has none."""
    value = result.get("value")
    labels = value.get(result.get("type")) if isinstance(value, dict) and isinstance(result.get("type"), str) else None
    return str(labels[0]) if isinstance(labels, list) and labels else result.get("apart") or "region"


def _shapes(path: Path, results: tuple[dict[str, Any], ...], key: Key, texts: dict[Key, str]) -> tuple[Shape, ...]:
    """The regions that one annotator drew on one picture of a task."""
    return tuple(
        Shape(path, f"region {result.get('id')!r:.40}", result, _label(result), str(result.get("type")))
        for result in results
        if _target(result, texts) == key
    )


def _corners(figure: Shape) -> list[float] | None:
    """[x, y, x, y, ...] in percent of a polygon; None for others."""
    try:
        value = figure.geometry.get("value")
        return _polygon(value, (100, 100)) if figure.kind.startswith("polygon") and isinstance(value, dict) else None
    except FlawedRegion:
        return None


def _pictures(task: dict[str, Any]) -> dict[Key, str]:
    """The values of a task's data that are pictures; where none looks like one, the value called `image`."""
    data = task.get("data")
    if not isinstance(data, dict):
        return {}
    texts: dict[Key, str] = {}
    for key, value in data.items():
        several = value if isinstance(value, list) else [value]
        for i, text in enumerate(several):
            if isinstance(text, str) and _is_picture(text):
                texts[key, i if isinstance(value, list) else None] = text
    image = data.get("image")
    return texts or ({("image", None): image} if isinstance(image, str) and image else {})


def _is_picture(text: str) -> bool:
    return any(PurePosixPath(form).suffix.lower() in IMAGE_SUFFIXES for form in readings(text))


def _target(result: dict[str, Any], texts: dict[Key, str]) -> Key | None:
    """The picture that a region is drawn on: called as its `to_name`, else the only one. None where that is open."""
    keys = {key for key, _ in texts}
    name = result.get("to_name")
    key = name if isinstance(name, str) and name in keys else next(iter(keys)) if len(keys) == 1 else None
    number = result.get("item_index", 0)
    return next((place for place in texts if place[0] == key and place[1] in (None, number)), None)


def _exports(root: Path) -> list[Path]:
    return [path for path in walk(root, {".json"}, depth=3) if _looks_like_export(path)]


def _looks_like_export(path: Path) -> bool:
    ends = both_ends(path)
    tasks = ends.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[")
    return tasks and b'"result"' in ends and (b'"annotations"' in ends or b'"completions"' in ends)


def _load(path: Path) -> list[dict[str, Any]]:
    """Raises InputError, the reason only."""
    check_size(path, MAX_BYTES)
    return [task for task in read_json(path, "export it again") if isinstance(task, dict)]
