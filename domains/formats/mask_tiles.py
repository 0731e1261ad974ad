"""Large aerial images with a mask each: Inria, Massachusetts, LandCover.ai. Entities are the components of a class.

Inria (Maggiori et al., IGARSS 2017): `train/images/austin1.tif` with `train/gt/austin1.tif`, 0 or 255; tiles 1 to 5 of
each city validate, as its authors ask. Massachusetts (Mnih, thesis, 2013): `train/` with `train_labels/`, or
`train/sat/` with `train/map/`, likewise `val` (`valid`) and `test`; buildings or roads are red or white. LandCover.ai
(Boguszewski et al., CVPRW 2021): `images/` with `masks/` of 0 to 4; its published split deals out neighbouring tiles of
512 px, here an orthophoto is a group.

These are told by their names (cities, survey numbers, map sheets) and by masks of two values; whatever else lies in
such folders is a folder of label maps, to which no pixel size and no split of theirs applies.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from domains.entities import EntityMap, EntitySample, Place
from domains.errors import InputError
from domains.formats.blocks import cut_into_blocks
from domains.formats.drawing import components, same_size
from domains.formats.finding import files, folders, pair, printable
from domains.formats.label_pictures import INVERTED, hold_masks, is_white_is_zero
from domains.formats.layout import Assumption, Fault, Layout, Listing, Record, Split, read_bands
from domains.formats.neighbours import Raster, placed
from domains.scenes import open_scene
from domains.tiling.grid import Window

LAND_COVER = ("building", "woodland", "water", "road")
PIXEL_M = {"inria": 0.3, "massachusetts": 1.0}  # as the publishers of the sets state it
CITIES = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
_CITY = re.compile(rf"({'|'.join(CITIES)})\d+")
_SURVEY = re.compile(r"(.*_)?\d{7,8}_\d{2}")
_SHEET = re.compile(r"[MN]-\d\d-\d+-[A-D]-", re.IGNORECASE)
_PARTS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}


@dataclass(frozen=True)
class MaskBlock:
    """vocabulary: classes 1, 2, ... of the mask; none for a binary one."""

    mask: Path
    window: Window
    vocabulary: tuple[str, ...] = ()


class Source(NamedTuple):
    image: Path
    mask: Path
    group: str
    split: Split | None
    pixel_size_m: float | None
    vocabulary: tuple[str, ...] = ()


class MaskTiles(Layout):
    name = "mask_tiles"
    entities = "one 8-connected component of a class of the mask, cut where blocks of 1024 px meet"
    expects = (
        "Inria (train/images, train/gt), Massachusetts (train, train_labels) or LandCover.ai (images, masks of sheets)"
    )

    @property
    def reads_bands(self) -> bool:
        """Its rasters have bands to choose."""
        return True

    def matches(self, root: Path) -> bool:
        """Whether the folder holds rasters beside masks of the same names."""
        return any(find(root, [])[:1] for find in ARRANGEMENTS)

    def listing(self, root: Path) -> Listing:
        """Each image with its mask, as blocks, and what has no counterpart."""
        faults: list[Fault] = []
        heads: list[Head] = []
        for source in next(filter(None, (find(root, faults) for find in ARRANGEMENTS)), []):
            try:
                heads.append(_head(source))
            except InputError as error:
                faults.append(Fault(source.image, str(error)))
        lying = placed([head.raster for head in heads])
        records = []
        for head, group, rim_px in zip(heads, lying.groups, lying.rims_px, strict=True):
            records += _records(root, head, heads[group].source.group, int(rim_px))
        return Listing(records, faults)

    def image(self, record: Record) -> np.ndarray:
        """The block of its raster, (H, W, C) uint8. Raises InputError."""
        return read_bands(record.image, self.reading, record.truth.window)

    def examine(self, record: Record) -> tuple[EntitySample, list[Fault]]:
        """The block, placed on its raster, and what of its truth was left out. Raises InputError."""
        window: Window = record.truth.window
        image, faults = self.image(record), []
        truths = self.seen(self.truths(record, image.shape[:2], faults), image, record)
        place = Place(record.name, *window[:2], pixel_size_m=record.pixel_size_m, cut_from=record.image)
        return EntitySample(image, tuple(truths), place), faults

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The components or classes of the mask; see `Layout.truths`."""
        truth: MaskBlock = record.truth
        scene = open_scene(truth.mask)
        try:
            values = scene.read(*truth.window)
        finally:
            scene.close()
        if not truth.vocabulary:
            values = values[..., :3].max(axis=2)
            mask = values > (127 if values.max(initial=0) > 1 else 0)
            if is_white_is_zero(truth.mask):  # what is stored is meant, as of other label pictures
                faults.append(Assumption(truth.mask, INVERTED))
                mask = ~mask
            return [EntityMap(components(mask))]
        values = values[..., 0]
        if values.max(initial=0) > len(truth.vocabulary):
            raise InputError(
                f"{str(truth.mask)!r}: wanted classes up to {len(truth.vocabulary)}, got {int(values.max())}"
            )
        ids, labels = np.zeros(values.shape, np.int32), []
        for number in range(1, len(truth.vocabulary) + 1):
            pieces = components(values == number)
            ids = np.where(pieces > 0, pieces + len(labels), ids)
            labels += [number - 1] * int(pieces.max(initial=0))
        return [EntityMap(ids, labels=np.array(labels, np.int32), vocabulary=truth.vocabulary)]


