"""COCO JSON: polygons, and RLE compressed or not, with image files anywhere below the folder.

Format: https://cocodataset.org/#format-data. Only `segmentation` is believed: `bbox` and `area` are never read.
A crowd region is unlabelled. NWPU VHR-10 lies like this (`imgs/`, `annotations/annotations.json`), iSAID and WHU too.
Ids of one value are one id, as a number or as text: 3, 3.0 and "3".

Several annotation files are read, the fullest first. What they say of one image is joined, the same annotation once, so
that a complete file beside its own train and val parts decides alone, and a file per class adds its own. The image's
split is the word train, val or test in the path of the first. A file of predictions (each annotation has a score) is
the truth only where no other file is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from domains.entities import EntityMap
from domains.errors import InputError
from domains.formats.coco_regions import FlawedRegion, rectangle, region
from domains.formats.export_files import both_ends, read_all, read_json
from domains.formats.finding import own_split, printable, walk
from domains.formats.ids import identifier, number, resolver
from domains.formats.layout import Assumption, Fault, Layout, Listing, Record
from domains.formats.pictures import Pictures
from domains.formats.shapes import Drawing, Shape, draw_shapes, gather, tell, told_boxes, told_joined

PREDICTED = "holds predictions (every annotation has a score); they are taken for the truth"
BESIDE = "holds predictions (every annotation has a score) beside annotations; move it away, or move those"
IGNORE = "has annotations with `ignore` set: what they cover is unlabelled, as it is for crowds"
SHIFTED = (
    "has annotations of one image more than it lists, and none for the image at the other end of its ids: one side "
    "seems to count from 0 and the other from 1, so that all would lie on a neighbour; number both alike"
)
NOTHING = "lists images and no annotation; each is taken for one without any entity"


class Coco(Layout):
    name = "coco"
    entities = "one annotation, the smaller of two that overlap on top; crowd regions are unlabelled"
    expects = "a COCO .json (images, annotations, categories) with the image files anywhere below the folder"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds a JSON of COCO's."""
        return bool(annotation_files(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its annotations, and what has no counterpart."""
        pictures = Pictures(root)
        records: dict[Path, Record] = {}
        faults: list[Fault] = []
        contents = read_all(root, "COCO annotations", annotation_files(root), _load, faults)
        joined = [
            gather(records, record)
            for path, content in _truths_first([*contents.items()], faults)
            for record in _records(path, content, pictures, faults)
        ]
        told_joined(joined, faults)
        faults = [fault for fault in faults if fault.path not in records]
        return pictures.listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The annotated regions with their categories; see `Layout.truths`."""
        return [draw_shapes(record, shape, _pixels, faults)]


def _pixels(annotation: Shape, shape: tuple[int, int]) -> np.ndarray:
    if annotation.kind == "box":
        raise FlawedRegion("has no segmentation but a bounding box, and boxes are no masks")
    return region(annotation.geometry, shape)


def _truths_first(contents: list[tuple[Path, dict]], faults: list[Fault]) -> list[tuple[Path, dict]]:
    """The files to read, the fullest first; predictions only where there is nothing else, which is told."""
    predicted = {path for path, content in contents if _is_prediction(content)}
    truths = [item for item in contents if item[0] not in predicted]
    for path in sorted(predicted):
        faults.append(Fault(path, BESIDE) if truths else Assumption(path, PREDICTED))
    return sorted(truths or contents, key=lambda item: (-len(item[1]["annotations"]), item[0]))


def _is_prediction(content: dict) -> bool:
    entries = content["annotations"]
    return bool(entries) and all(
        isinstance(entry, dict) and isinstance(entry.get("score"), int | float) for entry in entries
    )


@dataclass
class Entry:
    """An image of an annotation file. names: the files that it is said to be. flawed: how many of its annotations have
    a category that is not listed."""

    names: list[object] = field(default_factory=list)
    size: tuple[int, int] | None = None
    shapes: list[Shape] = field(default_factory=list)
    flawed: int = 0


def _records(path: Path, content: dict, pictures: Pictures, faults: list[Fault]) -> list[Record]:
    """The images of one annotation file. What cannot be linked is appended to `faults`."""
    vocabulary, label_of = _categories(content)
    images = _images(path, content["images"], faults)
    strays = _link(path, content["annotations"], images, label_of, faults)
    paths, reasons = pictures.find_all({key: (entry.names[0], "") for key, entry in images.items()}, path, faults)
    linked = any(entry.shapes or entry.flawed for entry in images.values())
    if strays and linked and _shifted(images, strays):
        faults.append(Fault(path, SHIFTED))
        return []
    if strays and not linked:
        ids = f"{_some(strays)}, and those of its images {_some(images)}"
        faults.append(Fault(path, f"has no annotation that belongs to an image it lists: their image ids are {ids}"))
    if not content["annotations"] and images:
        faults.append(Assumption(path, NOTHING))
    split = own_split(path.relative_to(pictures.root))
    records = []
    for key, entry in images.items():
        if len(entry.names) > 1:
            faults.append(Fault(path, f"image id {key!r} is used for {len(entry.names)} images, all left out"))
        elif key in reasons:
            faults.append(Fault(path, f"image {key!r} {reasons[key]}"))
        elif entry.flawed and not entry.shapes:
            reason = f"has {entry.flawed} annotations, none of which can be used; left out, as it is not without entity"
            faults.append(Fault(paths[key], reason))
        elif strays and not entry.shapes:
            reason = f"has no annotation, but {sum(strays.values())} of {path.name!r:.80} belong to no listed image"
            faults.append(Fault(paths[key], f"{reason}; left out, as they may be its own"))
        else:
            name = printable(paths[key].relative_to(pictures.root).with_suffix("").as_posix())
            sizes = ((path, entry.size),) if entry.size else ()
            truth = Drawing.of((path,), entry.shapes, vocabulary, sizes)
            records.append(Record(name, paths[key], truth, group=whole_image(name), split=split))
    shapes = (shape for entry in images.values() for shape in entry.shapes if not shape.ignored)
    told_boxes(path, (rectangle(shape.geometry) for shape in shapes), faults)
    return records


def _shifted(images: Mapping[int | str, Entry], strays: Mapping[object, int]) -> bool:
    """Whether annotations seem to count images from another number: the one stray id is next to the last (or the first)
    of a row of image ids, and the image at the other end has no annotation."""
    ids = sorted({key for key in map(number, images) if key is not None})
    if len(ids) < 2 or len(ids) < len(images) or ids[-1] - ids[0] + 1 != len(ids):
        return False
    entries = {number(key): entry for key, entry in images.items()}
    empty = {key for key in (ids[0], ids[-1]) if not entries[key].shapes and not entries[key].flawed}
    stray = {number(key) for key in strays}
    return (stray == {ids[-1] + 1} and ids[0] in empty) or (stray == {ids[0] - 1} and ids[-1] in empty)


def whole_image(name: str) -> str:
    """`P0003` of iSAID's patch `P0003_600_1400_1200_2000`: patches of an image stay together. Else the name itself."""
    folder, slash, stem = name.rpartition("/")
    patch = re.fullmatch(r"(P\d{4})(_\d+){4}", stem)
    return f"{folder}{slash}{patch[1]}" if patch else name


def _images(path: Path, entries: list, faults: list[Fault]) -> dict[int | str, Entry]:
    """Images by their ids. An id that two images of different names have links neither to its annotations."""
    images: dict[int | str, Entry] = {}
    for image in entries:
        key = identifier(image.get("id")) if isinstance(image, dict) else None
        if key is None:
            came = image.get("id") if isinstance(image, dict) else image
            faults.append(Fault(path, f"image id {came!r:.40} is missing, or neither a whole number nor text"))
            continue
        entry = images.setdefault(key, Entry(size=_declared_size(image)))
        if image.get("file_name") not in entry.names:
            entry.names.append(image.get("file_name"))
    return images


def _link(
    path: Path, entries: list, images: dict[int | str, Entry], label_of: dict[int | str, str], faults: list[Fault]
) -> Counter[object]:
    """Gives every image its annotations; how many there are of each image id that is not listed.

    A second use of an annotation id is told and kept: merged files number from 1 twice.
    """
    image_of, category_of = resolver(images), resolver(label_of)
    strays: Counter[object] = Counter()
    seen = set()
    for entry in entries:
        if not isinstance(entry, dict):
            faults.append(Fault(path, f"annotation {entry!r:.40} is no object"))
            continue
        key, image, category = (identifier(entry.get(name)) for name in ("id", "image_id", "category_id"))
        source = f"annotation {key!r:.40}"
        owner, listed = image_of(image), category_of(category)
        if owner is None:
            faults.append(Fault(path, f"{source} belongs to image {image!r:.40}, which is not listed"))
            strays[image] += 1
        elif label_of and listed is None:
            faults.append(Fault(path, f"{source} has category {category!r:.40}, which is not listed"))
            images[owner].flawed += 1
        else:
            if key in seen:
                faults.append(Fault(path, f"annotation id {key!r} is used twice (both are kept)"))
            label = None if listed is None else label_of[listed]
            crowd = number(entry.get("iscrowd")) == 1 or entry.get("iscrowd") is True
            if not crowd and (number(entry.get("ignore")) == 1 or entry.get("ignore") is True):
                crowd = True
                tell(faults, path, IGNORE)
            segmentation = entry.get("segmentation")
            kind = "box" if not segmentation and entry.get("bbox") else ""
            images[owner].shapes.append(Shape(path, source, segmentation, label, kind, ignored=crowd))
        seen.add(key)
    return strays


def _categories(content: dict) -> tuple[tuple[str, ...], dict[int | str, str]]:
    """(vocabulary, name of each category id), in the order of the ids; both empty without categories."""
    names: dict[int | str, str] = {}
    entries = content.get("categories")
    for entry in entries if isinstance(entries, list) else ():
        key = identifier(entry.get("id")) if isinstance(entry, dict) else None
        if key is not None:
            names[key] = str(key if entry.get("name") is None else entry["name"])
    ordered = sorted(names, key=lambda key: (isinstance(key, str), key if isinstance(key, int) else 0, str(key)))
    return tuple(dict.fromkeys(names[key] for key in ordered)), names


def _declared_size(image: dict) -> tuple[int, int] | None:
    height, width = number(image.get("height")), number(image.get("width"))
    return (height, width) if height and width and min(height, width) > 0 else None


def _some(ids: Iterable[object]) -> str:
    """`'0', '1', '2'`: the first three, for a line."""
    return ", ".join(f"{key!r:.20}" for key in list(ids)[:3])


def annotation_files(root: Path) -> list[Path]:
    """.json files down to three folders deep that look like COCO from their ends."""
    return [path for path in walk(root, {".json"}, depth=3) if _looks_like_coco(path)]


def _looks_like_coco(path: Path) -> bool:
    ends = both_ends(path)
    return b'"image_id"' in ends or (b'"images"' in ends and b'"file_name"' in ends)


def _load(path: Path) -> dict:
    """The annotation file. Raises InputError (the reason only) for broken JSON and for any other kind of JSON."""
    content = read_json(path, "copy or export it again")
    lists = isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))
    if not lists:
        raise InputError("has no lists `images` and `annotations`; export it as COCO instance segmentation")
    return content
