"""What every layout of labelled images shares: records, faults, and the way from a record to an `EntitySample`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np

from domains.entities import EntityMap, EntitySample, Place
from domains.errors import SkippedFilesError
from domains.images import read_image

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Record:
    """One labelled image that a layout has found and not yet read.

    name: unique in its folder, printable. truth: whatever the layout needs to read the truth, picklable.
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


class Listing(NamedTuple):
    records: list[Record]
    faults: list[Fault]


class Layout(ABC):
    """A way in which labelled images lie in a folder. Layouts hold no state: one instance serves every folder.

    name: as in `LAYOUTS` and as its data card is called. entities: what counts as one, in a sentence.
    expects: the files by which it is recognised.
    """

    name: ClassVar[str]
    entities: ClassVar[str]
    expects: ClassVar[str]

    @abstractmethod
    def matches(self, root: Path) -> bool:
        """Whether `root` looks like this layout; lists folders, reads at most the head of a file."""

    @abstractmethod
    def listing(self, root: Path) -> Listing:
        """Every image with its truth, in a stable order, and every file that has no counterpart. Reads no pixels."""

    @abstractmethod
    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The truth of one image of `shape`, one map per annotator.

        Appends to `faults` what could be left out (an empty mask, a degenerate polygon). Raises InputError where the
        truth as a whole cannot be trusted (a mask of another size).
        """

    def scan(self, root: Path, strict: bool = False) -> Listing:
        """`listing`, but under `strict` a fault is an error. Raises InputError, SkippedFilesError."""
        listing = self.listing(root)
        if strict:
            insist(listing.faults)
        return listing

    def image(self, record: Record) -> np.ndarray:
        """(H, W, 3) uint8. Raises InputError. For layouts with several images in a file to override."""
        return read_image(record.image)

    def examine(self, record: Record) -> tuple[EntitySample, list[Fault]]:
        """The sample, and what of its truth was left out. Raises InputError."""
        image, faults = self.image(record), []
        truths = self.truths(record, image.shape[:2], faults)
        return EntitySample(image, tuple(truths), Place(record.name, pixel_size_m=record.pixel_size_m)), faults

    def read(self, record: Record) -> EntitySample:
        """Raises InputError."""
        return self.examine(record)[0]


def insist(faults: Sequence[Fault]) -> None:
    """`--strict`: raises SkippedFilesError when there is any fault."""
    if faults:
        raise SkippedFilesError(f"{count_faults(faults)}; repair or remove it, or go on without --strict")


def count_faults(faults: Sequence[Fault]) -> str:
    """`3 skipped, the first is '/data/a.png': it has no mask`, for one line of warning."""
    return f"{len(faults)} skipped, the first is {faults[0]}" if faults else "none skipped"
