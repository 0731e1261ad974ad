"""A clip or an image by a registry: which of its entities were seen before, and ids of those that were not."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from adapters.tracking.recognising import View, alone, recognised
from adapters.tracking.registry import Registry

MOMENTS = 8
"""So many moments of before, whose entities look most like what is seen, are held against it,"""
FAILURES = 3
"""until so many, one after the other, were of another place."""
FRESH = 0.25
"""A moment is kept when such a share of what is in view was in none of this visit yet,"""
EVERY = 50
"""and after so many frames."""

Mask = Callable[[int], np.ndarray]
"""A row of a view to the (h, w) bool mask of the entity in its box."""


@dataclass
class Visit:
    """What is seen of one clip or image. source: its name. alone_too: whether an entity may be recognised by its looks
    alone, where the others in view are not those of before.
    """

    registry: Registry
    source: str
    alone_too: bool = True
    _number: int = 0
    _kept: set[int] = field(default_factory=set)
    _kept_tick: float = -np.inf

    def ids(
        self,
        view: View,
        tick: float = 0,
        named: np.ndarray | None = None,
        barred: Sequence[int] = (),
        mask: Mask | None = None,
    ) -> np.ndarray:
        """(N,) int64 of the registry, of what is in view at a time; ids not seen before are on the disk by then.

        tick: in frames. named: (N,) ids that are known already (of tracks), 0 for none. barred: ids that none of these
        may have, beside those that are named.
        """
        self.registry.refresh()
        ids = np.zeros(len(view), np.int64) if named is None else named.astype(np.int64)
        if (ids == 0).any():
            ids = self._recognised(view, ids, np.array([*barred], np.int64))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        new, keeps = ids == 0, self._is_worth_keeping(ids, tick)
        if not new.any() and not keeps:
            return ids
        if not self._number:
            self._number = self.registry.begin(self.source, now)
        with self.registry.writing():
            ids[new] = self.registry.add(view.looks[new], view.areas[new], now)
            if keeps:
                masks = [packed(mask(row)) if mask else b"" for row in range(len(view))]
                self.registry.keep(self._number, tick, ids, view, masks, now)
        if keeps:
            self._kept.update(ids.tolist())
            self._kept_tick = tick
        return ids

    def _recognised(self, view: View, ids: np.ndarray, barred: np.ndarray) -> np.ndarray:
        """The ids with those of before, by place in a moment, then by looks alone."""
        ids, failures = ids.copy(), 0
        for number in self.registry.moments_like(view.looks, MOMENTS):
            numbers, before = self.registry.moment(number)
            rows = recognised(view, before)
            failures = 0 if rows is not None else failures + 1
            if rows is not None:
                accept(ids, np.where(rows >= 0, numbers[rows], 0), barred)
            if failures == FAILURES or (ids > 0).all():
                break
        unknown = np.flatnonzero(ids == 0)
        if self.alone_too and len(unknown):
            place = np.flatnonzero(~np.isin(self.registry.ids, ids))
            areas = self._areas(self.registry.ids[place])
            rows = alone(view.looks[unknown] @ self.registry.looks[place].T, view.areas[unknown], areas)
            alike = np.zeros(len(ids), np.int64)
            alike[unknown] = np.where(rows >= 0, self.registry.ids[place][rows], 0) if len(place) else 0
            accept(ids, alike, barred)
        return ids

    def _areas(self, ids: np.ndarray) -> np.ndarray:
        """(n,) mean areas of entities."""
        areas = dict(self.registry.ask_of("SELECT id, area FROM entity WHERE id IN ({})", ids.tolist()))
        return np.array([max(areas[number], 1.0) for number in ids.tolist()])

    def is_due(self, tick: float) -> bool:
        """Whether so much time has passed that what is in view is to be kept, even where nothing in it is new."""
        return tick - self._kept_tick >= EVERY

    def _is_worth_keeping(self, ids: np.ndarray, tick: float) -> bool:
        """Whether how these lie is to be kept."""
        if not len(ids):
            return False
        fresh = sum(number not in self._kept for number in ids.tolist())
        return fresh > FRESH * len(ids) or self.is_due(tick)


def accept(ids: np.ndarray, proposed: np.ndarray, barred: np.ndarray) -> None:
    """Give entities without an id the one that is proposed, unless another one has it."""
    free = (ids == 0) & (proposed > 0) & ~np.isin(proposed, ids) & ~np.isin(proposed, barred)
    ids[free] = proposed[free]


def packed(mask: np.ndarray) -> bytes:
    """A mask (h, w) as bytes: its height and width, 4 bytes each, then its bits, compressed."""
    sides = np.array(mask.shape, "<u4").tobytes()
    return sides + zlib.compress(np.packbits(mask).tobytes(), 1)
