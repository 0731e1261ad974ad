"""CoNSeP and Lizard: pictures of colon with a MATLAB file each, nuclei with a class.

CoNSeP: Graham et al., Medical Image Analysis 58, 101563 (2019). `Train/Images/train_1.png`, `Train/Labels/train_1.mat`
(and `Test/`) with `inst_map` and `type_map`. Pictures of other names are another's, in HoVer-Net's form: their classes
are numbers, and their pixel size is unknown.
Lizard: Graham et al., ICCV workshops 2021, https://arxiv.org/abs/2108.11195. `Lizard_Images1/`, `Lizard_Images2/` and
`Lizard_Labels/Labels/<id>.mat` with `inst_map`, `id` and `class`, `Lizard_Labels/info.csv` with each picture's split.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from domains.entities import EntityMap, renumber
from domains.errors import InputError
from domains.formats.drawing import same_size
from domains.formats.finding import files, folders, own_split, pair, printable
from domains.formats.layout import SPLITS, Fault, Layout, Listing, Record, Split
from domains.formats.matlab import read_mat

CONSEP_CLASSES = (
    "other", "inflammatory", "healthy epithelial", "malignant epithelial", "fibroblast", "muscle", "endothelial",
)  # fmt: skip
LIZARD_CLASSES = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")


class CoNSeP(Layout):
    name = "consep"
    entities = "one nucleus of one of seven classes"
    expects = "Train/Images/<id>.png with Train/Labels/<id>.mat, and Test/ likewise"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds Images/ beside Labels/ of CoNSeP's MAT files."""
        return bool(_consep_parts(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its MAT file, and what has no counterpart."""
        records, faults = [], []
        for folder in _consep_parts(root):
            inner = _by_name(folder)
            pairs, alone = pair(files(inner["images"]), files(inner["labels"], {".mat"}), "label file")
            for image, label in pairs:
                name = printable(image.stem)
                split = own_split(Path(folder.name))
                size = 0.25e-6 if _is_consep(image) else None
                records.append(Record(f"{printable(folder.name)}/{name}", image, label, name, split, size))
            faults += alone
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """`inst_map` with the type of each nucleus; see `Layout.truths`."""
        ids = _instances(record, shape)
        types = _whole(record.truth, "type_map")
        same_size(record.image, shape, record.truth, types.shape)
        dense, kept = renumber(ids)
        if types.min(initial=0) < 0 or types.max(initial=0) > len(CONSEP_CLASSES):
            raise _no_class(record.truth, types.max(initial=0), CONSEP_CLASSES)
        votes = np.zeros((len(kept) + 1, len(CONSEP_CLASSES) + 1), np.int64)  # pixels of each entity, of each class
        np.add.at(votes, (dense.ravel(), types.ravel()), 1)
        labels = votes[1:, 1:].argmax(axis=1).astype(np.int32)
        numbers = tuple(map(str, range(1, 1 + len(CONSEP_CLASSES))))
        return [EntityMap(dense, labels=labels, vocabulary=CONSEP_CLASSES if _is_consep(record.image) else numbers)]


class Lizard(Layout):
    name = "lizard"
    entities = "one nucleus of one of six classes"
    expects = "Lizard_Images1/<id>.png, Lizard_Images2/<id>.png with Lizard_Labels/Labels/<id>.mat"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds Lizard's images beside its MAT files."""
        labels, images = _lizard_parts(root)
        return labels is not None and bool(images)

    def listing(self, root: Path) -> Listing:
        """The splits 1, 2, 3 of info.csv are train, val and test."""
        labels, images = _lizard_parts(root)
        assert labels is not None
        splits = _lizard_splits(labels.parent / "info.csv")
        pictures = [image for folder in images for image in files(folder)]
        pairs, faults = pair(pictures, files(labels, {".mat"}), "label file")
        records = []
        for image, label in pairs:
            name = printable(image.stem)
            source = name.partition("_")[0]  # consep, crag, dpath, glas, pannuke
            records.append(Record(name, image, label, name, splits.get(image.stem), 0.5e-6, source))
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """`inst_map` with the class of each nucleus; see `Layout.truths`."""
        ids = _instances(record, shape)
        numbers, classes = (_whole(record.truth, name).ravel() for name in ("id", "class"))
        if len(numbers) != len(classes):
            raise InputError(
                f"{str(record.truth)!r}: wanted a class per id, got {len(classes)} for {len(numbers)}; copy it again"
            )
        dense, kept = renumber(ids)
        class_of = dict(zip(numbers.tolist(), classes.tolist(), strict=True))
        named = [class_of.get(int(number), 0) for number in kept]
        if any(not 1 <= number <= len(LIZARD_CLASSES) for number in named):
            raise _no_class(record.truth, next(number for number in named if not 1 <= number <= 6), LIZARD_CLASSES)
        return [EntityMap(dense, labels=np.array(named, np.int32) - 1, vocabulary=LIZARD_CLASSES)]


def _instances(record: Record, shape: tuple[int, int]) -> np.ndarray:
    ids = _whole(record.truth, "inst_map")
    same_size(record.image, shape, record.truth, ids.shape)
    return ids


def _whole(path: Path, variable: str) -> np.ndarray:
    """A variable of whole numbers from 0 on, as int32 (MATLAB keeps them as doubles)."""
    values = np.asarray(read_mat(path, variable))
    numbers = values.ndim == 2 and values.dtype.kind in "uif"
    if not numbers or (values != np.round(values)).any() or values.min(initial=0) < 0 or values.max(initial=0) >= 2**31:
        raise InputError(f"{str(path)!r}: wanted {variable!r} as a table of whole numbers from 0 on; copy it again")
    return values.astype(np.int32)


def _no_class(path: Path, came: int, classes: tuple[str, ...]) -> InputError:
    return InputError(f"{str(path)!r}: wanted classes 1 to {len(classes)} ({', '.join(classes)}), got {came}; copy it")


def _by_name(folder: Path) -> dict[str, Path]:
    return {inner.name.lower(): inner for inner in folders(folder)}


def _is_consep(image: Path) -> bool:
    return re.fullmatch(r"(train|test)_\d+", image.stem, re.IGNORECASE) is not None


def _consep_parts(root: Path) -> list[Path]:
    """Train and Test, of the root or of a folder in it."""
    for base in (root, *folders(root)):
        splits = []
        for folder in folders(base):
            inner = _by_name(folder)
            if "images" in inner and files(inner.get("labels", folder / "none"), {".mat"}):
                splits.append(folder)
        if splits:
            return splits
    return []


def _lizard_parts(root: Path) -> tuple[Path | None, list[Path]]:
    """(Labels, folders of images); the archives put a folder of the same name into each."""
    labels, images = None, []
    for folder in (inner for outer in folders(root) for inner in (outer, *folders(outer))):
        name = folder.name.lower()
        if name == "lizard_labels" and files(folder / "Labels", {".mat"}):
            labels = folder / "Labels"
        elif name.startswith("lizard_images") and files(folder):
            images.append(folder)
    return labels, images


def _lizard_splits(path: Path) -> dict[str, Split]:
    """Split of each picture; none where the table is missing or has other columns."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    rows = csv.DictReader(text)
    numbers = {"1": 0, "2": 1, "3": 2}
    return {
        str(row.get("Filename")): SPLITS[numbers[str(row.get("Split")).strip()]]
        for row in rows
        if str(row.get("Split")).strip() in numbers
    }
