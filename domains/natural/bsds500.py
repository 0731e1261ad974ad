"""BSDS500: photographs, each cut into regions by several people.

Arbelaez, Maire, Fowlkes, Malik, IEEE TPAMI 33(5), 898-916 (2011). `images/<split>/<id>.jpg`,
`groundTruth/<split>/<id>.mat`: a 1 x K cell, one struct per annotator, whose `Segmentation` labels every pixel from 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from domains.formats.drawing import same_size
from domains.formats.finding import files, folders, own_split, pair, printable
from domains.formats.layout import EntityMap, Fault, InputError, Layout, Listing, Record
from domains.formats.matlab import read_mat


class Bsds500(Layout):
    name = "bsds500"
    entities = "one region of an annotator's partition; every pixel belongs to one"
    expects = "images/<split>/<id>.jpg with groundTruth/<split>/<id>.mat"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds images/ beside groundTruth/ of MAT files."""
        return _base(root) is not None

    def listing(self, root: Path) -> Listing:
        """Each image with its MAT file, and what has no counterpart."""
        base = _base(root)
        assert base is not None
        splits = sorted({folder.name for kind in ("images", "groundTruth") for folder in folders(base / kind)})
        records, faults = [], []
        for split in splits:
            images, truths = files(base / "images" / split), files(base / "groundTruth" / split, {".mat"})
            pairs, alone = pair(images, truths, "groundTruth file")
            for image, truth in pairs:
                name = printable(image.stem)
                records.append(Record(f"{split}/{name}", image, truth, group=name, split=own_split(Path(split))))
            faults += alone
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """A map per annotator; see `Layout.truths`."""
        cell = read_mat(record.truth, "groundTruth")
        maps = []
        for annotator in np.ravel(cell):
            try:
                regions = annotator["Segmentation"][0, 0]
            except (ValueError, IndexError, KeyError, TypeError) as error:
                raise InputError(
                    f"{str(record.truth)!r}: wanted a cell of structs with Segmentation; copy it again"
                ) from error
            same_size(record.image, shape, record.truth, regions.shape)
            maps.append(EntityMap.from_ids(regions.astype(np.int32)))
        if not maps:
            raise InputError(f"{str(record.truth)!r}: wanted at least one annotator, got none; copy it again")
        return maps


def _base(root: Path) -> Path | None:
    """The folder that holds images/ and groundTruth/: the root, or where the original archive has it."""
    for base in (root, root / "data", root / "BSDS500" / "data"):
        if any(files(folder, {".mat"}) for folder in folders(base / "groundTruth")) and (base / "images").is_dir():
            return base
    return None
