"""As what a folder was read: by which layout, as which kinds of image, and what was assumed.

A reading that nobody meant is seen in a line, before the minutes are spent on it.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from domains.errors import InputError
from domains.formats.layout import Fault, Layout, Record, assumed, skipped

MOST_LOOKED_AT = 300  # images of a folder whose kind `fit` and `evaluate` tell; `domains check` looks at all
KINDS_IN_A_LINE = 3


@dataclass(frozen=True)
class Told:
    """A fact, of how many files it holds, and the first of them."""

    text: str
    count: int
    first: str


@dataclass(frozen=True)
class ReadAs:
    """layout, rule: its name, and the files by which it is recognised. entity: what counts as an entity.

    images: how images were read, the commonest first. assumptions: likewise. left_out: what could not be used.
    unseen: images that were not asked how they were read.
    """

    layout: str
    rule: str
    entity: str
    images: Sequence[Told]
    assumptions: Sequence[Told]
    left_out: Sequence[Fault] = ()
    unseen: int = 0

    def rows(self) -> list[tuple[str, str]]:
        """(name, value): a row for the layout, for each kind of image and for each assumption."""
        kinds = [("  images", f"{kind.count} x {kind.text}; first {kind.first!r}") for kind in self.images]
        assumptions = [("  assumed", f"{fact.text} ({files(fact)})") for fact in self.assumptions]
        return [("read as", f"{self.layout}: {self.rule}"), *kinds, *assumptions]

    def brief(self, data: str) -> list[str]:
        """At most five lines for the start of a verb. data: the folder, as it was named."""
        see = f"see python cli.py domains check {shlex.quote(data)}"
        lines = [f"read as {self.layout}: {self.rule}"]
        if self.images:
            kinds = [f"{kind.count} x {kind.text}" for kind in self.images[:KINDS_IN_A_LINE]]
            rest = len(self.images) - KINDS_IN_A_LINE
            more = [f"and {rest} more kind{'s' * (rest > 1)}, {see}"] if rest > 0 else []
            unseen = [f"{self.unseen} not looked at"] if self.unseen else []
            lines.append(f"images: {' | '.join([*kinds, *more, *unseen])}")
        lines.append(f"an entity is {self.entity}")
        if self.assumptions:
            first, rest = self.assumptions[0], len(self.assumptions) - 1
            more = f"; and {rest} more assumption{'s' * (rest > 1)}, {see}" if rest else ""
            lines.append(f"assumed: {first.text} ({files(first)}){more}")
        if self.left_out:
            more = f"; {see}" if len(self.left_out) > 1 else ""
            lines.append(f"left out: {len(self.left_out)}, the first is {self.left_out[0]}{more}")
        return lines


def read_as(
    root: Path,
    layout: Layout,
    records: Sequence[Record],
    faults: Sequence[Fault],
    hows: Mapping[Path, str] | None = None,
) -> ReadAs:
    """What is told of a folder that was read into records and faults.

    hows: how each image was read; else up to `MOST_LOOKED_AT` of them are asked.
    """
    images = list(dict.fromkeys(record.image for record in records))  # tiles of a slide are one image
    if hows is None:
        firsts = {record.image: record for record in reversed(records)}
        asked = [images[i] for i in spread(len(images), MOST_LOOKED_AT)]
        hows = {image: how_read(layout, firsts[image]) for image in asked}
    return ReadAs(
        layout.name,
        layout.expects,
        layout.entities,
        told(((how, image) for image, how in hows.items() if how), root),
        told(((fault.reason, fault.path) for fault in assumed(faults)), root),
        skipped(faults),
        sum(image not in hows for image in images),
    )


def how_read(layout: Layout, record: Record) -> str:
    """As `Layout.how`; "" for an image that is no scene of its own, such as an array of many."""
    try:
        return layout.how(record)
    except InputError:
        return ""


def told(facts: Iterable[tuple[str, Path]], root: Path) -> list[Told]:
    """Facts with the files that they hold of, the commonest first."""
    paths: dict[str, dict[Path, None]] = defaultdict(dict)
    for text, path in facts:
        paths[text][path] = None
    facts_told = [Told(text, len(own), inside(next(iter(own)), root)) for text, own in paths.items()]
    return sorted(facts_told, key=lambda fact: -fact.count)


def inside(path: Path, root: Path) -> str:
    """A path from the folder on."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) and path != root else path.name


def files(fact: Told) -> str:
    return f"{fact.count} files, first {fact.first!r}" if fact.count > 1 else repr(fact.first)


def spread(count: int, most: int) -> list[int]:
    """Up to `most` indices, evenly over all."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


@dataclass
class Kind:
    """Images that were read alike, with the same assumptions, and the one with most entities to show.

    plain, outlined: (h, w, 3) uint8 of it, None where no picture was asked for.
    """

    how: str
    assumptions: tuple[str, ...]
    count: int = 0
    name: str = ""
    entities: int = -1
    plain: np.ndarray | None = None
    outlined: np.ndarray | None = None


@dataclass
class Kinds:
    """Collects the kinds of a folder as its records are read."""

    layout: Layout
    kinds: dict[tuple[str, tuple[str, ...]], Kind] = field(default_factory=dict)
    hows: dict[Path, str] = field(default_factory=dict)

    def add(self, record: Record, faults: Sequence[Fault], entities: int) -> Kind | None:
        """The kind that a record adds to, where the record shows it better than those before, else None."""
        if record.image not in self.hows:
            self.hows[record.image] = how_read(self.layout, record)
        reasons = tuple(sorted({fault.reason for fault in assumed(faults)}))
        key = self.hows[record.image], reasons
        kind = self.kinds.setdefault(key, Kind(*key))
        kind.count += 1
        if entities <= kind.entities:
            return None
        kind.name, kind.entities = record.name, entities
        return kind

    def commonest(self) -> list[Kind]:
        """All of them, those with most images first."""
        return sorted(self.kinds.values(), key=lambda kind: -kind.count)
