"""Data Science Bowl 2018: one folder per image, one binary mask file per nucleus.

Caicedo et al., Nature Methods 16, 1247-1253 (2019), BBBC038. `stage1_train/<id>/images/<id>.png` and
`<id>/masks/*.png`; both modalities (H&E and brightfield, fluorescence) lie like this. A folder with one image and masks
of other names is such a case; where a mask is called as the image (`images/` beside `masks/`), it is `label_maps`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from domains.entities import EntityMap
from domains.formats.drawing import paint, same_size
from domains.formats.finding import files, folders, printable
from domains.formats.label_maps import LABEL_ENDINGS
from domains.formats.label_pictures import read_mask
from domains.formats.layout import Fault, Layout, Listing, Record


class Dsb2018(Layout):
    name = "dsb2018"
    entities = "one nucleus; where two annotated nuclei overlap the smaller one lies on top"
    expects = "[stage1_train/]<id>/images/<id>.png with <id>/masks/*.png"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds a folder per image with images/ and masks/."""
        return bool(_cases(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its folder of masks, and what has no counterpart."""
        records, faults = [], []
        for case in _cases(root):
            images, masks = files(case / "images"), files(case / "masks")
            if len(images) != 1:
                faults.append(Fault(case / "images", f"holds {len(images)} images, wanted one"))
            elif not masks:
                faults.append(Fault(images[0], "has no mask files"))
            else:
                name = printable(case.name)
                records.append(Record(name, images[0], tuple(masks), group=name))
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """A mask file per nucleus, the smaller of two that overlap on top; see `Layout.truths`."""
        regions = []
        for path in record.truth:
            mask = read_mask(path)
            same_size(record.image, shape, path, mask.shape)
            pixels = np.flatnonzero(mask)
            if pixels.size:
                regions.append(pixels)
            else:
                faults.append(Fault(path, "is an instance mask without a pixel"))
        return [EntityMap(paint(regions, shape)[0])]


def _cases(root: Path) -> list[Path]:
    """`<id>` folders of `root`, or of its subfolders (stage1_train), where most of them are whole cases."""
    level = folders(root)
    for candidates in (level, [inner for folder in level for inner in folders(folder)]):
        cases = [case for case in candidates if (case / "images").is_dir() and (case / "masks").is_dir()]
        if cases and 2 * sum(map(_is_case, cases)) > len(cases):
            return [case for case in candidates if (case / "images").is_dir()]
    return []


def _is_case(folder: Path) -> bool:
    """One image, called as its folder or with several masks, none of them called as the image."""
    images, masks = files(folder / "images"), files(folder / "masks")
    if len(images) != 1:
        return False
    labels = {(images[0].stem + ending).lower() for ending in ("", *LABEL_ENDINGS)}
    if any(mask.stem.lower() in labels for mask in masks):
        return False
    return images[0].stem == folder.name or len(masks) > 1
