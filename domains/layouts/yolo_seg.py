"""YOLO segmentation: a text file per image, a polygon per line.

https://docs.ultralytics.com/datasets/segment/: `class x1 y1 x2 y2 ...`, coordinates as shares of width and height.
`images/` beside `labels/`, the split above or below them (`train/images`, `images/train`); names of the classes in
`data.yaml` or any .yaml with `names`. By the format's rule an image without a file, or with an empty one, has no
entity. A line of five numbers is a box, which has no outline: an image with one is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import yaml

from domains.entities import EntityMap
from domains.errors import InputError
from domains.layouts.coco_regions import FlawedRegion, region
from domains.layouts.drawing import painted
from domains.layouts.finding import files, folders, own_split, printable, walk
from domains.layouts.layout import Fault, Layout, Listing, Record

MAX_BYTES = 64 * 2**20  # of a label file or a table of names


@dataclass(frozen=True)
class Lines:
    """file: None where the image has no entity."""

    file: Path | None
    vocabulary: tuple[str, ...]


class YoloSeg(Layout):
    name = "yolo_seg"
    entities = "one line of a label file, the smaller of two that overlap on top; images without file have none"
    expects = "images/ beside labels/ with <stem>.txt of `class x1 y1 x2 y2 ...`"

    def matches(self, root: Path) -> bool:
        return any(_is_label(path) for _, labels in _places(root) for path in walk(labels, {".txt"}, depth=2))

    def listing(self, root: Path) -> Listing:
        vocabulary = _vocabulary(root)
        records, faults = [], []
        for images, labels in _places(root):
            texts = {path.relative_to(labels).with_suffix(""): path for path in walk(labels, {".txt"})}
            for image in walk(images):
                text = texts.pop(image.relative_to(images).with_suffix(""), None)
                place = image.relative_to(root)
                name = printable(place.with_suffix("").as_posix())
                records.append(Record(name, image, Lines(text, vocabulary), name, own_split(place.parent)))
            faults += [Fault(path, "is a label file without image") for path in texts.values() if _is_label(path)]
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        truth: Lines = record.truth
        regions, labels = [], []
        for number, line in enumerate(_lines(truth.file), 1) if truth.file else ():
            label, shares = _parsed(line, f"{str(truth.file)!r}: line {number}")
            try:
                points = [share * shape[1 - i % 2] for i, share in enumerate(shares)]
                regions.append(region([points], shape))
                labels.append(label)
            except FlawedRegion as error:
                faults.append(Fault(truth.file, f"line {number} {error}"))  # type: ignore[arg-type]
        vocabulary = truth.vocabulary + tuple(map(str, range(len(truth.vocabulary), max(labels, default=-1) + 1)))
        return [painted(regions, labels, vocabulary, shape)]


def _places(root: Path) -> list[tuple[Path, Path]]:
    """(images, labels) of the folder, or of each of its subfolders."""
    return [
        (base / "images", base / "labels")
        for base in (root, *folders(root))
        if (base / "images").is_dir() and (base / "labels").is_dir()
    ]


def _lines(path: Path) -> list[str]:
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{str(path)!r}: wanted a label file of at most {MAX_BYTES >> 20} MiB; split the image")
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r}: wanted text, got {error}; export the labels again") from error


def _parsed(line: str, what: str) -> tuple[int, list[float]]:
    """(class, shares). Raises InputError for a box and for anything that is no line of numbers."""
    try:
        label, shares = int(line.split()[0]), [float(word) for word in line.split()[1:]]
    except ValueError as error:
        raise InputError(f"{what}: wanted `class x1 y1 x2 y2 ...`, got {line[:40]!r}; export it again") from error
    if len(shares) == 4:
        raise InputError(f"{what}: wanted a polygon, got a box, which has no outline; export segments, not boxes")
    if not 0 <= label < 2**16 or not all(math.isfinite(share) and -1 <= share <= 2 for share in shares):
        raise InputError(f"{what}: wanted a class from 0 and shares from 0 to 1, got {line[:40]!r}; export it again")
    return label, shares


def _is_label(path: Path) -> bool:
    """Whether the first line begins as one of a label file; `classes.txt` and notes do not."""
    with open(path, "rb") as file:
        words = file.read(400).split(b"\n")[0].split()
    try:
        return len(words) > 4 and int(words[0]) >= 0 and len([float(word) for word in words[1:4]]) == 3
    except ValueError:
        return False


def _vocabulary(root: Path) -> tuple[str, ...]:
    """`names` of the first .yaml that has them, a list or a mapping from 0; else none, and classes go by number."""
    for path in files(root, {".yaml", ".yml"}):
        if path.stat().st_size > MAX_BYTES:
            continue
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{str(path)!r}: wanted YAML, got {' '.join(str(error).split())[:120]}") from error
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict) and sorted(map(str, names)) == sorted(map(str, range(len(names)))):
            names = [names[key] for key in sorted(names, key=lambda key: int(key))]
        if isinstance(names, list):
            return tuple(map(str, names))
    return ()
