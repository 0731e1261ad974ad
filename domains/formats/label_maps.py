"""Images with label pictures: maps of ids, or binary masks whose connected components are the entities.

`images/` beside `labels/` or `masks/` (or split first: `train/images`, or last: `images/train`), the label called as
its image; or the label beside its image, `<stem>_mask.png`, `<stem>_labels.tif`.
"""

from __future__ import annotations

import csv
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np

from domains.entities import EntityMap
from domains.errors import InputError
from domains.formats.drawing import same_size
from domains.formats.finding import Key, files, folders, own_split, pair, printable, visible, walk
from domains.formats.geojson_frame import RESULTS
from domains.formats.label_meanings import LabelPicture, LabelSet
from domains.formats.label_pictures import stored_labels
from domains.formats.layout import Assumption, Fault, Layout, Listing, Record
from domains.formats.nested_labels import with_nested
from domains.options import Labels
from domains.scenes.results import LABELS

WEIGHTS = ".weights.csv"
"""Of the entities of NAME.labels.tif, how much each counts in the loss: `id,weight`."""
MOST_BYTES = 2**26
IMAGE_FOLDERS = ("images", "image", "imgs", "img")
LABEL_FOLDERS = ("labels", "label", "masks", "mask", "instances", "groundtruth", "ground_truth", "gt", "annotations")
IMAGE_ENDINGS = ("_image", "_img")
LABEL_ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_instances", "_seg", "_gt", ".labels")


