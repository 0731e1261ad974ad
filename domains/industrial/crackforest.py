"""CrackForest: road photographs with MATLAB region maps, of which label 2 is crack.

Shi et al., IEEE T-ITS 17(12), 3434-3445 (2016). `image/NNN.jpg`, `groundTruth/NNN.mat`. Labels 3 and 4 are pieces
of road or crack that the partition numbered apart, no classes: `== 2` is crack, `> 1` would be wrong.
"""

from __future__ import annotations

from pathlib import Path

from domains.formats.drawing import components, same_size
from domains.formats.finding import files, pair, printable
from domains.formats.layout import EntityMap, Fault, InputError, Layout, Listing, Record
from domains.formats.matlab import read_mat

CRACK = 2


class CrackForest(Layout):
    name = "crackforest"
    entities = "one 8-connected component of crack pixels (label 2)"
    expects = "image/NNN.jpg with groundTruth/NNN.mat"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds images beside groundTruth/ in MAT files."""
        return (root / "image").is_dir() and bool(files(root / "groundTruth", {".mat"}))

    def listing(self, root: Path) -> Listing:
        """Each image with its MAT file, and what has no counterpart."""
        pairs, faults = pair(files(root / "image"), files(root / "groundTruth", {".mat"}), "groundTruth file")
        names = [printable(image.stem) for image, _ in pairs]
        records = [Record(name, *files_of_image, group=name) for name, files_of_image in zip(names, pairs, strict=True)]
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The components of what is labelled as crack; see `Layout.truths`."""
        truth = read_mat(record.truth, "groundTruth")
        try:
            regions = truth["Segmentation"][0, 0]
        except (ValueError, IndexError, KeyError) as error:
            raise InputError(
                f"{str(record.truth)!r}: wanted groundTruth.Segmentation, it has none; copy it again"
            ) from error
        same_size(record.image, shape, record.truth, regions.shape)
        return [EntityMap(components(regions == CRACK))]
