"""A track in memory: its mask as it was when last seen whole, where that is expected by now, and what it looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from adapters.tracking.tracker import FrameEntities, State
from domains.entities.tracks import Exit, Track

SMOOTHING = 0.25
"""Share of the latest step in a velocity, after the first few: entities turn, and centres of masks are known to a
fraction of a pixel."""
LOOKS = 0.1
"""Share of the latest look in a prototype, after the first few."""
HIDDEN, INSIDE, BEHIND = 0.95, 0.5, 0.5
"""An entity is partly hidden where it shows less than that share of its area, its whole mask can be laid over that
share of what shows, and that share of what is missing lies behind other entities or beyond the border then: it keeps
its mask, which goes on by as much as it was laid elsewhere."""
SLIVER = 0.5
"""Of what shows less than that share of the area it does not matter how much the mask covers."""
SHOWN = 2.0
"""What a pixel of the entity under the mask is worth, if one of the ground under it costs 1;"""
NEARER = 0.1
"""a pixel away from where the mask is expected costs that share of a root of its area."""
SEARCH, SEARCHED, FARTHEST = 2, 0.25, 64
"""A mask is laid at most so many pixels, or that share of the root of its area, from where it is expected, and never
farther than the last: the time goes with the square."""
DRIFT = 0.2
"""Pixels by which the place of a hidden entity is less sure with each tick."""
PATIENCE = 12
"""Frames after which one that stays so small is taken for what it shows."""


@dataclass
class Moving:
    """id, parent: as in `Track`. begin, latest: the frames in which it was visible first and last. tick: when the
    latest was. mask: (h, w) bool in its box, whose corner was at `corner` (y, x) then. velocity: (2,) pixels a tick.
    visible: in how many frames it was; shrunk: in how many of the latest, one after the other, it was partly hidden.
    into: the track whose mask took it in, 0 for none.
    """

    id: int
    begin: int
    latest: int
    parent: int
    tick: float
    mask: np.ndarray
    corner: np.ndarray
    velocity: np.ndarray
    looks: np.ndarray | None
    at_border: bool
    area: int
    centre: np.ndarray
    visible: int = 1
    shrunk: int = 0
    into: int = 0
    merged: np.ndarray = field(default_factory=lambda: np.full(2, np.nan))
    """(2,) the centre of what it and those that it took in show together; nan where it took in none."""

    @classmethod
    def begun(cls, number: int, frame: FrameEntities, index: int, at: int, parent: Moving | None = None) -> Moving:
        """A new track of an entity of frame number `at`; a daughter moves as her mother did."""
        looks = None if frame.looks is None else frame.looks[index].copy()
        velocity = np.zeros(2) if parent is None else parent.velocity.copy()
        return cls(
            id=number,
            begin=at,
            latest=at,
            parent=0 if parent is None else parent.id,
            tick=frame.tick,
            mask=frame.crop(index),
            corner=frame.corner(index),
            velocity=velocity,
            looks=looks,
            at_border=frame.at_border(index),
            area=int(frame.areas[index]),
            centre=frame.centres[index],
        )

    def gap(self, tick: float) -> float:
        """Ticks since it was last visible."""
        return tick - self.tick

    def shift(self, tick: float) -> np.ndarray:
        """(2,) how far it is expected to have gone since."""
        return self.velocity * self.gap(tick)

    def covered(self, frame: FrameEntities) -> tuple[np.ndarray, np.ndarray]:
        """(entities, pixels): indices of the frame's entities that lie where it is expected, and how much of each."""
        unsure = min(DRIFT * (self.gap(frame.tick) - 1), 0.5 * self.area**0.5)
        mask, grown = widened(self.mask, round(max(0.0, unsure)))
        y, x = np.round(self.corner + self.shift(frame.tick)).astype(int) - grown
        (height, width), (tall, wide) = frame.ids.shape, mask.shape
        rows, columns = slice(max(0, y), min(height, y + tall)), slice(max(0, x), min(width, x + wide))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        numbers = frame.ids[rows, columns][mask[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]]
        pixels = np.bincount(numbers[numbers > 0], minlength=1)
        present = np.flatnonzero(pixels[1:])
        return present, pixels[present + 1]

    def see(self, frame: FrameEntities, index: int, at: int) -> None:
        """It is that entity of frame number `at`."""
        gap = max(self.gap(frame.tick), 1e-6)
        step = self.laid_behind(frame, index)
        if step is None:
            self._move(frame, index, gap)
            self._look(frame, index)
        else:
            self._turn(step / gap)
            self.corner, self.centre = self.corner + step, self.centre + step
            self.shrunk += 1
        self.tick, self.latest, self.into, self.merged = frame.tick, at, 0, np.full(2, np.nan)
        self.visible += 1
        self.at_border = frame.at_border(index)

    def see_merged(self, frame: FrameEntities, index: int, at: int, guests: Sequence[Moving]) -> None:
        """It shows with its guests as one entity: all of them keep their masks and go where that goes."""
        centre = frame.centres[index]
        step = np.zeros(2) if np.isnan(self.merged).any() else centre - self.merged
        for track in (self, *guests):
            track.corner, track.centre, track.velocity = track.corner + step, track.centre + step, np.zeros(2)
        self.merged, self.tick, self.latest = centre, frame.tick, at
        self.visible += 1
        self.at_border = frame.at_border(index)

    def laid_behind(self, frame: FrameEntities, index: int) -> np.ndarray | None:
        """(2,) pixels that it went since it was last visible, if that entity shows a part of it, else None.

        The centre of what shows stays behind as more of it hides; its whole mask, laid where it covers most of what
        shows and least of the ground, does not.
        """
        area = int(frame.areas[index])
        if area >= HIDDEN * self.area or self.shrunk >= PATIENCE:
            return None
        expected, margin = self.shift(frame.tick), SEARCHED * self.area**0.5
        if self.gap(frame.tick) > 1:  # what comes out elsewhere is known by its looks, and is laid there
            expected = frame.centres[index] - self.centre
            margin = self.area**0.5
        step, inside, ground = laid(
            frame, index, self.mask, self.corner, expected, min(max(SEARCH, round(margin)), FARTHEST)
        )
        missing = self.area - inside
        is_elsewhere = inside < INSIDE * area and area >= SLIVER * self.area
        is_behind = frame.at_border(index) or missing - ground >= BEHIND * missing
        return step if is_behind and not is_elsewhere else None

    def _turn(self, step: np.ndarray) -> None:
        """Its velocity follows a step (2,) a tick."""
        share = max(SMOOTHING, 1 / (self.visible + (self.parent > 0)))
        self.velocity = (1 - share) * self.velocity + share * step

    def _move(self, frame: FrameEntities, index: int, gap: float) -> None:
        if not self.shrunk:  # what comes out from behind something has not moved by that
            self._turn((frame.centres[index] - self.centre) / gap)
        self.mask, self.corner, self.centre = frame.crop(index), frame.corner(index), frame.centres[index]
        self.area, self.shrunk = int(frame.areas[index]), 0

    def _look(self, frame: FrameEntities, index: int) -> None:
        if frame.looks is None:
            return
        look = frame.looks[index]
        if self.looks is None or len(self.looks) != len(look):  # the first, or features joined or left
            self.looks = look.copy()
            return
        share = max(LOOKS, 1 / (self.visible + 1))
        mean = (1 - share) * self.looks + share * look
        self.looks = (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)

    def ended(self, exit: Exit | None = None) -> Track:
        """The track that it was."""
        how: Exit = exit or ("merged" if self.into else "left" if self.at_border else "lost")
        return Track(self.id, self.begin, self.latest, self.parent, how, self.into if how == "merged" else 0)


