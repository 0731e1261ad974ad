"""The tracks of a clip: what of each entity is constant while its pixels move.

A clip's frames are (H, W) int32 maps whose positive ids are those of tracks: the same number is the same entity in
every frame in which it is visible; 0 is no entity, -1 unlabelled, as in an `EntityMap`. A frame holds few of a clip's
numbers, so its map is no dense 1..N. This file says what goes with such maps: when a track begins and ends, how, and
whose daughter it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from domains.errors import InputError

Exit = Literal["end", "left", "lost", "divided", "merged"]
"""How a track ends: it is visible in the clip's last frame; it was at the picture's border when it was last visible; it
was not, and vanished; it divided into daughters; it went into another track."""
EXITS: tuple[str, ...] = get_args(Exit)


@dataclass(frozen=True)
class Track:
    """One entity through a clip. id: from 1. first, last: frames from 0, the last included; between them it may be
    hidden for a while. parent: the track that divided into it, 0 for none. into: the track it merged into, 0 for none.
    """

    id: int
    first: int
    last: int
    parent: int = 0
    exit: Exit = "end"
    into: int = 0


@dataclass(frozen=True)
class Tracks:
    """All tracks of a clip of so many frames, by ascending id. Raises InputError where they cannot be those of a clip:
    ids that are not positive or come twice, frames out of the clip, daughters that begin before their mother has ended.
    """

    frames: int
    tracks: tuple[Track, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tracks", tuple(sorted(self.tracks, key=lambda track: track.id)))
        if len(self.by_id) < len(self.tracks):
            ids = [track.id for track in self.tracks]
            twice = next(number for number, following in zip(ids, ids[1:], strict=False) if number == following)
            raise InputError(f"track {twice} comes twice; wanted one row for each id")
        for track in self.tracks:
            self._check(track)

    def _check(self, track: Track) -> None:
        name = f"track {track.id}"
        if track.id < 1:
            raise InputError(f"{name} is no id; wanted whole numbers from 1 on (0 is no entity)")
        if not 0 <= track.first <= track.last < self.frames:
            raise InputError(
                f"{name} lasts from frame {track.first} to {track.last}; the clip has frames 0 to {self.frames - 1}"
            )
        if track.exit not in EXITS:
            raise InputError(f"{name} has exit {track.exit!r}; wanted one of {', '.join(EXITS)}")
        mother = self.by_id.get(track.parent)
        if track.parent and mother is None:
            raise InputError(f"{name} has parent {track.parent}, which is no track of the clip")
        if mother is not None and mother.last >= track.first:
            raise InputError(
                f"{name} begins in frame {track.first}, and its parent {mother.id} is there until {mother.last}; a "
                "mother ends before her daughters begin"
            )
        if (track.exit == "merged") != (track.into in self.by_id) or track.into == track.id:
            raise InputError(
                f"{name} has exit {track.exit!r} into {track.into}; wanted another track, for merged alone"
            )
        if (track.exit == "divided") != bool(self.children.get(track.id)):
            raise InputError(f"{name} has exit {track.exit!r} and {len(self.children.get(track.id, ()))} daughters")

    @cached_property
    def by_id(self) -> dict[int, Track]:
        """Each track by its id."""
        return {track.id: track for track in self.tracks}

    @cached_property
    def children(self) -> dict[int, tuple[int, ...]]:
        """The daughters of each track that has any, by id."""
        children: dict[int, tuple[int, ...]] = {}
        for track in self.tracks:
            if track.parent:
                children[track.parent] = (*children.get(track.parent, ()), track.id)
        return children

    @classmethod
    def of_maps(
        cls, maps: Iterable[np.ndarray], parents: Mapping[int, int] | None = None, into: Mapping[int, int] | None = None
    ) -> Tracks:
        """The tracks of maps (H, W), of which one is in memory at a time; see `TrackTally`."""
        tally = TrackTally()
        for ids in maps:
            tally.add(ids)
        return tally.tracks(parents, into)


@dataclass
class TrackTally:
    """Counts tracks frame by frame; its size is that of the tracks, whatever the frames'.

    first, last, visible: by id, the first and last frame in which a track has pixels, and in how many it has.
    """

    frames: int = 0
    first: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    visible: dict[int, int] = field(default_factory=dict)
    _at_border: set[int] = field(default_factory=set)

    def add(self, ids: np.ndarray) -> np.ndarray:
        """Count the next frame, (H, W) of any integers; gives the ids (N,) that have pixels in it."""
        present = np.unique(ids)
        present = present[present > 0]
        edges = np.concatenate([ids[0], ids[-1], ids[:, 0], ids[:, -1]]) if ids.size else ids.ravel()
        at_border = set(np.unique(edges).tolist())
        for number in present.tolist():
            self.first.setdefault(number, self.frames)
            self.last[number] = self.frames
            self.visible[number] = self.visible.get(number, 0) + 1
            (self._at_border.add if number in at_border else self._at_border.discard)(number)
        self.frames += 1
        return present

    def tracks(self, parents: Mapping[int, int] | None = None, into: Mapping[int, int] | None = None) -> Tracks:
        """The tracks of the frames so far. parents: of each daughter her mother; into: of each track that merged the
        one it went into. Raises InputError as `Tracks` does, and for numbers without a pixel.
        """
        parents, into = dict(parents or {}), dict(into or {})
        absent = next((number for number in (*parents, *into) if number not in self.first), None)
        if absent is not None:
            raise InputError(f"track {absent} has no pixel in any frame; wanted only tracks that are visible")
        mothers = set(parents.values())
        rows = [
            Track(number, self.first[number], self.last[number], parents.get(number, 0),
                  self._exit(number, mothers, into), into.get(number, 0))
            for number in self.first
        ]  # fmt: skip
        return Tracks(self.frames, tuple(rows))

    def _exit(self, number: int, mothers: set[int], into: Mapping[int, int]) -> Exit:
        if number in mothers:
            return "divided"
        if number in into:
            return "merged"
        if self.last[number] == self.frames - 1:
            return "end"
        return "left" if number in self._at_border else "lost"
