"""Images with label pictures: maps of ids, or binary masks whose connected components are the entities.

`images/` beside `labels/` or `masks/` (or split first: `train/images`, or last: `images/train`), the label called as
its image; or the label beside its image, `<stem>_mask.png`, `<stem>_labels.tif`.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np

from domains.entities import EntityMap
from domains.images import read_ids, read_mask
from domains.layouts.drawing import components, same_size
from domains.layouts.finding import Key, files, folders, own_split, pair, printable, walk
from domains.layouts.layout import Fault, Layout, Listing, Record

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
LABEL_FOLDERS = ("labels", "label", "masks", "mask", "instances", "groundtruth", "ground_truth", "gt", "annotations")
IMAGE_ENDINGS = ("_image", "_img")
LABEL_ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_instances", "_seg", "_gt")


class LabelMaps(Layout):
    name = "label_maps"
    entities = (
        "one id of a label map; where a map holds one value besides 0, one 8-connected component of that binary mask"
    )
    expects = (
        "images/ with labels/ or masks/ of the same file names, or <stem>_mask.png, <stem>_labels.tif beside <stem>.png"
    )

    def matches(self, root: Path) -> bool:
        return bool(_folder_pairs(root)) or any(_is_label(path) for path in files(root))

    def listing(self, root: Path) -> Listing:
        records, faults = [], []
        for images, labels in _folder_pairs(root) or [(root, root)]:
            found = walk(images) if images != labels else [path for path in files(root) if not _is_label(path)]
            labelled = walk(labels) if images != labels else [path for path in files(root) if _is_label(path)]
            pairs, alone = pair(found, labelled, "label picture", _rounds(images, labels))
            for image, label in pairs:
                place = image.relative_to(root)
                name = printable(place.with_suffix("").as_posix())
                records.append(Record(name, image, label, group=name, split=own_split(place.parent)))
            faults += alone
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        ids = read_ids(record.truth)
        same_size(record.image, shape, record.truth, ids.shape)
        values = ids[ids > 0]
        if values.size and values.min() == values.max():
            ids = np.where(ids > 0, components(ids > 0), ids)
        elif values.size and values.max() <= 255 and np.mean(values >= 239) > 0.5:
            ids = components(read_mask(record.truth))  # a binary mask 0..255 with soft edges, as `read_mask` takes it
        return [EntityMap.from_ids(ids)]


def _folder_pairs(root: Path) -> list[tuple[Path, Path]]:
    """(images folder, labels folder) of the root, or of each of its subfolders (train/, val/, test/)."""
    pairs = []
    for base in (root, *folders(root)):
        inner = {folder.name.lower(): folder for folder in folders(base)}
        images = [inner[name] for name in IMAGE_FOLDERS if name in inner]
        labels = [inner[name] for name in LABEL_FOLDERS if name in inner]
        labels = [folder for folder in labels if walk(folder)]
        if images and labels:
            pairs.append((images[0], labels[0]))
    return pairs


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
    ]
