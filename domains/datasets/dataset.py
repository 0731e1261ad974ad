"""A folder of labelled images as a data set, and the reading that finds what in it can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from domains.datasets.splits import FRACTIONS, assign, find_groups, read_groups, read_strata, unused_rows, with_groups
from domains.entities import EntitySample
from domains.errors import InputError
from domains.formats import MOST_TEXT, others, recognise, shortened, without_middle
from domains.formats.layout import Fault, Layout, Listing, Record, Split, count_faults, insist, skipped
from domains.scenes.pixels import pixel_digest


class SampleCache:
    """Decoded samples by name, first come first kept, until they fill `limit_mb`: a picture with 100 mask files costs
    more to read than to train on. Data sets of one folder may share one. It does not travel: pickled, it is empty."""

    def __init__(self, limit_mb: float = 512):
        self.limit_mb = limit_mb
        self.samples: dict[str, EntitySample] = {}
        self.bytes = 0

    def keep(self, record: Record, sample: EntitySample) -> EntitySample:
        """The sample itself, kept where it fits in; one that is kept stays."""
        size = sample.image.nbytes + sum(truth.ids.nbytes for truth in sample.truths)
        if record.name not in self.samples and self.bytes + size <= self.limit_mb * 2**20:
            self.samples[record.name] = sample
            self.bytes += size
        return sample

    def __reduce__(self) -> tuple:
        return SampleCache, (self.limit_mb,)


class EntityDataset:
    """Samples of records. Indexable, picklable. Samples may be kept and shared: nobody may write into their arrays.

    An index raises InputError when its file is broken.
    """

    def __init__(self, records: Sequence[Record], layout: Layout, cache: SampleCache | None = None):
        self.records = list(records)
        self.layout = layout
        self.cache = cache or SampleCache()

    def __len__(self) -> int:
        return len(self.records)

    def image(self, record: Record) -> np.ndarray:
        """(H, W, 3) uint8 of a record of the same folder, kept or read without its truth. Raises InputError."""
        kept = self.cache.samples.get(record.name)
        return self.layout.image(record) if kept is None else kept.image

    def __getitem__(self, index: int) -> EntitySample:
        record = self.records[index]
        kept = self.cache.samples.get(record.name)
        return kept if kept is not None else self.cache.keep(record, self.layout.read(record))


@dataclass(frozen=True)
class Folder:
    """A folder of labelled images, recognised, grouped, and read once.

    records: the usable ones. faults: what was left out, and what was assumed. entities: their number by record's name.
    pixels: the digest of each image that is not of one colour, by record's name.
    """

    root: Path
    layout: Layout
    records: list[Record]
    faults: list[Fault]
    cache: SampleCache
    entities: Mapping[str, int] = field(default_factory=dict)
    pixels: Mapping[str, str] = field(default_factory=dict)

    def dataset(self, split: Split | Literal["all"], fractions: Sequence[float] = FRACTIONS) -> EntityDataset:
        """The images of one split, or all; empty where there are too few groups to fill it (see `splits.assign`)."""
        records = self.records if split == "all" else assign(self.records, fractions=fractions)[split]
        return EntityDataset(records, self.layout, self.cache)


def open_folder(
    root: Path,
    groups: Path | None = None,
    strict: bool = False,
    layout: Layout | None = None,
    cache_mb: int = 512,
    pixel_size_m: float | None = None,
) -> Folder:
    """What `fit` and `evaluate` start from.

    groups: a table of groups, else `groups.csv` of the folder. layout: else it is recognised. pixel_size_m: of all
    images, in place of what they say of themselves. Reads every sample once and keeps what `cache_mb` holds. Raises
    InputError when no image is usable, SkippedFilesError when `strict` and anything had to be skipped.
    """
    root, cache = Path(root), SampleCache(cache_mb)
    layout = layout or recognise(root)
    listing = listed(root, layout, groups, strict, pixel_size_m)
    records, faults, entities, pixels = [], list(listing.faults), {}, {}
    for record, sample, own_faults in examine_all(layout, listing.records):
        faults += own_faults
        if sample is not None:
            records.append(record)
            cache.keep(record, sample)
            entities[record.name] = sum(truth.count for truth in sample.truths)
            if (digest := pixel_digest(sample.image)) is not None:
                pixels[record.name] = digest
    if strict:
        insist(faults)
    if not records:
        cause = count_faults(faults).replace(f"{root}/", "") if skipped(faults) else "there are none"
        start = f"{shortened(root)}: wanted labelled images as {layout.name}, none is usable ("
        end = "); see docs/formats.md"
        raise InputError(f"{start}{without_middle(cause, MOST_TEXT - len(start + end))}{end}")
    return Folder(root, layout, records, faults, cache, entities, pixels)


def listed(
    root: Path,
    layout: Layout,
    groups: Path | None = None,
    strict: bool = False,
    pixel_size_m: float | None = None,
    layouts: Mapping[str, Layout] | None = None,
) -> Listing:
    """The records of a folder in their groups, and the faults, before a pixel is read.

    With `examine_all` the one way into a folder, whoever asks. Arguments and errors as of `open_folder`. layouts: of
    which a further one that the folder holds too is told; None for all of this house.
    """
    listing = layout.scan(root, strict)
    listing = grouped(root, Listing(listing.records, listing.faults + others(root, layout, listing, layouts)), groups)
    if pixel_size_m is None:
        return listing
    return Listing([replace(record, pixel_size_m=pixel_size_m) for record in listing.records], listing.faults)


def grouped(root: Path, listing: Listing, groups: Path | None = None) -> Listing:
    """The listing in the groups (and strata) of `groups` or of the folder's `groups.csv`; as it is without a table."""
    table = find_groups(root, groups)
    if table is None or not listing.records:
        return listing
    records, unused = with_groups(listing.records, read_groups(table), read_strata(table))
    return Listing(records, listing.faults + unused_rows(table, unused))


WATCHER: ContextVar[Callable[[int, int], None]] = ContextVar("WATCHER", default=lambda done, images: None)
"""Told how many images of a folder are read, and of how many, by whoever shows that: a folder is read when a split is
first asked for, behind interfaces that know of no terminal."""


def examine_all(layout: Layout, records: Sequence[Record]) -> Iterator[tuple[Record, EntitySample | None, list[Fault]]]:
    """Each record with its sample, None where it is broken, and its faults."""
    for done, record in enumerate(records):
        WATCHER.get()(done, len(records))
        try:
            sample, faults = layout.examine(record)
        except InputError as error:
            yield record, None, [Fault(record.image, str(error).removeprefix(f"{str(record.image)!r}: "))]
        else:
            yield record, sample, faults
