"""What every layout of labelled images shares: records, faults, and the way from a record to an `EntitySample`.

Whoever writes a layout needs no other room than this one: `EntityMap`, `InputError` and `Window` are handed on.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np

from domains.entities import BACKGROUND, UNLABELLED, EntitySample, Place
from domains.entities import EntityMap as EntityMap
from domains.errors import InputError as InputError
from domains.errors import SkippedFilesError
from domains.formats.label_meanings import Labels, Void
from domains.scenes import View, Viewed, open_scene, plain_view
from domains.scenes.band_view import band_view
from domains.scenes.described import described
from domains.scenes.images import read_image
from domains.scenes.names import composed, printable
from domains.scenes.sidecars import beside
from domains.scenes.validity import SHOWN
from domains.tiling.grid import Window as Window

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
RASTERS = frozenset({".tif", ".tiff", ".jp2", ".img"})
GROUND = (
    "has, beside other entities, one that covers most of its picture and of its rim, as the ground does: it is taken "
    "for an entity; give the ground 0, or take its outline away, if it is none"
)
UNLABELLED_GROUND = (
    "is labelled as unlabelled over most of its picture and of its rim, as the ground is: nothing is learnt or "
    "measured there; give the ground 0 if it is known that nothing is there"
)


@dataclass(frozen=True)
class Record:
    """One labelled image that a layout has found and not yet read.

    name: printable; `Layout.scan` makes it unique in its folder. truth: whatever the layout needs to read the truth,
    picklable.
    group: images that show one thing (slide, scene, tile of origin); a split never cuts a group.
    split: the data set's own, None where it has none. stratum: its class or kind, "" where it has none.
    """

    name: str
    image: Path
    truth: Any
    group: str
    split: Split | None = None
    pixel_size_m: float | None = None
    stratum: str = ""


@dataclass(frozen=True)
class Fault:
    """A file, or a part of one, that cannot be used, and why. The reason does not repeat the path."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{str(self.path)!r}: {self.reason}"


class Assumption(Fault):
    """A file that allows two readings, and which was taken; it is used, so `--strict` passes it.

    The reason is the same text for all files of a kind (no counts, no names), so that it can be told once for all.
    """


class Listing(NamedTuple):
    records: list[Record]
    faults: list[Fault]


@dataclass(frozen=True)
class Reading:
    """How the images and labels of rasters are read. bands, band_names: as in `domains.bands`, () for RGB.

    attribute: of vector labels, whose values are the classes; None for none. labels, void: of label pictures, what
    their numbers mean and which is unlabelled ("none" for none); None to decide (`domains.formats.label_meanings`).
    """

    bands: tuple[str, ...] = ()
    band_names: tuple[str, ...] = ()
    attribute: str | None = None
    labels: Labels | None = None
    void: Void | None = None