def laid(
    frame: FrameEntities, index: int, mask: np.ndarray, corner: np.ndarray, expected: np.ndarray, margin: int
) -> tuple[np.ndarray, int, int]:
    """(step, shown, ground): the step (2,) at which a mask covers most of an entity and least of ground, and the pixels
    of either under it.

    mask: (h, w) bool, whose box was at `corner` (y, x); expected: (2,) a step that it is at most `margin` px away from.
    """
    tall, wide = mask.shape
    y, x = np.round(corner + expected).astype(int) - margin
    window = np.full((tall + 2 * margin, wide + 2 * margin), -1, np.int32)
    top, left = max(0, y), max(0, x)
    inside = np.maximum(frame.ids[top : max(top, y + len(window)), left : max(left, x + window.shape[1])], 0)
    window[top - y :, left - x :][: inside.shape[0], : inside.shape[1]] = inside
    shown, ground = window == index + 1, window == 0
    values = SHOWN * shown.astype(np.float32) - ground
    scores = cv2.matchTemplate(values, mask.astype(np.float32), cv2.TM_CCORR)
    distance = np.hypot(*(np.mgrid[: scores.shape[0], : scores.shape[1]] - margin))
    scores -= NEARER * float(mask.sum()) ** 0.5 * distance
    down, across = np.unravel_index(int(scores.argmax()), scores.shape)
    at = slice(down, down + tall), slice(across, across + wide)
    step = np.round(corner + expected) - margin + (down, across) - corner
    return step, int((shown[at] & mask).sum()), int((ground[at] & mask).sum())