class Head(NamedTuple):
    source: Source
    raster: Raster
    pixel_size_m: float | None


def _head(source: Source) -> Head:
    """Raises InputError: an image or mask that cannot be opened, another size."""
    shapes, size_m, georeference = [], None, None
    for path in (source.mask, source.image):
        scene = open_scene(path)
        shapes.append(scene.shape)
        size_m, georeference = scene.pixel_size_m, scene.georeference
        scene.close()
    same_size(source.image, shapes[1], source.mask, shapes[0])
    raster = Raster(georeference, shapes[1], source.group, source.split is not None)
    return Head(source, raster, size_m or source.pixel_size_m)


def _records(root: Path, head: Head, group: str, rim_px: int) -> list[Record]:
    source = head.source
    name = printable(source.image.relative_to(root).with_suffix("").as_posix())
    return [
        Record(
            "/".join(filter(None, (name, block.name))),
            source.image,
            MaskBlock(source.mask, block.window, source.vocabulary),
            group,
            source.split,
            head.pixel_size_m,
        )
        for block in cut_into_blocks(head.raster.shape, False, rim_px)
    ]


def _paired(images: list[Path], masks: list[Path], faults: list[Fault]) -> list[tuple[Path, Path]]:
    pairs, alone = pair(images, masks, "mask")
    faults += alone
    return pairs


def _inria(root: Path, faults: list[Fault]) -> list[Source]:
    for base in (root, root / "AerialImageDataset"):
        images = [path for path in files(base / "train" / "images") if _CITY.fullmatch(path.stem)]
        masks = files(base / "train" / "gt")
        if images and masks and hold_masks(masks):
            return [
                Source(image, mask, image.stem, "val" if _number(image) <= 5 else "train", PIXEL_M["inria"])
                for image, mask in _paired(images, masks, faults)
            ]
    return []


def _number(path: Path) -> int:
    return int(re.sub(r"\D", "", path.stem))


def _massachusetts(root: Path, faults: list[Fault]) -> list[Source]:
    sources = []
    for base in (root, *folders(root)):
        inner = {folder.name.lower(): folder for folder in folders(base)}
        for place, split in _PARTS.items():
            if place not in inner:
                continue
            images, masks = inner[place], inner.get(f"{place}_labels")
            if masks is None and files(images / "sat") and files(images / "map"):
                images, masks = images / "sat", images / "map"
            if masks is not None and _of_survey(files(images), files(masks)):
                pairs = _paired(files(images), files(masks), faults)
                size = PIXEL_M["massachusetts"]
                sources += [
                    Source(image, mask, f"{place}/{printable(image.stem)}", split, size) for image, mask in pairs
                ]
    return sources


def _of_survey(images: list[Path], masks: list[Path]) -> bool:
    """Whether most are called as the Massachusetts sets call theirs, 22828930_15, and the masks are masks."""
    named = sum(_SURVEY.fullmatch(image.stem) is not None for image in images)
    return named > 0 and 2 * named >= len(images) and hold_masks(masks)


def _land_cover(root: Path, faults: list[Fault]) -> list[Source]:
    masks = {path for path in files(root / "masks") if _SHEET.match(path.stem)}
    pairs = (
        _paired([path for path in files(root / "images") if _SHEET.match(path.stem)], sorted(masks), faults)
        if masks
        else []
    )
    cut = {path.stem: path for path in files(root / "output") if _SHEET.match(path.stem)}
    pairs += [(path, cut[f"{stem}_m"]) for stem, path in cut.items() if f"{stem}_m" in cut]
    return [Source(image, mask, re.sub(r"_\d+$", "", image.stem), None, None, LAND_COVER) for image, mask in pairs]


ARRANGEMENTS: tuple[Callable[[Path, list[Fault]], list[Source]], ...] = (_inria, _massachusetts, _land_cover)
