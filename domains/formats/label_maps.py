"""Images with label pictures: maps of ids, or binary masks whose connected components are the entities.

`images/` beside `labels/` or `masks/` (or split first: `train/images`, or last: `images/train`), the label called as
its image; or the label beside its image, `<stem>_mask.png`, `<stem>_labels.tif`.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

from domains.entities import EntityMap
from domains.formats.drawing import same_size
from domains.formats.finding import Key, files, folders, own_split, pair, printable, visible, walk
from domains.formats.geojson_frame import RESULTS
from domains.formats.label_meanings import LabelPicture, LabelSet
from domains.formats.layout import Assumption, Fault, Layout, Listing, Record
from domains.options import Labels
from domains.scenes.results import LABELS

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
LABEL_FOLDERS = ("labels", "label", "masks", "mask", "instances", "groundtruth", "ground_truth", "gt", "annotations")
IMAGE_ENDINGS = ("_image", "_img")
LABEL_ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_instances", "_seg", "_gt", ".labels")


class LabelMaps(Layout):
    name = "label_maps"
    entities = (
        "one id of a label map; where the maps are masks or classes, one 8-connected component of a mask or class"
    )
    label_pictures = True
    expects = (
        "images/ with labels/ or masks/ of the same file names, or <stem>_mask.png, <stem>_labels.tif beside <stem>.png"
    )

    def matches(self, root: Path) -> bool:
        """Whether the folder holds images beside label pictures."""
        return bool(_folder_pairs(root) or _beside(root) or _predicted(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its label picture, and what has no counterpart."""
        pairs, faults = [], []
        for images, labels in _folder_pairs(root):
            paired, alone = pair(walk(images), walk(labels), "label picture", _rounds(images, labels))
            pairs += paired
            faults += alone
        for folder in _beside(root) if not pairs and not faults else ():
            pictures = files(folder)
            labels = [path for path in pictures if _is_label(path)]
            images = [path for path in pictures if path not in labels]
            paired, alone = pair(images, labels, "label picture", _rounds(folder, folder))
            pairs += paired
            faults += alone
        for folder in _predicted(root) if not pairs and not faults else ():
            paired, alone = pair(files(folder), _results(folder), "label picture", _rounds(folder, folder))
            pairs += paired
            faults += [*alone, Assumption(folder, RESULTS)]
        among = LabelSet(label for _, label in pairs)
        records = []
        for image, label in pairs:
            place = image.relative_to(root)
            name = printable(place.with_suffix("").as_posix())
            records.append(Record(name, image, LabelPicture(label, among), group=name, split=own_split(place.parent)))
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """What the numbers of the label picture mean; see `Layout.truths`."""
        return [truth_of_picture(self, record, shape, faults)]


def truth_of_picture(
    layout: Layout, record: Record, shape: tuple[int, int], faults: list[Fault], default: Labels | None = None
) -> EntityMap:
    """The truth of a record whose truth is a `LabelPicture`; what was assumed is added to `faults`.

    default: what the numbers are where the layout is asked for nothing, None to decide. Raises InputError.
    """
    picture: LabelPicture = record.truth
    if picture.path.name.endswith(LABELS):
        default = default or "ids"  # of predict, and of whoever names a map so
    truth, notes = picture.truth(layout.reading.labels or default, layout.reading.void)
    same_size(record.image, shape, picture.path, truth.shape)
    faults += [Assumption(picture.path, note) for note in notes]
    return truth


def _folder_pairs(root: Path) -> list[tuple[Path, Path]]:
    """(images folder, labels folder) of the root and of its subfolders (train/, val/, test/), or `x` and `x_labels`."""
    pairs = []
    for base in (root, *folders(root)):
        inner = {folder.name.lower(): folder for folder in folders(base)}
        images = [inner[name] for name in IMAGE_FOLDERS if name in inner]
        labels = [inner[name] for name in LABEL_FOLDERS if name in inner]
        labels = [folder for folder in labels if walk(folder)]
        if images and labels:
            pairs.append((images[0], labels[0]))
        for name, folder in inner.items():
            apart = [inner[name + ending] for ending in LABEL_ENDINGS if name + ending in inner]
            if apart and walk(folder) and walk(apart[0]):
                pairs.append((folder, apart[0]))
    return pairs


def _beside(root: Path) -> list[Path]:
    """The root and those of its subfolders in which a label picture lies beside its image."""
    places = [(folder, files(folder)) for folder in (root, *folders(root))]
    return [folder for folder, pictures in places if any(_is_label(path) for path in pictures)]


def _predicted(root: Path) -> list[Path]:
    """The root and those of its subfolders in which `predict` wrote labels beside the images."""
    return [folder for folder in (root, *folders(root)) if _results(folder) and files(folder)]


def _results(folder: Path) -> list[Path]:
    return sorted(path for path in visible(folder) if path.name.endswith(LABELS) and path.is_file())


def _is_label(path: Path) -> bool:
    """Whether `path` is called as the label picture of another file that lies beside it."""
    return path.stem.lower().endswith(LABEL_ENDINGS)


def _rounds(images: Path, labels: Path) -> list[tuple[Key, Key]]:
    """Same path below the two folders; else the same without `_img` and `_mask`; else with accents composed."""

    def key(base: Path, endings: tuple[str, ...] = (), form: bool = False) -> Key:
        def below(path: Path) -> str:
            ending = next((ending for ending in endings if path.stem.lower().endswith(ending)), "")
            stem = path.stem[: len(path.stem) - len(ending)]
            text = (path.parent.relative_to(base) / stem).as_posix()
            return unicodedata.normalize("NFC", text) if form else text

        return below

    return [
        (key(images), key(labels)),
        (key(images), key(labels, LABEL_ENDINGS)),
        (key(images, IMAGE_ENDINGS, form=True), key(labels, LABEL_ENDINGS, form=True)),
        (key(images, (".ome",), form=True), key(labels, (*LABEL_ENDINGS, ".ome"), form=True)),
    ]
