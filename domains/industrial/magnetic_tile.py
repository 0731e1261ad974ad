"""Magnetic tile defects: a folder per defect class, each photograph beside its mask.

Huang, Qiu, Yuan, The Visual Computer 36, 85-96 (2020). `MT_<class>/Imgs/exp<k>_num_<n>.jpg` and `.png`. The masks
are binary with soft edges and stray pixels: above 127 is defect, and a defect has at least 5 pixels. Every tile was
photographed under several exposures with nearby numbers, hence the groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from domains.formats.drawing import components, same_size
from domains.formats.finding import files, folders, pair, printable
from domains.formats.label_pictures import read_mask
from domains.formats.layout import EntityMap, Fault, InputError, Layout, Listing, Record

DEFECTS = ("MT_Blowhole", "MT_Break", "MT_Crack", "MT_Fray", "MT_Uneven")
SMALLEST_PX = 5
GROUP_GAP = 400  # photographs of one tile have numbers closer than this


class MagneticTile(Layout):
    name = "magnetic_tile"
    entities = "one 8-connected component of a defect of at least 5 px; MT_Free has none"
    expects = "MT_<class>/Imgs/exp<k>_num_<n>.jpg with exp<k>_num_<n>.png beside it"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds MT_<defect> folders."""
        return any(folder.name in (*DEFECTS, "MT_Free") and (folder / "Imgs").is_dir() for folder in folders(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its mask, and what has no counterpart."""
        tiles, faults = [], []
        for folder in folders(root):
            if not folder.name.startswith("MT_"):
                continue
            if folder.name not in (*DEFECTS, "MT_Free"):
                faults.append(Fault(folder, f"is no known class, wanted one of {', '.join(DEFECTS)}, MT_Free"))
                continue
            pictures = files(folder / "Imgs")
            masks = [path for path in pictures if path.suffix.lower() == ".png"]
            pairs, alone = pair([path for path in pictures if path not in masks], masks, "mask")
            tiles += [(folder.name, *files_of_tile) for files_of_tile in pairs]
            faults += alone
        groups = _groups(image for _, image, _ in tiles)
        records = [
            Record(f"{kind}/{printable(image.stem)}", image, mask, group=groups[image], stratum=kind)
            for kind, image, mask in tiles
        ]
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The components of the mask with the defect's class; see `Layout.truths`."""
        mask = read_mask(record.truth)
        same_size(record.image, shape, record.truth, mask.shape)
        truth = EntityMap(components(mask, SMALLEST_PX))
        if record.stratum == "MT_Free":
            return [truth]
        if not truth.count:
            raise InputError(
                f"{str(record.truth)!r}: wanted a defect of at least {SMALLEST_PX} px, as the image is in "
                f"{record.stratum}, got none; complete the mask or move the image to MT_Free"
            )
        labels = np.full(truth.count, DEFECTS.index(record.stratum), np.int32)
        return [EntityMap(truth.ids, labels=labels, vocabulary=DEFECTS)]


def _groups(images: Iterable[Path]) -> dict[Path, str]:
    """Runs of numbers, over all classes, without a gap above `GROUP_GAP`; an image without number stands alone."""
    numbers = {image: int(match[1]) for image in images if (match := re.search(r"num_(\d+)", image.stem))}
    groups = {image: printable(image.stem) for image in images}
    start = previous = None
    for image, number in sorted(numbers.items(), key=lambda item: item[1]):
        if previous is None or number - previous > GROUP_GAP:
            start = number
        groups[image], previous = f"num_{start}", number
    return groups
