"""The tracks of a clip by a registry: which were seen before, in another clip or session.

A track is held against what the registry knows in its first frames, and has the id that most of them say: in a single
one it may be drawn otherwise than before. Only then has it a new id. What is not in view has its id free, so an entity
that the tracker lost may come back by the id that it had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from adapters.tracking.looks import looks_of
from adapters.tracking.recognising import View
from adapters.tracking.visit import Visit, packed
from domains.tiling.clip_journal import TrackedFrame

TRIES = 12
"""Frames in which a track is held against the registry."""
EVERY = 8
"""How tracks lie is kept where one is new, and after so many frames."""
PATIENCE = 60
"""A track that is not seen for so many frames is decided by those it had."""
AGREED = 0.5
"""Such a share of its frames that say an id say the same, or a track is new: most say none, as others lie otherwise."""


def identified_tracks(frames: Iterable[TrackedFrame], images: Iterable[np.ndarray], visit: Visit) -> dict[int, int]:
    """The persistent id of each track of a clip. frames: all of them, in order; images: (H, W, 3) uint8 of the same."""
    naming = Naming(visit)
    for frame, image in zip(frames, images, strict=False):  # a picture more, of a frame that could not be predicted
        naming.see(frame, image)
    naming.decide_all()
    return naming.ids


@dataclass
class Undecided:
    """A track in its first frames. votes: what they say; barred: ids of what was in view together with it."""

    tries: int = 0
    tick: float = 0.0
    look: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    area: float = 1.0
    votes: Counter[int] = field(default_factory=Counter)
    barred: set[int] = field(default_factory=set)


@dataclass
class Moment:
    """How tracks lay, until all of them have ids."""

    tick: float
    tracks: list[int]
    view: View
    masks: list[bytes]


@dataclass
class Naming:
    """Gives tracks their ids, frame by frame. It holds tracks in their first frames, and an id of each other."""

    visit: Visit
    ids: dict[int, int] = field(default_factory=dict)
    undecided: dict[int, Undecided] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    kept: set[int] = field(default_factory=set)
    kept_tick: float = -np.inf

    def see(self, frame: TrackedFrame, image: np.ndarray) -> None:
        """What a frame says of its tracks."""
        tracks = np.unique(frame.ids[frame.ids > 0]).tolist()
        is_new = any(track not in self.kept for track in tracks)
        is_due = frame.tick - self.kept_tick >= EVERY
        if not tracks or (all(track in self.ids for track in tracks) and not is_due):
            return
        dense = np.where(frame.ids > 0, np.searchsorted(tracks, frame.ids) + 1, 0).astype(np.int32)
        areas = np.bincount(dense.ravel(), minlength=len(tracks) + 1)[1:].astype(float)
        centres = np.array(ndimage.center_of_mass(dense > 0, dense, np.arange(1, len(tracks) + 1)))
        view = View(looks_of(image, dense, np.arange(1, len(tracks) + 1), centres, areas), centres, areas)
        self.vote(frame.tick, tracks, view)
        if is_new or is_due:
            boxes = ndimage.find_objects(dense)
            masks = [packed(dense[box] == row) for row, box in enumerate(boxes, start=1)]
            self.moments.append(Moment(frame.tick, tracks, view, masks))
            self.kept.update(tracks)
            self.kept_tick = frame.tick
        for track, state in list(self.undecided.items()):
            if state.tries >= TRIES or frame.tick - state.tick > PATIENCE:
                self.decide(track)
        self.keep_decided()

    def vote(self, tick: float, tracks: list[int], view: View) -> None:
        """Hold the tracks without an id against the registry."""
        if all(track in self.ids for track in tracks):
            return
        named = np.array([self.ids.get(track, 0) for track in tracks], np.int64)
        recognised = self.visit.recognised(view, named)
        for row, track in enumerate(tracks):
            if track in self.ids:
                continue
            state = self.undecided.setdefault(track, Undecided(look=view.looks[row], area=float(view.areas[row])))
            state.tries, state.tick = state.tries + 1, tick
            state.barred.update(named[named > 0].tolist())
            if recognised[row]:
                state.votes[int(recognised[row])] += 1

    def decide(self, track: int) -> None:
        """Give a track its id."""
        state = self.undecided.pop(track)
        for number, votes in state.votes.most_common():
            if number not in state.barred and votes >= AGREED * state.votes.total():
                break
        else:
            number = int(self.visit.added(state.look[None], np.array([state.area]))[0])
        self.ids[track] = number
        for neighbour in self.undecided.values():
            if neighbour.tick >= state.tick - TRIES:  # in view together, as far as is known
                neighbour.barred.add(number)

    def decide_all(self) -> None:
        """The clip has ended."""
        for track in list(self.undecided):
            self.decide(track)
        self.keep_decided()

    def keep_decided(self) -> None:
        """Keep the moments all of whose tracks have ids."""
        while self.moments and all(track in self.ids for track in self.moments[0].tracks):
            moment = self.moments.pop(0)
            ids = np.array([self.ids[track] for track in moment.tracks], np.int64)
            _, rows = np.unique(ids, return_index=True)  # two tracks of one entity that overlap in time, by a fault
            view = View(moment.view.looks[rows], moment.view.centres[rows], moment.view.areas[rows])
            self.visit.keep(moment.tick, ids[rows], view, [moment.masks[row] for row in rows])