class Layout(ABC):
    """A way in which labelled images lie in a folder. Layouts hold no state: one instance serves every folder.

    name: as `domain.layout` and its data card call it. entities: what counts as one, in a sentence.
    expects: the files by which it is recognised.
    """

    name: ClassVar[str]
    entities: ClassVar[str]
    expects: ClassVar[str]
    before: ClassVar[str] = ""
    """The shared layout (`domains.formats.LAYOUTS`) before which it is tried; "" for before all of them."""
    attributes: ClassVar[bool] = False
    """Whether `Reading.attribute` means anything to it."""
    label_pictures: ClassVar[bool] = False
    """Whether `Reading.labels` and `Reading.void` mean anything to it."""
    reading: Reading = Reading()

    def with_reading(self, reading: Reading) -> Self:
        """This layout, reading so. Raises InputError where it cannot."""
        if reading == self.reading:
            return self
        if reading.bands and not self.reads_bands:
            raise InputError(
                f"domain.bands is {list(reading.bands)!r:.80}, but layout {self.name!r} has RGB alone; leave it"
            )
        if reading.attribute and not self.attributes:
            raise InputError(
                f"domain.attribute is {reading.attribute!r}, but {self.name!r} has no vector labels; leave it"
            )
        for option, value in (("labels", reading.labels), ("void", reading.void)):
            if value is not None and not self.label_pictures:
                raise InputError(
                    f"domain.{option} is {value!r}, but {self.name!r} says what its labels mean; leave it, or set "
                    "domain.layout=label_maps if they are a folder of label pictures"
                )
        layout = copy.copy(self)
        layout.reading = reading
        return layout

    @property
    def reads_bands(self) -> bool:
        """Whether its images are rasters whose bands can be chosen."""
        return type(self).image is Layout.image and type(self).examine is Layout.examine

    @abstractmethod
    def matches(self, root: Path) -> bool:
        """Whether `root` has the marks of this layout; lists folders, reads heads of files and a few masks."""

    @abstractmethod
    def listing(self, root: Path) -> Listing:
        """Every image with its truth, in a stable order, and every file that has no counterpart. Reads no pixels.

        Its names are paths without suffix, so that two may be equal: callers want `scan`.
        """

    @abstractmethod
    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The truth of one image of `shape`, one map per annotator.

        Appends to `faults` what could be left out (an empty mask, a degenerate polygon). Raises InputError where the
        truth as a whole cannot be trusted (a mask of another size).
        """

    def scan(self, root: Path, strict: bool = False) -> Listing:
        """`listing` with a name of its own for every record; under `strict` a fault is an error.

        The one way into a folder. Raises InputError, SkippedFilesError.
        """
        listing = with_own_names(self.listing(root))
        if strict:
            insist(listing.faults)
        return listing

    def image(self, record: Record) -> np.ndarray:
        """(H, W, C) uint8: RGB, or the bands asked for. Raises InputError. For layouts with several images in a file to
        override.
        """
        return read_bands(record.image, self.reading)

    def examine(self, record: Record) -> tuple[EntitySample, list[Fault]]:
        """The sample, and what of its truth was left out. Raises InputError."""
        image, faults = self.image(record), []
        truths = self.truths(record, image.shape[:2], faults)
        faults += [Assumption(record.image, reason) for reason in dict.fromkeys(map(ground_told, truths)) if reason]
        truths = self.seen(truths, image, record)
        return EntitySample(image, tuple(truths), Place(record.name, pixel_size_m=record.pixel_size_m)), faults

    def how(self, record: Record) -> str:
        """How the image of a record is read: its kind, its channels, and what was assumed. Raises InputError."""
        return how_shown(record.image, self.reading)

    def seen(self, truths: Sequence[EntityMap], image: np.ndarray, record: Record) -> list[EntityMap]:
        """The truths, unlabelled where the image has no data and no entity (`domains.scenes.validity`)."""
        black = ~SHOWN.pixels(image)
        if not black.any() or not may_lack_data(record.image, self.reading):
            return list(truths)
        return [
            replace(truth, ids=np.where(black & (truth.ids == BACKGROUND), UNLABELLED, truth.ids)) for truth in truths
        ]

    def read(self, record: Record) -> EntitySample:
        """The sample alone; what of its truth was left out is not told. Raises InputError."""
        return self.examine(record)[0]


def ground_told(truth: EntityMap) -> str | None:
    """What is told where one number of a map fills half of it and nearly all of its rim; None where none does."""
    ids = truth.ids
    rim = np.concatenate([ids[0], ids[-1], ids[:, 0], ids[:, -1]])
    number = int(np.median(rim))  # whatever fills more than half of the rim is its median
    if number == BACKGROUND or np.mean(rim == number) <= 0.9 or not 0.5 < np.mean(ids == number) < 1:
        return None
    if number == UNLABELLED:
        return UNLABELLED_GROUND
    return GROUND if truth.count > 1 else None


def with_own_names(listing: Listing) -> Listing:
    """The listing, in which no two records have one name: `part.jpg` and `part.png` are called so, not both `part`.

    Names that only differ in Unicode composition count as one. All others stay as they are, and so does every group:
    pictures of one stem are one group (as often as not they are one picture in two formats), and a picture that comes
    beside another moves neither to another split.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(listing.records):
        by_name[composed(record.name)].append(i)
    used = {name for name, indices in by_name.items() if len(indices) == 1}
    records = list(listing.records)
    for indices in by_name.values():
        for i in sorted(indices, key=lambda i: str(records[i].image)) if len(indices) > 1 else ():
            name = f"{records[i].name}{printable(records[i].image.suffix)}"
            numbered = (f"{name}~{number}" for number in count(2))
            unique = next(form for form in chain([name], numbered) if composed(form) not in used)
            used.add(composed(unique))
            records[i] = replace(records[i], name=unique)
    return Listing(records, listing.faults)


def read_bands(path: Path, reading: Reading, window: Window | None = None) -> np.ndarray:
    """(H, W, C) uint8 of an image or of a window of it, stretched alike all over it. Raises InputError."""
    if not reading.bands and window is None:
        return read_image(path)
    scene = open_scene(path)
    try:
        view = Viewed(scene, view_of(path, path.stat().st_mtime_ns, reading))
        return np.ascontiguousarray(view.read(*(window or (0, 0, *scene.shape))))
    finally:
        scene.close()


def may_lack_data(path: Path, reading: Reading) -> bool:
    """Whether an image is a raster that declares pixels without data. Raises InputError."""
    may = path.suffix.lower() in RASTERS or beside(path).says_anything
    return may and view_of(path, path.stat().st_mtime_ns, reading).validity.declared


def how_shown(path: Path, reading: Reading) -> str:
    """How an image is read, in a line that is the same for all of a kind. Raises InputError."""
    scene = open_scene(path)
    try:
        return described(scene, view_of(path, path.stat().st_mtime_ns, reading))
    finally:
        scene.close()


@lru_cache(maxsize=256)
def view_of(path: Path, changed_ns: int, reading: Reading) -> View:
    """What is shown of a raster, found once. changed_ns: tells one state of the file from another."""
    scene = open_scene(path)
    try:
        return band_view(scene, reading.bands, reading.band_names) if reading.bands else plain_view(scene)
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from error
    finally:
        scene.close()


def insist(faults: Sequence[Fault]) -> None:
    """`--strict`: raises SkippedFilesError when there is any fault but assumptions."""
    if skipped(faults):
        raise SkippedFilesError(f"{count_faults(faults)}; repair or remove it, or go on without --strict")


def count_faults(faults: Sequence[Fault]) -> str:
    """`3 skipped, the first is '/data/a.png': it has no mask`, for one line of warning."""
    left_out = skipped(faults)
    return f"{len(left_out)} skipped, the first is {left_out[0]}" if left_out else "none skipped"


def skipped(faults: Sequence[Fault]) -> list[Fault]:
    """The faults that are no assumptions."""
    return [fault for fault in faults if not isinstance(fault, Assumption)]


def assumed(faults: Sequence[Fault]) -> list[Assumption]:
    """The assumptions among the faults."""
    return [fault for fault in faults if isinstance(fault, Assumption)]
