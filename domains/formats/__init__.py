"""How labelled images lie in a folder: one file per layout, one table of all, and how a folder is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from domains.errors import InputError
from domains.formats.boxes import file_of_boxes
from domains.formats.bsds500 import Bsds500
from domains.formats.coco import Coco, annotation_files
from domains.formats.crack_masks import CrackMasks
from domains.formats.crackforest import CrackForest
from domains.formats.cvat import Cvat
from domains.formats.dagm import Dagm
from domains.formats.dsb2018 import Dsb2018
from domains.formats.finding import visible
from domains.formats.geojson_frame import RESULTS
from domains.formats.hovernet_mat import CoNSeP, Lizard
from domains.formats.kolektor import Kolektor
from domains.formats.label_maps import LabelMaps
from domains.formats.label_studio import LabelStudio
from domains.formats.labelme import Labelme
from domains.formats.layout import Assumption, Fault, Layout, Listing
from domains.formats.magnetic_tile import MagneticTile
from domains.formats.mask_tiles import MaskTiles
from domains.formats.monuseg import MoNuSeg
from domains.formats.mvtec_ad import MvtecAd
from domains.formats.nearest import nearest, of_same_names
from domains.formats.organ_masks import CryoNuSeg, NuInsSeg
from domains.formats.pannuke import PanNuke
from domains.formats.raster_vectors import RasterVectors
from domains.formats.severstal import Severstal
from domains.formats.slides import DrawnPictures, Slides
from domains.formats.spacenet import SpaceNet
from domains.formats.survey import survey
from domains.formats.visa import Visa
from domains.formats.xview2 import XView2
from domains.formats.yolo_seg import YoloSeg
from domains.scenes.results import named_after

LAYOUTS: dict[str, Layout] = {
    "monuseg": MoNuSeg(),
    "pannuke": PanNuke(),  # before dsb2018: its folds have folders images and masks too
    "nuinsseg": NuInsSeg(),
    "cryonuseg": CryoNuSeg(),
    "consep": CoNSeP(),
    "lizard": Lizard(),
    "dsb2018": Dsb2018(),
    "magnetic_tile": MagneticTile(),
    "crackforest": CrackForest(),
    "bsds500": Bsds500(),
    "mvtec_ad": MvtecAd(),
    "visa": Visa(),
    "dagm": Dagm(),
    "kolektor": Kolektor(),
    "severstal": Severstal(),
    "slides": Slides(),
    "spacenet": SpaceNet(),
    "raster_vectors": RasterVectors(),
    "xview2": XView2(),
    "mask_tiles": MaskTiles(),
    "coco": Coco(),
    "yolo_seg": YoloSeg(),
    "label_studio": LabelStudio(),
    "cvat": Cvat(),
    "labelme": Labelme(),
    "crack_masks": CrackMasks(),
    "label_maps": LabelMaps(),  # the least particular one of label files
    "drawn_pictures": DrawnPictures(),  # last, for our own results may lie beside pictures whose labels are others
}


MOST_TEXT, MOST_PATH = 400, 110  # signs of an error, and of a folder's path in it
DRAWN = frozenset({"coco", "yolo_seg", "label_studio", "cvat", "labelme", "label_maps"})
"""Layouts whose labels lie in files of their own, so that two of them in a folder are two truths of its images."""


def others(root: Path, layout: Layout, listing: Listing, layouts: Mapping[str, Layout] = LAYOUTS) -> list[Fault]:
    """An assumption for each other layout by which images lie in `root` that `layout` neither lists nor tells of, or by
    which its own images have other labels."""
    listed = {record.image for record in listing.records}
    named = {*(record.image for record in listing.records), *(fault.path for fault in listing.faults)}
    told: list[Fault] = []
    for other in layouts.values():
        if other.name == layout.name or not other.matches(root):
            continue
        try:
            found = other.listing(root)
        except InputError:
            continue
        images = {record.image for record in found.records}
        if images - named:
            reason = f"holds a set as {other.name} too, which is not read; set domain.layout={other.name} for it, or "
            told.append(Assumption(root, reason + "give each set a folder of its own"))
            named |= images
        elif images & listed and {layout.name, other.name} <= DRAWN and not _of_results(other, root, found):
            reason = f"holds labels as {other.name} of the same images, which are not read; set domain.layout="
            told.append(Assumption(root, f"{reason}{other.name} for them, or take them away"))
    return told


def _of_results(layout: Layout, root: Path, listing: Listing) -> bool:
    """Whether what a layout finds was written by `predict`."""
    return read_from_results(layout, root) or any(fault.reason == RESULTS for fault in listing.faults)


ANY_SET = "any set can be given as images/ and masks/ with the same file names, see docs/formats.md"


def recognise(root: Path, layouts: Mapping[str, Layout] = LAYOUTS) -> Layout:
    """The first layout that `root` looks like. Raises InputError, which says what was seen and what it is near to."""
    if not root.is_dir():
        came = "a file" if root.exists() else "nothing at that path"
        raise InputError(f"{told(root)}: wanted a folder of labelled images, got {came}; {ANY_SET}")
    if not visible(root):
        raise InputError(f"{told(root)}: wanted a folder of labelled images, got an empty one; {ANY_SET}")
    matching = (layout for layout in layouts.values() if layout.matches(root))
    layout = next(matching, None)
    if layout is not None and read_from_results(layout, root):
        layout = next(matching, layout)  # what somebody drew comes before what was predicted
    if layout is not None:
        return layout
    files = survey(root)
    renamed = of_same_names(files)
    boxes = file_of_boxes(root) if renamed is None else None
    if boxes is not None:
        raise InputError(
            f"{str(boxes)!r}: wanted the outlines of entities, got bounding boxes; boxes are no masks: draw polygons, "
            "or let a model turn the boxes into outlines and correct those"
        )
    near = renamed or nearest(files, layouts)
    comes = f"nearest is {near.layout}, it lacks" if near.layout else "it lacks"
    start, end = f"{told(root)}: this layout of files is not known (", f"); {comes} {near.lacks}; {ANY_SET}"
    raise InputError(f"{start}{without_middle(str(files), MOST_TEXT - len(start + end))}{end}")


def told(root: Path) -> str:
    """The folder for an error's line: the end of a path that would fill it."""
    path = str(root)
    return repr(path if len(path) <= MOST_PATH else f"...{path[3 - MOST_PATH :]}")


def without_middle(text: str, most: int) -> str:
    """The text, of one that is longer its beginning and its end, `most` signs in all."""
    kept = max(0, most - 5) // 2
    return text if len(text) <= most else f"{text[:kept]} ... {text[-kept:]}"


def read_from_results(layout: Layout, root: Path) -> bool:
    """Whether a layout has nothing to go by but the annotations that `predict` wrote."""
    return isinstance(layout, Coco) and all(named_after(path.name) == "" for path in annotation_files(root))
