"""What is written down of each slot of a tracker that remembers, and which of them are forgotten."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from domains.entities.tracks import Exit, Track

OLD = 5
"""A track is remembered for at most so many times the frames in which it was visible."""
MOST_HIDDEN = 256
"""Slots that are remembered though they are not visible, beside as many as are: of more those unseen for longest
end."""


@dataclass
class Book:
    """What is written down of each slot, (N,) each: the frames in which its track was visible first and last, in how
    many it was, whether it touched the border then, and the track that divided into it.
    """

    begins: np.ndarray
    latest: np.ndarray
    visible: np.ndarray
    border: np.ndarray
    parents: np.ndarray

    @classmethod
    def empty(cls) -> Book:
        """Of no slot."""
        return cls(*(np.zeros(0, np.int64) for _ in fields(cls)))

    def of(self, rows: np.ndarray) -> Book:
        """Of these slots alone."""
        return Book(*(getattr(self, field.name)[rows] for field in fields(self)))

    def joined(self, frame: int, border: np.ndarray, parents: np.ndarray) -> Book:
        """With new slots, born in a frame."""
        new = Book(np.full_like(parents, frame), np.full_like(parents, frame), np.ones_like(parents), border, parents)
        columns = ((getattr(self, field.name), getattr(new, field.name)) for field in fields(self))
        return Book(*(np.concatenate(pair) for pair in columns))

    def see(self, rows: np.ndarray, frame: int, border: np.ndarray) -> None:
        """Slots are visible in a frame."""
        self.latest[rows], self.border[rows] = frame, border
        self.visible[rows] += 1

    def forgotten(self, hidden: np.ndarray, memory_frames: int) -> np.ndarray:
        """(N,) bool: slots that were hidden for too long, and the longest hidden ones of too many. hidden: (N,) frames
        since each was visible, 0 for those that are.
        """
        over = hidden > np.minimum(memory_frames, OLD * self.visible)
        lost = np.flatnonzero((hidden > 0) & ~over)
        limit = MOST_HIDDEN + int((hidden <= 0).sum())
        if len(lost) > limit:
            over[lost[np.argsort(-hidden[lost], kind="stable")[: len(lost) - limit]]] = True
        return over

    def gone(self, row: int) -> Exit:
        """How the track of a slot ends that is visible no more."""
        return "left" if self.border[row] else "lost"

    def track(self, row: int, id: int, exit: Exit) -> Track:
        """The track that a slot was."""
        return Track(id, int(self.begins[row]), int(self.latest[row]), int(self.parents[row]), exit)
