"""What a folder of labelled images holds, for `domains check DIR`: counts, sizes, groups, splits and every fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from domains.datasets.dataset import examine_all, listed
from domains.datasets.leaks import Leak, find_leaks
from domains.datasets.looks import Looks, look_at
from domains.datasets.read_as import Kind, Kinds, ReadAs, read_as
from domains.datasets.splits import FRACTIONS, assign
from domains.entities import NO_CLASS, EntityMap
from domains.entities.overlay import thumbnail
from domains.errors import printable
from domains.formats import recognise
from domains.formats.layout import Fault, Layout, Reading, Record, Split, count_faults, skipped

QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)  # of areas and of entities per truth
MOST_KINDS = 24  # of image, with pictures on a page
MOST_CLASSES = 12  # that a line names


@dataclass(frozen=True)
class Count:
    images: int = 0
    entities: int = 0
    groups: int = 0


@dataclass(frozen=True)
class Example:
    """An image to show: entities of its first truth, and a small RGB picture with their outlines."""

    record: Record
    split: Split
    entities: int
    picture: np.ndarray


@dataclass(frozen=True)
class Report:
    """areas: of every entity, in pixels. sizes: (H, W) and how many images.

    annotators: truths per image and how many images. without_entity: images whose truths hold none.
    unlabelled: share of pixels that are -1. strata: images per class or kind. classes: entities of the first truths by
    class. splits, records: usable images only.
    faults: what was left out, and what was assumed. leaks: of test. examples: as many as were asked for, spread over
    the folder. kinds: of image, the commonest first, with pictures where examples were asked for.
    """

    root: Path
    layout: str
    entity: str
    total: Count
    splits: dict[Split, Count]
    areas: np.ndarray
    per_image: tuple[float, ...]
    sizes: Counter[tuple[int, int]]
    annotators: Counter[int]
    pixel_sizes_m: Counter[float | None]
    without_entity: int
    unlabelled: float
    strata: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    records: Mapping[Split, Sequence[Record]] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    reading: ReadAs | None = None
    kinds: list[Kind] = field(default_factory=list)

    @property
    def skipped(self) -> list[Fault]:
        """The faults by which something was left out."""
        return skipped(self.faults)

    @property
    def unusable(self) -> str:
        """Why nothing can be learnt from the folder, "" where something can."""
        if not self.total.images:
            cause = f"{count_faults(self.faults)}; repair it first" if self.skipped else "there are none"
            return f"{str(self.root)!r}: wanted labelled images, none can be used: {cause}"
        if not self.total.entities:
            return (
                f"{str(self.root)!r}: wanted entities, got {self.total.images} usable images without any, so there is "
                "nothing to learn or to measure; look above how the labels are read"
            )
        return ""

    def text(self) -> str:
        """For a terminal: one fact per line, then the faults and the leaks, one per line."""
        lines = [f"{name:<13} {value}" for name, value in self.rows()]
        return "\n".join([*lines, *(f"  {line}" for line in [*self.fault_lines(), *self.leaks])])

    def fault_lines(self) -> list[str]:
        """What was left out, without the folder, which stands above."""
        return [str(fault).replace(f"{self.root}/", "") for fault in self.skipped]

    def rows(self) -> list[tuple[str, str]]:
        """Every fact as (name, value), in the order of a terminal and a page."""
        empty = f"{self.without_entity} without any entity"
        rows = [
            ("folder", str(self.root)),
            *(self.reading.rows() if self.reading else [("read as", self.layout)]),
            ("an entity is", self.entity),
            ("images", f"{self.total.images} images in {self.total.groups} groups; {empty}"),
            ("entities", f"{self.total.entities} in {sum(n * c for n, c in self.annotators.items())} truths"),
            ("area, px", _quantiles(_five(self.areas))),
            ("per truth", _quantiles(self.per_image)),
            ("image sizes", _sizes(self.sizes)),
            ("pixel size", _counts(self.pixel_sizes_m, lambda size: "unknown" if size is None else f"{size:.4g} m")),
            ("annotators", _counts(self.annotators, str)),
            ("unlabelled", f"{self.unlabelled:.2%} of the pixels"),
        ]
        if set(self.strata) - {""}:
            rows.append(("strata", _counts(self.strata, str)))
        if self.classes:
            rows.append(("classes", printable(_entities_of(self.classes))))
        for split, count in self.splits.items():
            rows.append((split, f"{count.images} images, {count.entities} entities, {count.groups} groups"))
        rows.append(("faults", str(len(self.skipped)) if self.skipped else "none"))
        leaks = f"{len(self.leaks)}, each an image of train or val and one of test" if self.leaks else "none"
        rows.append(("leaks", leaks))
        return rows


def check_folder(
    root: Path,
    groups: Path | None = None,
    fractions: Sequence[float] = FRACTIONS,
    examples: int = 0,
    layouts: Mapping[str, Layout] | None = None,
    reading: Reading | None = None,
) -> Report:
    """Reads every sample once. Faults are reported, not raised; InputError where the folder itself is unusable."""
    root = Path(root)
    layout = recognise(root, layouts).with_reading(reading or Reading())
    listing = listed(root, layout, groups, layouts=layouts)
    faults, kinds = list(listing.faults), Kinds(layout)
    pictured = {round(i) for i in np.linspace(0, len(listing.records) - 1, min(examples, len(listing.records)))}
    usable, entities, looks, places, thumbnails = [], {}, Looks(), {}, {}
    areas, per_truth, sizes, annotators = [np.zeros(0, np.int64)], [], Counter(), Counter()
    without_entity = unlabelled = pixels = 0
    classes: Counter[str] = Counter()
    for i, (record, sample, sample_faults) in enumerate(examine_all(layout, listing.records)):
        faults += sample_faults
        if sample is None:
            continue
        counts = [truth.count for truth in sample.truths]
        usable.append(record)
        places[record.name] = len(looks)
        looks.append(look_at(sample.image))
        if i in pictured:
            thumbnails[record.name] = (counts[0], thumbnail(sample.image, sample.truth))
        kind = kinds.add(record, sample_faults, counts[0])
        if kind is not None and examples and len(kinds.kinds) <= MOST_KINDS:
            kind.plain, kind.outlined = plain(sample.image), thumbnail(sample.image, sample.truth)
        entities[record.name] = sum(counts)
        per_truth += counts
        classes.update(class_names(sample.truth))
        areas += [truth.areas for truth in sample.truths]
        sizes[sample.truth.shape] += 1
        annotators[len(counts)] += 1
        without_entity += not any(counts)
        unlabelled += sum(int((~truth.labelled).sum()) for truth in sample.truths)
        pixels += sum(truth.ids.size for truth in sample.truths)

    def count(records: Sequence[Record]) -> Count:
        total = sum(entities[record.name] for record in records)
        return Count(len(records), total, len({record.group for record in records}))

    splits = assign(usable, fractions=fractions)
    return Report(
        root=root,
        layout=layout.name,
        entity=layout.entities,
        total=count(usable),
        splits={split: count(records) for split, records in splits.items()},
        areas=np.concatenate(areas),
        per_image=_five(np.array(per_truth)),
        sizes=sizes,
        annotators=annotators,
        pixel_sizes_m=Counter(record.pixel_size_m for record in usable),
        without_entity=without_entity,
        unlabelled=unlabelled / max(pixels, 1),
        strata=Counter(record.stratum for record in usable),
        classes=classes,
        faults=faults,
        leaks=find_leaks(splits, "test", lambda record: looks[places[record.name]]),
        records=splits,
        examples=[
            Example(record, split, *thumbnails[record.name])
            for split, records in splits.items()
            for record in records
            if record.name in thumbnails
        ],
        reading=read_as(root, layout, usable, faults, kinds.hows),
        kinds=kinds.commonest(),
    )


def plain(image: np.ndarray) -> np.ndarray:
    """A small picture of an image, as `thumbnail` without entities."""
    return thumbnail(image, EntityMap(np.zeros(image.shape[:2], np.int32)))


def class_names(truth: EntityMap) -> list[str]:
    """The class of each entity that has one."""
    labels = [] if truth.labels is None else truth.labels[truth.labels != NO_CLASS]
    return [name for label in labels if (name := truth.vocabulary[label])]


def _entities_of(classes: Counter[str]) -> str:
    """The commonest classes with the number of entities of each, and how many classes there are."""
    listed = [f"{name} ({count})" for name, count in classes.most_common(MOST_CLASSES)]
    further = [f"and {len(classes) - MOST_CLASSES} more"] if len(classes) > MOST_CLASSES else []
    return ", ".join([*listed, *further])


def _five(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, QUANTILES)) if values.size else ()


def _quantiles(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return ", ".join(f"{value:.0f} ({quantile:.0%})" for value, quantile in zip(values, QUANTILES, strict=True))


def _counts(counter: Counter, show: Callable[[Any], str]) -> str:
    return ", ".join(f"{show(value)} ({count}x)" for value, count in counter.most_common()) or "none"


def _sizes(sizes: Counter[tuple[int, int]]) -> str:
    """Widths and heights, and the commonest size where it says something."""
    if not sizes:
        return "none"
    heights, widths = zip(*sizes, strict=True)
    (height, width), count = sizes.most_common(1)[0]
    spread = f"width {min(widths)}-{max(widths)}, height {min(heights)}-{max(heights)}"
    return f"{spread}; {len(sizes)} different, most often {width} x {height} ({count}x)"
