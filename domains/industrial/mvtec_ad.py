"""MVTec AD, MVTec AD 2 and MVTec LOCO AD, and what lies or was brought into their form (BTAD, VisA).

Bergmann et al., IJCV 129 (2021); Heckler-Kram et al., arXiv 2503.21622 (2025); Bergmann et al., IJCV 130 (2022);
Mishra et al., VT-ADL, ISIE 2021 (BTAD, whose good parts are called ok). The
folder is a category, or holds several:

    AD     train/good, test/good, test/<defect>/NNN.png, ground_truth/<defect>/NNN_mask.png
    AD 2   train/good, validation/good, test_public/good, test_public/bad/NNN_<light>.png,
           test_public/ground_truth/bad/NNN_<light>_mask.png; test_private has no truth and is left out
    BTAD   train/ok, test/ok, test/ko/NNNN.bmp, ground_truth/ko/NNNN.png
    LOCO   train/good, validation/good, test/<kind>/NNN.png, ground_truth/<kind>/NNN/000.png, 001.png, ...
    good parts alone, no defect being labelled: train/good

The sets' own split puts every defect into test, since they were made for learning without any. Entities are learnt
from examples, so that split is not taken over: all images are split by group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from domains.formats.finding import files, folders, printable
from domains.formats.layout import EntityMap, Fault, Layout, Listing, Record
from domains.industrial.defects import Defect

GOOD = ("good", "ok")
LIGHTS = re.compile(r"_(regular|underexposed|overexposed|shift_\d+)$")  # AD 2: one part under several


class MvtecAd(Layout):
    name = "mvtec_ad"
    before = "slides"  # and after published sets whose folders have rarer names
    entities = "one 8-connected component of a defect's mask (LOCO: one mask file); good images have none"
    expects = "<category>/train/good (or ok) and test/<defect>/NNN.png with ground_truth/<defect>/NNN_mask.png"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds a category, or several."""
        return bool(_categories(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its masks, none where it is good, and what has no counterpart."""
        images: list[tuple[str, Path, tuple[Path, ...]]] = []
        faults: list[Fault] = []
        for category in _categories(root):
            prefix = "" if category == root else f"{category.name}/"
            test, truth = _tested(category)
            for place in (category / "train", category / "validation", test):
                images += [(f"{prefix}{GOOD[0]}", image, ()) for good in GOOD for image in files(place / good)]
            for folder in folders(test) if test.is_dir() else ():
                if folder.name not in (*GOOD, truth.name):
                    masked = _pairs(folder, truth / folder.name, faults)
                    images += [(f"{prefix}{folder.name}", image, masks) for image, masks in masked]
        vocabulary = tuple(sorted({kind for kind, _, masks in images if masks}))
        records = []
        for kind, image, masks in images:
            name = printable(image.relative_to(root).with_suffix("").as_posix())
            defect = Defect(masks, vocabulary.index(kind), vocabulary) if masks else Defect()
            records.append(Record(name, image, defect, group=LIGHTS.sub("", name), stratum=printable(kind)))
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The components of a defect, or an entity per mask; see `Layout.truths`."""
        defect: Defect = record.truth
        return [defect.truth(record.image, shape)]


def _categories(root: Path) -> list[Path]:
    """`root`, or those of its subfolders that are a category."""
    categories = [folder for folder in (root, *folders(root)) if _is_category(folder)]
    return [root] if root in categories else categories


def _is_category(folder: Path) -> bool:
    """Good images, or a defect's images and masks in folders of its name."""
    test, truth = _tested(folder)
    if not (test.is_dir() and truth.is_dir()):
        kinds = {kind.name for kind in folders(folder / "train")} if (folder / "train").is_dir() else set()
        return bool(kinds) and kinds <= {*GOOD} and not test.is_dir() and not truth.is_dir()
    good = any((place / name).is_dir() for place in (folder / "train", test) for name in GOOD)
    return good or bool({kind.name for kind in folders(test)} & {kind.name for kind in folders(truth)})


def _tested(category: Path) -> tuple[Path, Path]:
    """(test images, their masks)."""
    public = category / "test_public"
    return (public, public / "ground_truth") if public.is_dir() else (category / "test", category / "ground_truth")


def _pairs(images: Path, masks: Path, faults: list[Fault]) -> Iterator[tuple[Path, tuple[Path, ...]]]:
    """Images of a defect with their masks; what has no counterpart is a fault."""
    by_stem = {path.stem.removesuffix("_mask"): (path,) for path in files(masks)}
    by_stem |= {folder.name: tuple(files(folder)) for folder in folders(masks)}
    for image in files(images):
        masks_of_image = by_stem.pop(image.stem, ())
        if masks_of_image:
            yield image, masks_of_image
        else:
            faults.append(Fault(image, "has no mask, though its folder says that it has a defect"))
    faults += [Fault(path, "is a mask without image") for paths in by_stem.values() for path in paths]