def widened(mask: np.ndarray, margin: int) -> tuple[np.ndarray, int]:
    """A mask (h, w) bool grown by so many pixels each way, and by how many its box is."""
    if not margin:
        return mask, 0
    padded = np.pad(mask, margin).astype(np.uint8)
    return cv2.dilate(padded, np.ones((2 * margin + 1,) * 2, np.uint8)).astype(bool), margin


@dataclass(frozen=True)
class Pairs:
    """P pairs of a track and an entity that may be the same, by track. tracks, entities: (P,) indices; pixels: (P,)
    that the entity shares with the track's mask where that is expected; distances: (P,) of the centres, in reaches.
    """

    tracks: np.ndarray
    entities: np.ndarray
    pixels: np.ndarray
    distances: np.ndarray

    def without(self, tracks: set[int], entities: set[int]) -> Pairs:
        """The pairs of neither."""
        kept = ~(np.isin(self.tracks, list(tracks)) | np.isin(self.entities, list(entities)))
        return Pairs(self.tracks[kept], self.entities[kept], self.pixels[kept], self.distances[kept])

    def of_each(self, count: int) -> list[slice]:
        """The pairs of each of so many tracks."""
        edges = np.searchsorted(self.tracks, np.arange(count + 1)).tolist()
        return [slice(*ends) for ends in pairwise(edges)]


WHOLE = ("id", "begin", "latest", "parent", "visible", "shrunk", "into", "area", "at_border")
REAL = ("tick", "corner", "velocity", "centre", "merged")


def packed(tracks: Sequence[Moving]) -> State:
    """Tracks as arrays, to the bit."""
    masks = [np.packbits(track.mask) for track in tracks]
    state: State = {name: np.array([getattr(track, name) for track in tracks], np.int64) for name in WHOLE}
    state |= {name: np.array([getattr(track, name) for track in tracks], float) for name in REAL}
    state["shape"] = np.array([track.mask.shape for track in tracks], np.int64).reshape(-1, 2)
    state["masks"] = np.concatenate([np.zeros(0, np.uint8), *masks])
    looks = [np.zeros(0, np.float32) if track.looks is None else track.looks for track in tracks]
    state["widths"] = np.array([len(look) for look in looks], np.int64)  # a frame may be without features
    state["features"] = np.concatenate([np.zeros(0, np.float32), *looks])
    return state


def unpacked(state: State) -> list[Moving]:
    """The tracks that `packed` wrote. Raises KeyError or ValueError for what is none of its states."""
    tracks, start = [], 0
    looks = np.split(state["features"].astype(np.float32), np.cumsum(state["widths"])[:-1])
    for i in range(len(state["id"])):
        height, width = (int(side) for side in state["shape"][i])
        end = start + -(-height * width // 8)
        mask = np.unpackbits(state["masks"][start:end], count=height * width).astype(bool).reshape(height, width)
        start = end
        values = {name: int(state[name][i]) for name in WHOLE}
        values["at_border"] = bool(values["at_border"])
        reals = {name: state[name][i].astype(float) for name in REAL if name != "tick"}
        look = looks[i] if len(looks[i]) else None
        tracks.append(Moving(**values, **reals, tick=float(state["tick"][i]), mask=mask, looks=look))
    return tracks
