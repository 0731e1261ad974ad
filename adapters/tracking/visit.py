"""A clip or an image by a registry: which of its entities were seen before, and ids of those that were not."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from adapters.tracking.looks import with_ground, without_ground
from adapters.tracking.recognising import View, alone, recognised
from adapters.tracking.registry import Registry

MOMENTS = 8
"""So many moments of before, whose entities look most like what is seen, are held against it,"""
FAILURES = 3
"""until so many, one after the other, were of another place."""
Mask = Callable[[int], np.ndarray]
"""A row of a view to the (h, w) bool mask of the entity in its box."""


@dataclass
class Visit:
    """What is seen of one clip or image. source: its name."""

    registry: Registry
    source: str
    _number: int = 0

    def ids(self, view: View, barred: Sequence[int] = (), mask: Mask | None = None) -> np.ndarray:
        """(N,) int64 of the registry, of all that is in view; how it lies is kept. barred: ids that none has."""
        ids = self.recognised(view, barred=barred)
        new = ids == 0
        if new.any():
            ids[new] = self.added(view.looks[new], view.areas[new])
        if len(ids):
            self.keep(0, ids, view, [packed(mask(row)) if mask else b"" for row in range(len(view))])
        return ids

    def recognised(self, view: View, named: np.ndarray | None = None, barred: Sequence[int] = ()) -> np.ndarray:
        """(N,) int64 ids of before, by place in a moment, then by looks alone; 0 for what is not recognised.

        named: (N,) ids that are known already (of tracks), 0 for none. barred: ids that none of these may have, beside
        those that are named.
        """
        self.registry.refresh()
        ids = np.zeros(len(view), np.int64) if named is None else named.astype(np.int64)
        excluded, failures = np.array([*barred], np.int64), 0
        for number in self.registry.moments_like(view.looks, MOMENTS):
            numbers, before = self.registry.moment(number)
            rows = recognised(view, before)
            failures = 0 if rows is not None else failures + 1
            if rows is not None:
                accept(ids, np.where(rows >= 0, numbers[rows], 0), excluded)
            if failures == FAILURES or (ids > 0).all():
                break
        unknown = np.flatnonzero(ids == 0)
        place = np.flatnonzero(~np.isin(self.registry.ids, ids))
        if len(unknown) and len(place):
            areas = self._areas(self.registry.ids[place])
            now, before = view.looks[unknown], self.registry.looks[place]
            surrounded, looks = (kind(now) @ kind(before).T for kind in (with_ground, without_ground))
            rows = alone(surrounded, looks, view.areas[unknown], areas)
            alike = np.zeros(len(ids), np.int64)
            alike[unknown] = np.where(rows >= 0, self.registry.ids[place][rows], 0)
            accept(ids, alike, excluded)
        return ids

    def added(self, looks: np.ndarray, areas: np.ndarray) -> np.ndarray:
        """(n,) int64 new ids, on the disk by then."""
        with self.registry.writing():
            return self.registry.add(looks, areas, now())

    def keep(self, tick: float, ids: np.ndarray, view: View, masks: Sequence[bytes]) -> None:
        """Keep how entities lie and look at a time, in frames. masks: as `packed` gives them, or nothing."""
        if not self._number:
            self._number = self.registry.begin(self.source, now())
        with self.registry.writing():
            self.registry.keep(self._number, tick, ids, view, masks, now())

    def _areas(self, ids: np.ndarray) -> np.ndarray:
        """(n,) mean areas of entities."""
        areas = dict(self.registry.ask_of("SELECT id, area FROM entity WHERE id IN ({})", ids.tolist()))
        return np.array([max(areas[number], 1.0) for number in ids.tolist()])


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def accept(ids: np.ndarray, proposed: np.ndarray, barred: np.ndarray) -> None:
    """Give entities without an id the one that is proposed, unless another one has it."""
    free = (ids == 0) & (proposed > 0) & ~np.isin(proposed, ids) & ~np.isin(proposed, barred)
    ids[free] = proposed[free]


def packed(mask: np.ndarray) -> bytes:
    """A mask (h, w) as bytes: its height and width, 4 bytes each, then its bits, compressed."""
    sides = np.array(mask.shape, "<u4").tobytes()
    return sides + zlib.compress(np.packbits(mask).tobytes(), 1)
