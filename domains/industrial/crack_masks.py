"""Sets of cracks with a binary mask per image, in the two arrangements that they come in.

DeepCrack (Liu et al., Neurocomputing 338, 2019): `train_img/` with `train_lab/`, `test_img/` with `test_lab/`.
CRACK500 (Yang et al., IEEE T-ITS 21(4), 2020), GAPs384 and others: `<stem>.jpg` with its mask `<stem>.png` beside it,
in the folder itself or in subfolders such as `traincrop/`. CRACK500's crops of one photograph, `<date>_<time>_1_361`
or `IMG_<n>_1_361`, are a group. (`images/` with `masks/`, and `<stem>_mask.png` beside the image, are the layout
`label_maps`.)
"""

from __future__ import annotations

import re
from pathlib import Path

from domains.formats.drawing import components, same_size
from domains.formats.finding import files, folders, own_split, pair, printable
from domains.formats.label_maps import truth_of_picture
from domains.formats.label_meanings import LabelPicture, LabelSet
from domains.formats.label_pictures import read_mask
from domains.formats.layout import EntityMap, Fault, InputError, Layout, Listing, Record, Split

PHOTOGRAPH = re.compile(r"^(.*\d{8}_\d{6}|IMG_\d+)_\d+_\d+$")
JPEG, LOSSLESS = (".jpg", ".jpeg"), (".png", ".bmp")


class CrackMasks(Layout):
    name = "crack_masks"
    before = "label_maps"  # which would read the masks as ids; after all that has marks of its own
    label_pictures = True
    entities = "one 8-connected component of a binary mask; where the mask is empty there is none"
    expects = (
        "train_img/ with train_lab/ and test_img/ with test_lab/, or <stem>.jpg with its mask <stem>.png beside it"
    )

    def matches(self, root: Path) -> bool:
        """Whether the folder holds photographs beside masks of cracks."""
        return bool(_apart(root) or _together(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its mask, and what has no counterpart."""
        places = [(folder, files(folder), files(labels)) for folder, labels in _apart(root)]
        places = places or [(folder, files(folder, JPEG), files(folder, LOSSLESS)) for folder in _together(root)]
        records, faults = [], []
        among = LabelSet(mask for _, _, masks in places for mask in masks)
        for folder, images, masks in places:
            pairs, alone = pair(images, masks, "mask")
            for image, mask in pairs:
                name = printable(image.relative_to(root).with_suffix("").as_posix())
                group = printable(PHOTOGRAPH.sub(r"\1", image.stem)) if PHOTOGRAPH.match(image.stem) else name
                records.append(
                    Record(name, image, LabelPicture(mask, among), group, _split(folder.relative_to(root).as_posix()))
                )
            faults += alone
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The components of the mask; see `Layout.truths`."""
        if self.reading.labels or self.reading.void is not None:
            return [truth_of_picture(self, record, shape, faults)]
        try:
            mask = read_mask(record.truth.path)
        except InputError as error:
            raise InputError(f"{error}, or set domain.labels=ids or =classes if it holds these") from error
        same_size(record.image, shape, record.truth.path, mask.shape)
        return [EntityMap(components(mask))]


def _apart(root: Path) -> list[tuple[Path, Path]]:
    """(`<split>_img`, `<split>_lab`)."""
    pairs = [(folder, folder.with_name(f"{folder.name[:-4]}_lab")) for folder in folders(root)]
    return [(images, labels) for images, labels in pairs if images.name.endswith("_img") and labels.is_dir()]


def _together(root: Path) -> list[Path]:
    """Folders in which a JPEG has a mask of its name."""

    def masked(folder: Path) -> bool:
        return bool({path.stem for path in files(folder, JPEG)} & {path.stem for path in files(folder, LOSSLESS)})

    return [folder for folder in (root, *folders(root)) if masked(folder)]


def _split(folder: str) -> Split | None:
    """`traincrop`, `valdata`: the word does not stand alone there."""
    return own_split(Path(re.sub(r"(?i)(crop|data|img)", "", folder)))
