"""VisA as it was published: Zou et al., SPot-the-Difference, ECCV 2022, https://arxiv.org/abs/2207.14315.

`<category>/Data/Images/Normal/NNNN.JPG`, `Images/Anomaly/NNN.JPG`, `Masks/Anomaly/NNN.png`; the folder is a category
or holds several. Masks are not black and white: their values number kinds of defect, anything above 0 is one. The
splits of `split_csv` are not taken over, since the first of them has no defect to learn from.
"""

from __future__ import annotations

from pathlib import Path

from domains.formats.finding import files, folders, pair, printable
from domains.formats.label_pictures import read_ids
from domains.formats.layout import EntityMap, Fault, Layout, Listing, Record
from domains.industrial.defects import Defect


class Visa(Layout):
    name = "visa"
    before = "slides"  # and after published sets whose folders have rarer names
    entities = "one 8-connected component of a defect's mask, whatever its kind; normal images have none"
    expects = "<category>/Data/Images/Normal and Images/Anomaly/NNN.JPG with Data/Masks/Anomaly/NNN.png"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds a category, or several."""
        return bool(_categories(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its mask, none where it is normal, and what has no counterpart."""
        categories = _categories(root)
        vocabulary = tuple(printable(category.name) for category in categories)
        records, faults = [], []
        for label, category in enumerate(categories):
            images = category / "Data" / "Images"
            pairs, alone = pair(files(images / "Anomaly"), files(category / "Data" / "Masks" / "Anomaly"), "mask")
            labelled = [(image, Defect(), "normal") for image in files(images / "Normal")]
            labelled += [(image, Defect((mask,), label, vocabulary), "anomaly") for image, mask in pairs]
            for image, defect, kind in labelled:
                name = f"{vocabulary[label]}/{kind}/{printable(image.stem)}"
                records.append(Record(name, image, defect, group=name, stratum=f"{vocabulary[label]}/{kind}"))
            faults += alone
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The components of the mask; see `Layout.truths`."""
        defect: Defect = record.truth
        return [defect.truth(record.image, shape, lambda mask: read_ids(mask) > 0)]


def _categories(root: Path) -> list[Path]:
    categories = [folder for folder in (root, *folders(root)) if (folder / "Data" / "Images" / "Anomaly").is_dir()]
    return [root] if root in categories else categories