class LabelMaps(Layout):
    name = "label_maps"
    entities = (
        "one id of a label map; where the maps are masks or classes, one 8-connected component of a mask or class"
    )
    label_pictures = True
    expects = (
        "images/ with labels/ or masks/ of the same file names, or <stem>_mask.png, <stem>_labels.tif beside <stem>.png"
    )

    def matches(self, root: Path) -> bool:
        """Whether the folder holds images beside label pictures."""
        return bool(_folder_pairs(root) or _beside(root) or _predicted(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its label picture, and what has no counterpart."""
        pairs, faults = [], []
        for images, labels in _folder_pairs(root):
            paired, alone = pair(walk(images), walk(labels), "label picture", _rounds(images, labels))
            pairs += paired
            faults += alone
        for folder in _beside(root) if not pairs and not faults else ():
            pictures = files(folder)
            labels = [path for path in pictures if _is_label(path)]
            images = [path for path in pictures if path not in labels]
            paired, alone = pair(images, labels, "label picture", _rounds(folder, folder))
            pairs += paired
            faults += alone
        for folder in _predicted(root) if not pairs and not faults else ():
            paired, alone = pair(files(folder), _results(folder), "label picture", _rounds(folder, folder))
            pairs += paired
            faults += [*alone, Assumption(folder, RESULTS)]
        among = LabelSet(label for _, label in pairs)
        records = []
        for image, label in pairs:
            place = image.relative_to(root)
            name = printable(place.with_suffix("").as_posix())
            records.append(Record(name, image, LabelPicture(label, among), group=name, split=own_split(place.parent)))
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """What the numbers of the label picture mean; of labels that `pseudo-label` wrote all that is nested too. See
        `Layout.truths`.
        """
        truth = truth_of_picture(self, record, shape, faults)
        weighted = with_weights(truth, record.truth.path)
        return [truth] if weighted is truth else with_nested(weighted, record.truth.path, LABELS)


def truth_of_picture(
    layout: Layout, record: Record, shape: tuple[int, int], faults: list[Fault], default: Labels | None = None
) -> EntityMap:
    """The truth of a record whose truth is a `LabelPicture`; what was assumed is added to `faults`.

    default: what the numbers are where the layout is asked for nothing, None to decide. Raises InputError.
    """
    picture: LabelPicture = record.truth
    if picture.path.name.endswith(LABELS):
        default = default or "ids"  # of predict, and of whoever names a map so
    truth, notes = picture.truth(layout.reading.labels or default, layout.reading.void)
    same_size(record.image, shape, picture.path, truth.shape)
    faults += [Assumption(picture.path, note) for note in notes]
    return truth


def with_weights(truth: EntityMap, labels: Path) -> EntityMap:
    """The truth with the weights that lie beside its labels, where `pseudo-label` wrote some; ids without a row, as of
    an entity that somebody drew, count whole. Raises InputError for a damaged table.
    """
    path = labels.with_name(labels.name.removesuffix(LABELS) + WEIGHTS)
    if not labels.name.endswith(LABELS) or not path.is_file() or not truth.count:
        return truth
    kept = np.unique(stored_labels(labels).values)
    kept = kept[kept > 0]
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("too large")
        rows = list(csv.reader(path.read_text("utf-8").splitlines()))
        if rows[:1] != [["id", "weight"]]:
            raise ValueError(f"begins with {rows[:1]!r:.60}")
        weights = {int(number): float(weight) for number, weight in rows[1:]}
        if not all(0 <= weight <= 1 for weight in weights.values()):
            raise ValueError("weights beyond 0 to 1")
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r}: wanted rows of id,weight as `pseudo-label` writes them: {error}") from error
    scores = np.array([weights.get(int(number), 1.0) for number in kept], np.float32)
    return replace(truth, scores=scores) if len(scores) == truth.count else truth


def _folder_pairs(root: Path) -> list[tuple[Path, Path]]:
    """(images folder, labels folder) of the root and of its subfolders (train/, val/, test/), or `x` and `x_labels`."""
    pairs = []
    for base in (root, *folders(root)):
        inner = {folder.name.lower(): folder for folder in folders(base)}
        images = [inner[name] for name in IMAGE_FOLDERS if name in inner]
        labels = [inner[name] for name in LABEL_FOLDERS if name in inner]
        labels = [folder for folder in labels if walk(folder)]
        if images and labels:
            pairs.append((images[0], labels[0]))
        for name, folder in inner.items():
            apart = [inner[name + ending] for ending in LABEL_ENDINGS if name + ending in inner]
            if apart and walk(folder) and walk(apart[0]):
                pairs.append((folder, apart[0]))
    return pairs


def _beside(root: Path) -> list[Path]:
    """The root and those of its subfolders in which a label picture lies beside its image."""
    places = [(folder, files(folder)) for folder in (root, *folders(root))]
    return [folder for folder, pictures in places if any(_is_label(path) for path in pictures)]


def _predicted(root: Path) -> list[Path]:
    """The root and those of its subfolders in which `predict` wrote labels beside the images."""
    return [folder for folder in (root, *folders(root)) if _results(folder) and files(folder)]


def _results(folder: Path) -> list[Path]:
    return sorted(path for path in visible(folder) if path.name.endswith(LABELS) and path.is_file())


def _is_label(path: Path) -> bool:
    """Whether `path` is called as the label picture of another file that lies beside it."""
    return path.stem.lower().endswith(LABEL_ENDINGS)


def _rounds(images: Path, labels: Path) -> list[tuple[Key, Key]]:
    """Same path below the two folders; else the same without `_img` and `_mask`; else with accents composed."""

    def key(base: Path, endings: tuple[str, ...] = (), form: bool = False) -> Key:
        def below(path: Path) -> str:
            ending = next((ending for ending in endings if path.stem.lower().endswith(ending)), "")
            stem = path.stem[: len(path.stem) - len(ending)]
            text = (path.parent.relative_to(base) / stem).as_posix()
            return unicodedata.normalize("NFC", text) if form else text

        return below

    return [
        (key(images), key(labels)),
        (key(images), key(labels, LABEL_ENDINGS)),
        (key(images, IMAGE_ENDINGS, form=True), key(labels, LABEL_ENDINGS, form=True)),
        (key(images, (".ome",), form=True), key(labels, (*LABEL_ENDINGS, ".ome"), form=True)),
    ]
