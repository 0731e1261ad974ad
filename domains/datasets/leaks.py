"""Leaks: an image that is measured on and, the same or nearly the same, was learned from too.

Identical files are found by SHA-256, others by their `Look`, whatever their compression, size, light, flip or turn.
What only overlaps (neighbouring tiles, crops of one scene) is not found: that is what groups are for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from domains.datasets.contents import content_sha256
from domains.datasets.looks import Look, Looks, alike
from domains.formats.layout import Record, Split

TEACHERS: dict[Split, tuple[Split, ...]] = {"train": (), "val": ("train",), "test": ("train", "val")}
"""What weights, and thresholds, were chosen on before a split is measured."""


@dataclass(frozen=True)
class Leak:
    """A pair of records across two splits. bits: of 64 by which their hashes differ, None for identical files."""

    measured: Record
    split: Split
    learned: Record
    teacher: Split
    bits: int | None = None
    correlation: float = 1.0

    def __str__(self) -> str:
        how = "hold the same bytes"
        if self.bits is not None:
            how = (
                f"show nearly the same ({self.bits} of 64 bits of hash apart, detail correlates {self.correlation:.2f})"
            )
        return f"{self.learned.name!r} ({self.teacher}) and {self.measured.name!r} ({self.split}) {how}"


def find_leaks(
    splits: Mapping[Split, Sequence[Record]], split: Split, look: Callable[[Record], Look | None], nearly: bool = True
) -> list[Leak]:
    """Every pair of an image of `split` and one that was learned from before, the identical ones first.

    look: the look of a record's image, None where it has none (too large to open whole). nearly: False finds identical
    files only. Images of one colour are no leak, since they teach nothing; nor is it one that two images lie in the
    same file, if they look different. Raises InputError.
    """
    leaks = []
    measured = splits.get(split, ())
    seen, seen_looks = _looks(measured, look) if nearly else ([], Looks())
    for teacher in TEACHERS[split]:
        learned = splits.get(teacher, ())
        identical = [(record, twin) for record, twin in _identical(measured, learned) if not _blank(look(record))]
        leaks += [Leak(record, split, twin, teacher) for record, twin in identical]
        if nearly:
            paired = {(record.name, twin.name) for record, twin in identical}
            taught, taught_looks = _looks(learned, look)
            for pair in alike(seen_looks, taught_looks):
                record, twin = seen[pair.look], taught[pair.candidate]
                if (record.name, twin.name) not in paired:
                    leaks.append(Leak(record, split, twin, teacher, pair.bits, pair.correlation))
    return sorted(leaks, key=lambda leak: leak.bits is not None)


def _looks(records: Sequence[Record], look: Callable[[Record], Look | None]) -> tuple[list[Record], Looks]:
    """The records whose images have a look, and these."""
    seen, looks = [], Looks()
    for record in records:
        if (its_look := look(record)) is not None:
            seen.append(record)
            looks.append(its_look)
    return seen, looks


def _blank(look: Look | None) -> bool:
    return look is not None and not look.detail.any()


def _identical(measured: Sequence[Record], learned: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Pairs of different files with the same bytes. Only files of a size that occurs on both sides are read."""
    sizes = [{record.image.stat().st_size for record in side if record.image.is_file()} for side in (measured, learned)]
    shared = sizes[0] & sizes[1]
    by_content: dict[str, list[Record]] = defaultdict(list)
    for record in learned:
        if record.image.is_file() and record.image.stat().st_size in shared:
            by_content[content_sha256(record.image)].append(record)
    return [
        (record, twin)
        for record in measured
        if by_content and record.image.is_file() and record.image.stat().st_size in shared
        for twin in by_content.get(content_sha256(record.image), ())
        if record.image != twin.image
    ]
