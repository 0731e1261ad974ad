"""YOLO segmentation: a text file per image, a polygon per line.

https://docs.ultralytics.com/datasets/segment/: `class x1 y1 x2 y2 ...`, coordinates as shares of width and height.
`images/` beside `labels/`, the split above or below them (`train/images`, `images/train`); names of the classes in
`data.yaml` or any .yaml with `names`. By the format's rule an image without a file, or with an empty one, has no
entity, and images of one stem share a file, unless one is called `<name>.jpg.txt`. But where a label file that belongs
to no image is called as an image without one, that image is left out: its labels lie elsewhere. A line of five numbers
is a box, which has no outline: an image with one is refused.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from domains.entities import EntityMap
from domains.errors import InputError
from domains.formats.coco_regions import region
from domains.formats.export_files import record_of
from domains.formats.finding import files, folders, walk
from domains.formats.layout import Assumption, Fault, Layout, Listing, Record
from domains.formats.shapes import Shape, draw_all, told_boxes
from domains.scenes.names import composed

MAX_BYTES = 64 * 2**20  # of a label file or a table of names
SHARED = "is the label file of several images of one stem, as the format has it; each is read with it"


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
        """Whether the folder holds images/ beside labels/ of YOLO's."""
        return any(_is_label(path) for _, labels in _places(root) for path in walk(labels, {".txt"}, depth=2))

    def listing(self, root: Path) -> Listing:
        """Each image with its text file, and what has no counterpart."""
        vocabulary = _vocabulary(root)
        records: list[Record] = []
        faults: list[Fault] = []
        alone: list[Path] = []
        for images, labels in _places(root):
            texts = Texts(labels)
            for image in walk(images):
                text = texts.of(image.relative_to(images))
                records.append(record_of(root, image, Lines(text, vocabulary)))
            alone += [path for path, count in texts.uses.items() if not count and _is_label(path)]
            faults += [Assumption(path, SHARED) for path, count in texts.uses.items() if count > 1]
        labelled = [record.truth.file for record in records if record.truth.file]
        if alone and not any(_is_label(path) for path in labelled):
            raise InputError(
                f"{str(root)!r}: wanted label files called as their images, got {len(alone)} that belong to none "
                f"(first: {alone[0].name!r}); they would all be taken for empty: give both one name"
            )
        faults += [Fault(path, "is a label file without image") for path in alone]
        strays = {folded(path): path.relative_to(root).as_posix() for path in alone}
        lost = [record for record in records if record.truth.file is None and folded(record.image) in strays]
        for image in [record.image for record in lost]:
            why = f"has no label file in its place, but there is {strays[folded(image)]!r:.80}; left out"
            faults.append(Fault(image, why))
        left_out = {record.image for record in lost}
        outlines = (_outline(line) for path in dict.fromkeys(labelled) for line in _readable(path))
        told_boxes(root, outlines, faults)
        return Listing([record for record in records if record.image not in left_out], faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The polygons with their classes; see `Layout.truths`."""
        truth: Lines = record.truth
        source = f"{str(truth.file)!r}: line"
        lines = [_parsed(line, f"{source} {i}") for i, line in enumerate(_lines(truth.file), 1)] if truth.file else []
        highest = max((label for label, _ in lines), default=-1)
        vocabulary = truth.vocabulary + tuple(map(str, range(len(truth.vocabulary), highest + 1)))
        shapes = [
            Shape(truth.file or record.image, f"line {i}", shares, vocabulary[label])
            for i, (label, shares) in enumerate(lines, 1)
        ]
        return [draw_all(shapes, vocabulary, record.name, shape, _pixels, faults)]


class Texts:
    """The label files below a folder. uses: of how many images each was taken for."""

    def __init__(self, labels: Path):
        paths = walk(labels, {".txt"})
        self.uses: dict[Path, int] = dict.fromkeys(paths, 0)
        self.by_place = {path.relative_to(labels).with_suffix("").as_posix(): path for path in paths}
        self.by_form = {composed(place): path for place, path in self.by_place.items()}
        small: dict[str, list[Path]] = defaultdict(list)
        for place, path in self.by_form.items():
            small[place.casefold()].append(path)
        self.by_small_form = {place: namesakes[0] for place, namesakes in small.items() if len(namesakes) == 1}

    def of(self, image: Path) -> Path | None:
        """The label file of an image, named from its folder: of its whole name, else of its stem; accents and, where
        nothing else is called so, capitals apart."""
        full, bare = image.as_posix(), image.with_suffix("").as_posix()
        forms = composed(full), composed(bare)
        tried = [self.by_place.get(place) for place in (full, bare)]
        tried += [self.by_form.get(place) for place in forms]
        tried += [self.by_small_form.get(place.casefold()) for place in forms]
        text = next((path for path in tried if path is not None), None)
        if text is not None:
            self.uses[text] += 1
        return text


def folded(path: Path) -> str:
    """The file's name without suffix, alike however its letters are composed and capitalised."""
    return composed(path.stem).casefold()


def _pixels(line: Shape, shape: tuple[int, int]) -> np.ndarray:
    return region([[share * shape[1 - i % 2] for i, share in enumerate(line.geometry)]], shape)


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


def _parsed(line: str, source: str) -> tuple[int, list[float]]:
    """(class, shares). Raises InputError for a box and for anything that is no line of numbers."""
    try:
        label, shares = _class(line.split()[0]), [float(word) for word in line.split()[1:]]
    except (ValueError, OverflowError) as error:
        raise InputError(f"{source}: wanted `class x1 y1 x2 y2 ...`, got {line[:40]!r}; export it again") from error
    if len(shares) == 4:
        raise InputError(f"{source}: wanted a polygon, got a box, which has no outline; export segments, not boxes")
    if _is_pose(shares):
        raise InputError(
            f"{source}: wanted a polygon, got a box with key points, which have no outline; export segments"
        )
    if not 0 <= label < 2**16 or not all(math.isfinite(share) and -1 <= share <= 2 for share in shares):
        raise InputError(f"{source}: wanted a class from 0 and shares from 0 to 1, got {line[:40]!r}; export it again")
    return label, shares


def _is_pose(shares: list[float]) -> bool:
    """Whether numbers are a box and triples x, y, visibility (0, 1 or 2), as ultralytics' pose labels are."""
    visible = shares[6::3]
    return (
        len(shares) > 4
        and (len(shares) - 4) % 3 == 0
        and {*visible} <= {0, 1, 2}
        and (2 in visible or len(visible) > 3)
    )


def _class(word: str | bytes) -> int:
    """A class is a whole number; what went through numpy has it as `0.000000`. Raises ValueError."""
    value = float(word)
    if value != math.floor(value):
        raise ValueError(f"{word!r} is no whole number")
    return int(value)


def _readable(path: Path) -> list[str]:
    """The lines of a label file; none where it cannot be read, which is told when its image is."""
    try:
        return _lines(path)
    except InputError:
        return []


def _outline(line: str) -> list[float] | None:
    try:
        return [float(word) for word in line.split()[1:]]
    except ValueError:
        return None


def _is_label(path: Path) -> bool:
    """Whether the first line begins as one of a label file; `classes.txt` and notes do not."""
    with open(path, "rb") as file:
        words = file.read(400).removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n")[0].split()
    try:
        return len(words) > 4 and _class(words[0]) >= 0 and len([float(word) for word in words[1:4]]) == 3
    except (ValueError, OverflowError):  # infinity is no whole number either
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
