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
class Fact:
    """A fact, of how many files it holds, and the first of them for example."""

    text: str
    count: int
    example: str


@dataclass(frozen=True)
class ReadAs:
    """layout, rule: its name, and the files by which it is recognised. entity: what counts as an entity.

    images: how images were read, the commonest first. assumptions: likewise. left_out: what could not be used.
    unseen: images that were not asked how they were read.
    """

    layout: str
    rule: str
    entity: str
    images: Sequence[Fact]
    assumptions: Sequence[Fact]
    left_out: Sequence[Fault] = ()
    unseen: int = 0

    def rows(self) -> list[tuple[str, str]]:
        """(name, value): a row for the layout, for each kind of image and for each assumption."""
        kinds = [("  images", f"{kind.count} x {kind.text}; first {kind.example!r}") for kind in self.images]
        assumptions = [("  assumed", f"{fact.text} ({files(fact)})") for fact in self.assumptions]
        return [("read as", f"{self.layout}: {self.rule}"), *kinds, *assumptions]

    def brief(self, data: str) -> list[str]:
        """At most five lines for the start of a verb. data: the folder, as it was named."""
        see = f"see python cli.py domains check {shlex.quote(data)}"
        lines = [f"read as {self.layout}: {self.rule}"]
        if self.images:
            kinds = [f"{kind.count} x {kind.text}" for kind in self.images[:KINDS_IN_A_LINE]]
            further = len(self.images) - KINDS_IN_A_LINE
            ending = [f"and {further} more kind{'s' * (further > 1)}, {see}"] if further > 0 else []
            unseen = [f"{self.unseen} not looked at"] if self.unseen else []
            lines.append(f"images: {' | '.join([*kinds, *ending, *unseen])}")
        lines.append(f"an entity is {self.entity}")
        if self.assumptions:
            fact, further = self.assumptions[0], len(self.assumptions) - 1
            ending = f"; and {further} more assumption{'s' * (further > 1)}, {see}" if further else ""
            lines.append(f"assumed: {fact.text} ({files(fact)}){ending}")
        if self.left_out:
            ending = f"; {see}" if len(self.left_out) > 1 else ""
            lines.append(f"left out: {len(self.left_out)}, the first is {self.left_out[0]}{ending}")
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
        facts_about(((how, image) for image, how in hows.items() if how), root),
        facts_about(((fault.reason, fault.path) for fault in assumed(faults)), root),
        skipped(faults),
        sum(image not in hows for image in images),
    )


def how_read(layout: Layout, record: Record) -> str:
    """As `Layout.how`; "" for an image that is no scene of its own, such as an array of many."""
    try:
        return layout.how(record)
    except InputError:
        return ""


def facts_about(statements: Iterable[tuple[str, Path]], root: Path) -> list[Fact]:
    """Facts with the files that they hold of, the commonest first."""
    paths: dict[str, dict[Path, None]] = defaultdict(dict)
    for text, path in statements:
        paths[text][path] = None
    facts = [Fact(text, len(holders), inside(next(iter(holders)), root)) for text, holders in paths.items()]
    return sorted(facts, key=lambda fact: -fact.count)


def inside(path: Path, root: Path) -> str:
    """A path from the folder on; of a file elsewhere its name."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) and path != root else path.name


def files(fact: Fact) -> str:
    """`3 files, first 'a.png'`; of a single file its name alone."""
    return f"{fact.count} files, first {fact.example!r}" if fact.count > 1 else repr(fact.example)


def spread(count: int, limit: int) -> list[int]:
    """Up to `limit` indices, evenly over all."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, limit))})


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
