"""COCO JSON: polygons, and RLE compressed or not, with image files anywhere below the folder.

Format: https://cocodataset.org/#format-data. Only `segmentation` is believed: `bbox` and `area` are never read.
A crowd region is unlabelled. NWPU VHR-10 lies like this (`imgs/`, `annotations/annotations.json`), iSAID and WHU too.
Several annotation files are read, the fullest first; an image belongs to the first that lists it, and its split is
the word train, val or test in that file's path. So a complete file beside its own train and val parts decides alone.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domains.entities import UNLABELLED, EntityMap
from domains.errors import InputError
from domains.layouts.coco_regions import FlawedRegion, region
from domains.layouts.drawing import paint, same_size
from domains.layouts.finding import own_split, printable, walk
from domains.layouts.layout import Fault, Layout, Listing, Record
from domains.layouts.pictures import Pictures

_HEAD = 2**16  # bytes at either end of a JSON file that tell COCO from anything else


@dataclass(frozen=True)
class Annotation:
    """segmentation: as in the file, checked when it is drawn. label: index into the vocabulary, None without one."""

    id: object
    segmentation: Any
    label: int | None
    crowd: bool


@dataclass(frozen=True)
class CocoTruth:
    """size: (H, W) as declared, None where it is not."""

    file: Path
    size: tuple[int, int] | None
    annotations: tuple[Annotation, ...]
    vocabulary: tuple[str, ...]


class Coco(Layout):
    name = "coco"
    entities = "one annotation, the smaller of two that overlap on top; crowd regions are unlabelled"
    expects = "a COCO .json (images, annotations, categories) with the image files anywhere below the folder"

    def matches(self, root: Path) -> bool:
        return bool(_annotation_files(root))

    def listing(self, root: Path) -> Listing:
        on_disk = Pictures(root)
        records: dict[Path, Record] = {}
        faults: list[Fault] = []
        contents = []
        for path in _annotation_files(root):
            try:
                contents.append((path, _load(path)))
            except InputError as error:
                faults.append(Fault(path, str(error)))
        if not contents:
            raise InputError(f"{str(root)!r}: wanted COCO annotations, got none that can be read ({faults[0]})")
        for path, content in sorted(contents, key=lambda item: (-len(item[1]["annotations"]), item[0])):
            for record in _records(path, content, on_disk, faults):
                records.setdefault(record.image, record)
        return on_disk.listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        truth: CocoTruth = record.truth
        if truth.size is not None:
            same_size(record.image, shape, truth.file, truth.size)
        regions, labels, crowd = [], [], np.zeros(shape, bool)
        for annotation in truth.annotations:
            try:
                pixels = region(annotation.segmentation, shape)
            except FlawedRegion as error:
                faults.append(Fault(truth.file, f"annotation {annotation.id!r} of {record.name!r} {error}"))
                continue
            if annotation.crowd:
                crowd.flat[pixels] = True
            else:
                regions.append(pixels)
                labels.append(annotation.label)
        ids, kept = paint(regions, shape)
        ids[crowd & (ids == 0)] = UNLABELLED
        if not truth.vocabulary:
            return [EntityMap(ids)]
        return [EntityMap(ids, labels=np.array(labels, np.int32)[kept], vocabulary=truth.vocabulary)]


def _records(path: Path, content: dict, pictures: Pictures, faults: list[Fault]) -> list[Record]:
    """The images of one annotation file. What cannot be linked is appended to `faults`."""
    vocabulary, label_of = _categories(content)
    images: dict[object, dict] = {}
    for image in content["images"]:
        key = image.get("id") if isinstance(image, dict) else None
        if not isinstance(key, int | str) or key in images:
            faults.append(Fault(path, f"image id {key!r} is missing or used twice"))
        else:
            images[key] = image
    annotations = _linked(path, content["annotations"], images, label_of, faults)
    split = own_split(path.relative_to(pictures.root))
    records = []
    for key, image in images.items():
        try:
            file = pictures.find(image.get("file_name"), path)
        except (ValueError, OSError) as error:  # OSError: a name too long to be one
            faults.append(Fault(path, f"image {key!r} {error}"))
            continue
        name = printable(file.relative_to(pictures.root).with_suffix("").as_posix())
        truth = CocoTruth(path, _declared_size(image), tuple(annotations[key]), vocabulary)
        records.append(Record(name, file, truth, group=whole_image(name), split=split))
    return records


def whole_image(name: str) -> str:
    """`P0003` of iSAID's patch `P0003_600_1400_1200_2000`: patches of an image stay together. Else the name itself."""
    folder, slash, stem = name.rpartition("/")
    patch = re.fullmatch(r"(P\d{4})(_\d+){4}", stem)
    return f"{folder}{slash}{patch[1]}" if patch else name


def _linked(
    path: Path, entries: list, images: dict[object, dict], label_of: dict[object, int], faults: list[Fault]
) -> dict[object, list[Annotation]]:
    """Annotations by image id. A second use of an annotation id is told and kept: merged files number from 1 twice."""
    linked: dict[object, list[Annotation]] = defaultdict(list)
    seen = set()
    for entry in entries:
        if not isinstance(entry, dict):
            faults.append(Fault(path, f"annotation {entry!r:.40} is no object"))
            continue
        key, image, category = (_scalar(entry.get(name)) for name in ("id", "image_id", "category_id"))
        if image not in images:
            faults.append(Fault(path, f"annotation {key!r} belongs to image {image!r}, which is not listed"))
        elif label_of and category not in label_of:
            faults.append(Fault(path, f"annotation {key!r} has category {category!r}, which is not listed"))
        else:
            if key in seen:
                faults.append(Fault(path, f"annotation id {key!r} is used twice (both are kept)"))
            crowd = entry.get("iscrowd") in (1, True)
            linked[image].append(Annotation(key, entry.get("segmentation"), label_of.get(category), crowd))
        seen.add(key)
    return linked


def _categories(content: dict) -> tuple[tuple[str, ...], dict[object, int]]:
    """(vocabulary, index of each category id), in the order of the ids; both empty without categories."""
    listed = [entry for entry in content.get("categories") or [] if isinstance(entry, dict)]
    names = {_scalar(entry.get("id")): str(entry.get("name")) for entry in listed}
    ordered = sorted(names, key=lambda key: (isinstance(key, str), key if isinstance(key, int | str) else 0))
    return tuple(names[key] for key in ordered), {key: i for i, key in enumerate(ordered)}


def _declared_size(image: dict) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _scalar(value: object) -> object:
    """Ids are numbers or text; anything else (a list would not even hash) links to nothing."""
    return value if isinstance(value, int | str) else None


def _annotation_files(root: Path) -> list[Path]:
    """.json files down to three folders deep that look like COCO from their ends."""
    return [path for path in walk(root, {".json"}, depth=3) if _looks_like_coco(path)]


def _looks_like_coco(path: Path) -> bool:
    with open(path, "rb") as file:
        ends = file.read(_HEAD)
        file.seek(max(file.tell(), os.path.getsize(path) - _HEAD))
        ends += file.read(_HEAD)
    return b'"image_id"' in ends or (b'"images"' in ends and b'"file_name"' in ends)


def _load(path: Path) -> dict:
    """The annotation file. Raises InputError (the reason only) for broken JSON and for any other kind of JSON."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InputError(f"is no whole JSON: {error}; copy or export it again") from error
    lists = isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))
    if not lists:
        raise InputError("has no lists `images` and `annotations`; export it as COCO instance segmentation")
    return content
