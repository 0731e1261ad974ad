"""What a registry says of its entities, and how a user corrects it: two that are one are merged, others forgotten."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from adapters.tracking.looks import unit
from adapters.tracking.registry import Registry
from domains.errors import InputError

LARGEST_ID = 2**63 - 1
"""That SQLite can hold."""
LARGEST_MASK_PX = 2**26
"""A stored mask that says to be larger is damaged."""


class Entry(NamedTuple):
    """What is known of an entity. times: in how many moments it was seen; area: pixels, their mean; first_seen,
    last_seen: UTC; former: ids that were merged into it; sources: the clips and images, in their order.
    """

    id: int
    times: int
    area: float
    first_seen: str
    last_seen: str
    former: tuple[int, ...]
    sources: tuple[str, ...]


def entries(registry: Registry, ids: Sequence[int] = ()) -> Iterator[Entry]:
    """All entities, or those of some ids, ascending. Raises InputError for an id that is not known."""
    numbers = sorted(resolved(registry, number) for number in ids) or registry.ids.tolist()
    for number in numbers:
        ((times, area, first_seen, last_seen),) = registry.ask(
            "SELECT times, area, first_seen, last_seen FROM entity WHERE id = ?", (number,)
        )
        former = registry.ask("SELECT former FROM alias WHERE id = ? ORDER BY former", (number,))
        sources = registry.ask(
            "SELECT DISTINCT source FROM sighting JOIN moment ON moment.id = moment JOIN visit ON visit.id = visit "
            "WHERE entity = ? ORDER BY visit.id",
            (number,),
        )
        names = tuple(str(source) for (source,) in sources)
        yield Entry(number, times, area, first_seen, last_seen, tuple(int(before) for (before,) in former), names)


def resolved(registry: Registry, number: int) -> int:
    """The id by which an entity goes today. Raises InputError where none is known by this."""
    if number in registry.ids:
        return number
    if 0 < number <= LARGEST_ID:
        for (today,) in registry.ask("SELECT id FROM alias WHERE former = ?", (number,)):
            return int(today)
    raise InputError(f"{str(registry.path)!r} knows no entity {number}; `ids show` lists those it knows")


def last_mask(registry: Registry, number: int) -> np.ndarray | None:
    """(h, w) bool: an entity in its box as it was last kept; None where it never was."""
    ((mask,),) = registry.ask("SELECT mask FROM entity WHERE id = ?", (number,))
    if not mask:
        return None
    height, width = (int.from_bytes(mask[start : start + 4], "little") for start in (0, 4))
    size = -(-height * width // 8)
    try:
        bits = zlib.decompressobj().decompress(mask[8:], size + 1) if 0 < height * width <= LARGEST_MASK_PX else b""
    except zlib.error:
        bits = b""
    if not bits or len(bits) != size:
        raise InputError(f"{str(registry.path)!r} is damaged: the mask of entity {number}")
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=height * width).reshape(height, width).astype(bool)


def merge(registry: Registry, kept: int, gone: int) -> None:
    """Make two entities one, by the first's id; the second's leads to it from now on. Raises InputError for ids that
    are not known, or one and the same.
    """
    kept, gone = resolved(registry, kept), resolved(registry, gone)
    if kept == gone:
        raise InputError(f"entity {kept} is already what the two are; wanted two different ones")
    (kept_row,) = registry.ask("SELECT times, area, first_seen, last_seen, mask FROM entity WHERE id = ?", (kept,))
    (gone_row,) = registry.ask("SELECT times, area, first_seen, last_seen, mask FROM entity WHERE id = ?", (gone,))
    times = kept_row[0] + gone_row[0]
    weights = np.array([kept_row[0], gone_row[0]]) / times if times else np.array([0.5, 0.5])
    look = weights @ registry.looks[registry.place(np.array([kept, gone]))]
    latest = max(kept_row, gone_row, key=lambda row: row[3])
    with registry.writing():
        registry.ask("UPDATE OR IGNORE sighting SET entity = ? WHERE entity = ?", (kept, gone))
        registry.ask("DELETE FROM sighting WHERE entity = ?", (gone,))
        registry.ask("UPDATE alias SET id = ? WHERE id = ?", (kept, gone))
        registry.ask("INSERT INTO alias VALUES (?, ?)", (gone, kept))
        registry.ask("DELETE FROM entity WHERE id = ?", (gone,))
        registry.ask(
            "UPDATE entity SET look = ?, times = ?, area = ?, first_seen = ?, last_seen = ?, mask = ? WHERE id = ?",
            (
                unit(look[None]).astype("<f2").tobytes(), times, float(weights @ [kept_row[1], gone_row[1]]),
                min(kept_row[2], gone_row[2]), latest[3], latest[4], kept,
            ),
        )  # fmt: skip
    registry.reread()


def forget(registry: Registry, ids: Sequence[int]) -> int:
    """Remove entities and all that was seen of them; nothing gets their ids again. Returns how many there were. Raises
    InputError for an id that is not known, before any is removed.
    """
    numbers = sorted({resolved(registry, number) for number in ids})
    with registry.writing():
        for number in numbers:
            registry.ask("DELETE FROM sighting WHERE entity = ?", (number,))
            registry.ask("DELETE FROM alias WHERE id = ?", (number,))
            registry.ask("DELETE FROM entity WHERE id = ?", (number,))
        registry.ask("DELETE FROM moment WHERE id NOT IN (SELECT moment FROM sighting)")
        registry.ask("DELETE FROM visit WHERE id NOT IN (SELECT visit FROM moment)")
    registry.reread()
    return len(numbers)
