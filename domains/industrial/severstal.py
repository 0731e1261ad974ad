"""Severstal steel defects: strips of 1600 x 256 px, four classes of defect as run lengths in one table.

Kaggle, Severstal: Steel Defect Detection (2019). `train.csv` with `ImageId,ClassId,EncodedPixels` (only defects are
listed) or, in its first version, `ImageId_ClassId,EncodedPixels` (four rows an image, empty where there is nothing);
images in `train_images/`. Runs are pairs "start length", starts count from 1, down the columns. An image that no run
names is good; one whose row has no class is left out. `test_images/` has no truth and is left out.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domains.formats.drawing import components, painted
from domains.formats.finding import files, printable
from domains.formats.layout import EntityMap, Fault, InputError, Layout, Listing, Record

TABLE, IMAGES = "train.csv", "train_images"
FIELD = 16 * 2**20  # characters of one mask: above any that fits an image


@dataclass(frozen=True)
class Runs:
    """masks: (index into the vocabulary, "start length start length ...") of each class in the image."""

    table: Path
    masks: tuple[tuple[int, str], ...]
    vocabulary: tuple[str, ...]


class Severstal(Layout):
    name = "severstal"
    before = "slides"  # and after published sets whose folders have rarer names
    entities = "one 8-connected component of the mask of one class; images without a row have none"
    expects = "train.csv with ImageId, ClassId, EncodedPixels and the images in train_images/"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds the table of runs beside train_images/."""
        if not (root / IMAGES).is_dir() or not (root / TABLE).is_file():
            return False
        with open(root / TABLE, "rb") as file:
            return b"EncodedPixels" in file.read(200)

    def listing(self, root: Path) -> Listing:
        """Each image with its rows of the table, and what has no counterpart."""
        faults: list[Fault] = []
        rows: dict[str, list[tuple[str, str]]] = defaultdict(list)
        spelled: dict[str, str] = {}
        for image, kind, runs in _rows(root / TABLE, faults):
            rows[_key(image)].append((kind, runs))
            spelled[_key(image)] = image
        images = files(root / IMAGES)
        vocabulary = tuple(sorted({kind for masks in rows.values() for kind, _ in masks if kind}))
        records = []
        belongs = not rows or bool(rows.keys() & {_key(image.name) for image in images})
        for image in images if belongs else ():
            runs_of_classes = rows.pop(_key(image.name), [])
            if any(not kind for kind, _ in runs_of_classes):
                faults.append(Fault(image, f"has a row without class in {TABLE}"))
                continue
            kinds = sorted({kind for kind, _ in runs_of_classes})
            masks = tuple((vocabulary.index(kind), runs) for kind, runs in runs_of_classes)
            name = printable(image.stem)
            stratum = "class " + "+".join(kinds) if kinds else "good"
            records.append(Record(name, image, Runs(root / TABLE, masks, vocabulary), name, stratum=stratum))
        faults += [Fault(root / TABLE, f"names {spelled[image]!r}, which is not in {IMAGES}") for image in rows]
        if not belongs:  # then no image is known to be good either
            faults += [Fault(image, f"is in a folder of which {TABLE} names no image") for image in images]
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The components of each class; see `Layout.truths`."""
        truth: Runs = record.truth
        regions, labels = [], []
        for label, runs in truth.masks:
            ids = components(_mask(runs, shape, f"{str(truth.table)!r}: the mask of {record.name!r}"))
            order = np.argsort(ids, axis=None, kind="stable")
            defects = np.split(order, np.searchsorted(ids.ravel()[order], np.arange(1, ids.max() + 1)))[1:]
            regions += defects
            labels += [label] * len(defects)
        return [painted(regions, labels, truth.vocabulary, shape)]


def _key(image: str) -> str:
    """By which a row finds its image: its name without suffix and capitals, as images are converted."""
    return Path(image).stem.casefold()


def _rows(table: Path, faults: list[Fault]) -> Iterator[tuple[str, str, str]]:
    """(image file, class or "", runs) of every row that has runs. Raises InputError for other columns."""
    with _wide_fields(), open(table, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            columns = {(name or "").strip(): name for name in reader.fieldnames or ()}
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{str(table)!r}: its first line: {error}; copy the table again") from error
        joint = "ImageId_ClassId" in columns
        if "EncodedPixels" not in columns or not (joint or {"ImageId", "ClassId"} <= set(columns)):
            raise InputError(
                f"{str(table)!r}: wanted the columns ImageId, ClassId, EncodedPixels, got {sorted(columns)}"[:300]
            )
        try:
            for row in reader:
                runs = (row[columns["EncodedPixels"]] or "").strip()
                if joint:
                    image, _, kind = (row[columns["ImageId_ClassId"]] or "").rpartition("_")
                else:
                    image, kind = (row[columns[name]] or "" for name in ("ImageId", "ClassId"))
                if runs and image:
                    yield image.strip(), kind.strip(), runs
                elif runs:
                    faults.append(Fault(table, f"line {reader.line_num} has runs, but no image"))
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{str(table)!r}: line {reader.line_num}: {error}; copy the table again") from error


@contextmanager
def _wide_fields() -> Iterator[None]:
    before = csv.field_size_limit(FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _mask(runs: str, shape: tuple[int, int], source: str) -> np.ndarray:
    """(H, W) bool. Raises InputError for what are no runs inside an image of that shape."""
    try:
        numbers = np.array(runs.split(), np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{source}: wanted runs 'start length ...', got {runs[:40]!r}; copy the table again"
        ) from error
    starts, lengths = numbers[0::2] - 1, numbers[1::2]
    inside = len(starts) == len(lengths) and (starts >= 0).all() and (lengths > 0).all()
    if not inside or (lengths > shape[0] * shape[1] - starts).any():
        raise InputError(
            f"{source}: wanted pairs of a start from 1 and a length inside {shape[1]} x {shape[0]} px, "
            f"got {runs[:40]!r}; was the image resized?"
        )
    change = np.zeros(shape[0] * shape[1] + 1, np.int32)
    np.add.at(change, starts, 1)
    np.add.at(change, starts + lengths, -1)
    return (np.cumsum(change[:-1]) > 0).reshape(shape[1], shape[0]).T
