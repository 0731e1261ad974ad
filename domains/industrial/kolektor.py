"""KolektorSDD and KolektorSDD2: photographs of commutators and of surfaces, each with a mask, most of them empty.

Tabernik et al., Journal of Intelligent Manufacturing 31 (2020): `kos<NN>/Part<k>.jpg` with `Part<k>_label.bmp`; the
eight parts of a folder are one item, hence a group. Bozic et al., Computers in Industry 129 (2021):
`train/NNNNN.png` with `NNNNN_GT.png`, and `test` likewise, which are the set's own split. Other names, and label
pictures that are no masks, are `label_maps`.
"""

from __future__ import annotations

import re
from pathlib import Path

from domains.formats.drawing import components, same_size
from domains.formats.finding import files, folders, own_split, pair, printable, stem
from domains.formats.label_pictures import hold_masks, read_ids
from domains.formats.layout import EntityMap, Fault, Layout, Listing, Record

ENDINGS = ("_label", "_GT")
MARKS = (
    (re.compile(r"kos\d+"), re.compile(r"Part\d+_label")),
    (re.compile(r"train|test"), re.compile(r"\d{5}_GT")),
)


class Kolektor(Layout):
    name = "kolektor"
    before = "slides"  # and after published sets whose folders have rarer names
    entities = "one 8-connected component of a mask; where the mask is empty there is none"
    expects = "kos<NN>/Part<k>.jpg with Part<k>_label.bmp, or train and test with NNNNN.png and NNNNN_GT.png"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds folders in which pictures and masks are called as in the sets."""
        folders_there = _parts(root)
        return bool(folders_there) and hold_masks(_masks(root), 2 if folders_there[0].name.startswith("kos") else 1)

    def listing(self, root: Path) -> Listing:
        """Each image with its mask, and what has no counterpart."""
        records, faults = [], []
        for folder in _parts(root):
            pictures = files(folder)
            masks = [path for path in pictures if path.stem.endswith(ENDINGS)]
            images = [path for path in pictures if path not in masks]
            pairs, alone = pair(images, masks, "mask", [(stem, _image_of)])
            for image, mask in pairs:
                name = f"{printable(folder.name)}/{printable(image.stem)}"
                item = printable(folder.name) if folder.name.startswith("kos") else name
                records.append(Record(name, image, mask, item, own_split(Path(folder.name))))
            faults += alone
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The components of the mask; see `Layout.truths`."""
        mask = read_ids(record.truth) > 0
        same_size(record.image, shape, record.truth, mask.shape)
        return [EntityMap(components(mask))]


def _image_of(mask: Path) -> str:
    return next(mask.stem.removesuffix(ending) for ending in ENDINGS if mask.stem.endswith(ending))


def _parts(root: Path) -> list[Path]:
    """`kos<NN>` folders with `Part<k>_label` files, train and test with `NNNNN_GT` files."""
    return [
        folder
        for folder in folders(root)
        for place, mask in MARKS
        if place.fullmatch(folder.name) and any(mask.fullmatch(path.stem) for path in files(folder))
    ]


def _masks(root: Path) -> list[Path]:
    return [path for folder in _parts(root) for path in files(folder) if path.stem.endswith(ENDINGS)]
