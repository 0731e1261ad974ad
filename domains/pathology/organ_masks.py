"""NuInsSeg and CryoNuSeg: `tissue images` with 16-bit `label masks`, both made by one group with ImageJ.

NuInsSeg: Mahbod et al., Scientific Data 11, 295 (2024). A folder per organ (`human bladder`) with `tissue images/`,
`label masks modify/` and, of what the annotators were not sure about, `vague areas/mask binary/`: unlabelled here.
CryoNuSeg: Mahbod et al., Computers in Biology and Medicine 132, 104349 (2021). One `tissue images/`, and a folder per
annotation (`Annotator 1 (biologist)`, the same a second time, `Annotator 2 (bioinformatician)`), some of them doubled
by the archive; each is a truth of its own.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from domains.entities import UNLABELLED, EntityMap, renumber
from domains.formats.drawing import same_size
from domains.formats.finding import files, folders, pair, printable
from domains.formats.label_pictures import read_ids, read_mask
from domains.formats.layout import Fault, Layout, Listing, Record

IMAGES = "tissue images"
PIXEL_SIZE_M = 0.25e-6
LABELS = ("label masks modify", "label masks")  # `modify`: borders between touching nuclei taken out


class NuInsSeg(Layout):
    name = "nuinsseg"
    entities = "one nucleus of a label mask; vague areas are unlabelled"
    expects = "<organ>/tissue images/<id>.png with <organ>/label masks modify/<id>.tif"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds NuInsSeg's folders of organs."""
        return any((organ / IMAGES).is_dir() and _labels(organ) for organ in folders(root))

    def listing(self, root: Path) -> Listing:
        """An organ is a group: which of its pictures come from one slide is not told."""
        records, faults = [], []
        for organ in folders(root):
            labels = _labels(organ)
            if labels is None or not (organ / IMAGES).is_dir():
                continue
            vague = {path.stem: path for path in files(organ / "vague areas" / "mask binary")}
            pairs, alone = pair(files(organ / IMAGES), files(labels), "label mask")
            stems = {path.stem for path in files(organ / IMAGES)}
            alone += [Fault(path, "is a vague area without image") for stem, path in vague.items() if stem not in stems]
            for image, label in pairs:
                kind = printable(organ.name)
                truth = (label, vague.get(image.stem))
                records.append(Record(f"{kind}/{printable(image.stem)}", image, truth, group=kind, stratum=kind))
            faults += alone
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The numbered nuclei, vague areas unlabelled; see `Layout.truths`."""
        label, vague = record.truth
        ids = _read_labels(record, label, shape)
        if vague is not None:
            mask = read_mask(vague)
            same_size(record.image, shape, vague, mask.shape)
            ids = np.where(mask & (ids == 0), UNLABELLED, ids)
        return [EntityMap(ids)]


class CryoNuSeg(Layout):
    name = "cryonuseg"
    entities = "one nucleus of a label mask; each annotation is a truth of its own"
    expects = "tissue images/<id>.tif with Annotator .../label masks modify/<id>.tif"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds CryoNuSeg's tissue images and annotators."""
        return (root / IMAGES).is_dir() and bool(_annotations(root))

    def listing(self, root: Path) -> Listing:
        """An image is a group: the 30 pictures come from 30 slides."""
        images = files(root / IMAGES)
        truths: dict[Path, list[Path]] = {image: [] for image in images}
        faults = []
        for labels in _annotations(root):
            pairs, alone = pair(images, files(labels), f"label mask in {labels.parent.name!r}")
            faults += alone
            for image, label in pairs:
                truths[image].append(label)
        records = []
        for image, labels in truths.items():
            if labels:
                name = printable(image.stem)
                organ = re.sub(r"^human_|_\d+$", "", name, flags=re.IGNORECASE)
                size = PIXEL_SIZE_M if name.lower().startswith("human_") else None  # as the set calls its pictures
                records.append(Record(name, image, tuple(labels), group=name, pixel_size_m=size, stratum=organ))
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """A map per annotator; see `Layout.truths`."""
        return [EntityMap(_read_labels(record, label, shape)) for label in record.truth]


def _read_labels(record: Record, label: Path, shape: tuple[int, int]) -> np.ndarray:
    ids = read_ids(label)
    same_size(record.image, shape, label, ids.shape)
    return renumber(ids)[0]


def _labels(folder: Path) -> Path | None:
    return next((folder / name for name in LABELS if files(folder / name)), None)


def _annotations(root: Path) -> list[Path]:
    """The folder of label masks of every annotator, in a stable order."""
    annotations = []
    for annotator in folders(root):
        if annotator.name.lower().startswith("annotator"):
            labels = _labels(annotator) or next(filter(None, map(_labels, folders(annotator))), None)
            if labels is not None:
                annotations.append(labels)
    return annotations
