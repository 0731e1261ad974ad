"""How labelled images lie in a folder: one file per layout that annotators export, and how a folder is recognised.

The layouts of published sets lie with their domains, which register them; `all_layouts` is the table of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from domains.errors import InputError
from domains.formats.boxes import file_of_boxes
from domains.formats.clip_frames import ClipFrames
from domains.formats.coco import Coco, annotation_files
from domains.formats.cvat import Cvat
from domains.formats.finding import visible
from domains.formats.geojson_frame import RESULTS
from domains.formats.label_maps import LabelMaps
from domains.formats.label_studio import LabelStudio
from domains.formats.labelme import Labelme
from domains.formats.layout import Assumption, Fault, Layout, Listing
from domains.formats.mask_tiles import MaskTiles
from domains.formats.nearest import nearest, of_same_names
from domains.formats.raster_vectors import RasterVectors
from domains.formats.slides import DrawnPictures, Slides
from domains.formats.survey import survey
from domains.formats.yolo_seg import YoloSeg
from domains.registry import house_specs
from domains.scenes.results import named_after

LAYOUTS: dict[str, Layout] = {
    "slides": Slides(),
    "raster_vectors": RasterVectors(),
    "mask_tiles": MaskTiles(),
    "coco": Coco(),
    "yolo_seg": YoloSeg(),
    "label_studio": LabelStudio(),
    "cvat": Cvat(),
    "labelme": Labelme(),
    "clip_frames": ClipFrames(),
    "label_maps": LabelMaps(),  # the least particular one of label files
    "drawn_pictures": DrawnPictures(),  # last, for our own results may lie beside pictures whose labels are others
}
"""How annotators export. Those of published sets are their domains' (`DomainSpec.layouts`)."""


@cache
def all_layouts() -> Mapping[str, Layout]:
    """Every layout of this house by name, in the order in which they are tried, whichever domain a user names."""
    return in_order(layout for spec in house_specs() for layout in spec.layouts)


def in_order(layouts: Iterable[Layout]) -> dict[str, Layout]:
    """The layouts and `LAYOUTS` by name as they are tried: each before the one of `LAYOUTS` that it names as `before`,
    those that name none before all; of several in one place the earlier one first.
    """
    layouts = list(layouts)
    tried = [layout for layout in layouts if layout.before not in LAYOUTS]
    for shared in LAYOUTS.values():
        tried += [*(layout for layout in layouts if layout.before == shared.name), shared]
    return {layout.name: layout for layout in tried}


MOST_TEXT, MOST_PATH = 400, 110  # signs of an error, and of a folder's path in it
DRAWN = frozenset({"coco", "yolo_seg", "label_studio", "cvat", "labelme", "clip_frames", "label_maps"})
"""Layouts whose labels lie in files of their own, so that two of them in a folder are two truths of its images."""


def others(root: Path, layout: Layout, listing: Listing, layouts: Mapping[str, Layout] | None = None) -> list[Fault]:
    """An assumption for each other layout by which images lie in `root` that `layout` neither lists nor tells of, or by
    which its own images have other labels."""
    images = {record.image for record in listing.records}
    named = {*images, *(fault.path for fault in listing.faults)}
    faults: list[Fault] = []
    for rival in (all_layouts() if layouts is None else layouts).values():
        if rival.name == layout.name or not rival.matches(root):
            continue
        try:
            rivalling = rival.listing(root)
        except InputError:
            continue
        rival_images = {record.image for record in rivalling.records}
        if rival_images - named:
            reason = f"holds a set as {rival.name} too, which is not read; set domain.layout={rival.name} for it, or "
            faults.append(Assumption(root, reason + "give each set a folder of its own"))
            named |= rival_images
        elif rival_images & images and {layout.name, rival.name} <= DRAWN and not _of_results(rival, root, rivalling):
            reason = f"holds labels as {rival.name} of the same images, which are not read; set domain.layout="
            faults.append(Assumption(root, f"{reason}{rival.name} for them, or take them away"))
    return faults


def _of_results(layout: Layout, root: Path, listing: Listing) -> bool:
    """Whether what a layout finds was written by `predict`."""
    return read_from_results(layout, root) or any(fault.reason == RESULTS for fault in listing.faults)


ANY_SET = "any set can be given as images/ and masks/ with the same file names, see docs/formats.md"


def recognise(root: Path, layouts: Mapping[str, Layout] | None = None) -> Layout:
    """The first layout that `root` looks like, of all by default.

    Raises InputError, which says what was seen and what it is near to.
    """
    layouts = all_layouts() if layouts is None else layouts
    if not root.is_dir():
        came = "a file" if root.exists() else "nothing at that path"
        raise InputError(f"{shortened(root)}: wanted a folder of labelled images, got {came}; {ANY_SET}")
    if not visible(root):
        raise InputError(f"{shortened(root)}: wanted a folder of labelled images, got an empty one; {ANY_SET}")
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
    start, end = f"{shortened(root)}: this layout of files is not known (", f"); {comes} {near.lacks}; {ANY_SET}"
    raise InputError(f"{start}{without_middle(str(files), MOST_TEXT - len(start + end))}{end}")


def shortened(root: Path) -> str:
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
