"""`ids show | merge | forget`: what a registry of entities knows, and corrections by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from adapters.tracking.entries import Entry, entries, forget, last_mask, merge, resolved
from adapters.tracking.registry import Registry
from domains.atomic import atomic_path
from domains.errors import InputError
from domains.scenes.results import signed

COLUMNS = ("id", "times", "area px", "first seen", "last seen", "in")
SOURCES = 3
"""Clips and images that a row names; of more it says how many."""


def shown_text(path: Path, ids: Sequence[int], limit: int, masks: Path | None = None) -> str:
    """A table of a registry's entities, the first `limit` of them or those asked for.

    masks: a folder in which the last mask of each that is shown is written as `<id>.png`, white on black. Raises
    InputError where a file is there already.
    """
    with Registry(path, make=False) as registry:
        rows = list(islice(entries(registry, ids), None if ids else limit))
        if masks is not None:
            write_masks(registry, [entry.id for entry in rows], masks)
        count = len(registry.ids)
    lines = ["\t".join(COLUMNS), *("\t".join(cells(entry)) for entry in rows)]
    if not ids:
        hint = f"; --limit {count} lists all" if len(rows) < count else ""
        lines.append(f"{count} entities{hint}")
    return "\n".join(lines)


def cells(entry: Entry) -> list[str]:
    """What a row says of an entity."""
    sources = ", ".join(entry.sources[:SOURCES])
    if len(entry.sources) > SOURCES:
        sources += f" and {len(entry.sources) - SOURCES} more"
    former = f" (was {', '.join(map(str, entry.former))})" if entry.former else ""
    return [f"{entry.id}{former}", str(entry.times), f"{entry.area:.0f}", entry.first_seen, entry.last_seen, sources]


def write_masks(registry: Registry, ids: Sequence[int], folder: Path) -> None:
    """Write the last mask of entities as `<id>.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    there = [number for number in ids if (folder / f"{number}.png").exists()]
    if there:
        raise InputError(f"{str(folder / f'{there[0]}.png')!r} is there already; name another folder for --masks")
    for number in ids:
        if (mask := last_mask(registry, number)) is not None:
            with atomic_path(folder / f"{number}.png") as temporary:
                Image.fromarray(mask.astype(np.uint8) * 255).save(temporary, pnginfo=signed())


def merged_text(path: Path, kept: int, gone: Sequence[int]) -> str:
    """What `ids merge` says when it is done."""
    with Registry(path, make=False) as registry:
        numbers = list(dict.fromkeys(resolved(registry, number) for number in gone))  # all are known, or none is merged
        for number in numbers:
            merge(registry, kept, number)
        (entry,) = entries(registry, [kept])
    verb = "are" if len(gone) > 1 else "is"
    return f"{', '.join(map(str, gone))} {verb} {entry.id} from now on: seen {entry.times} times"


def forgotten_text(path: Path, ids: Sequence[int]) -> str:
    """What `ids forget` says when it is done."""
    with Registry(path, make=False) as registry:
        count = forget(registry, ids)
        return f"{count} forgotten, {len(registry.ids)} known"
