"""DAGM 2007: ten made-up textures, each with one kind of defect, roughly outlined by an ellipse.

Wieler and Hahn, Weakly supervised learning for industrial optical inspection, DAGM 2007 (10.5281/zenodo.8086136).
`Class<k>/Train/NNNN.PNG`, `Class<k>/Test/NNNN.PNG`, and for a defective one `Label/NNNN_label.PNG` below the same
folder; an image without a label is good. Train and Test are the set's own.
"""

from __future__ import annotations

import re
from pathlib import Path

from domains.formats.finding import files, folders, own_split, printable
from domains.formats.layout import EntityMap, Fault, Layout, Listing, Record
from domains.industrial.defects import Defect

CLASS = re.compile(r"Class\d+", re.IGNORECASE)
PARTS = ("Train", "Test")


class Dagm(Layout):
    name = "dagm"
    before = "slides"  # and after published sets whose folders have rarer names
    entities = "one 8-connected component of a label (an ellipse about the defect); images without label have none"
    expects = "Class<k>/Train and Class<k>/Test with NNNN.PNG, and Label/NNNN_label.PNG of the defective ones"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds Class<k> folders with labels."""
        return any((folder / half / "Label").is_dir() for folder in _classes(root) for half in PARTS)

    def listing(self, root: Path) -> Listing:
        """Each image with its label, where it has one, and what has no counterpart."""
        vocabulary = tuple(printable(folder.name) for folder in _classes(root))
        records, faults = [], []
        for label, folder in enumerate(_classes(root)):
            for half in PARTS:
                masks = {_number(path): path for path in files(folder / half / "Label")}
                for image in files(folder / half):
                    mask = masks.pop(_number(image), None)
                    name = f"{vocabulary[label]}/{half}/{printable(image.stem)}"
                    truth = Defect((mask,), label, vocabulary) if mask else Defect()
                    kind = f"{vocabulary[label]}/{'defect' if mask else 'good'}"
                    records.append(Record(name, image, truth, name, own_split(Path(half)), stratum=kind))
                faults += [Fault(path, "is a label without image") for path in masks.values()]
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The components of the label; see `Layout.truths`."""
        defect: Defect = record.truth
        return [defect.truth(record.image, shape)]


def _number(path: Path) -> str:
    """Of an image or its label, however many zeros and capitals it is written with."""
    return path.stem.lower().removesuffix("_label").lstrip("0")


def _classes(root: Path) -> list[Path]:
    """In the order of their numbers."""
    classes = [folder for folder in folders(root) if CLASS.fullmatch(folder.name)]
    return sorted(classes, key=lambda folder: int(re.sub(r"\D", "", folder.name)))
