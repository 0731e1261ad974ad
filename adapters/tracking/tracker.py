"""What a tracker is: frame by frame, entities in and ids of tracks out, with a state that does not grow with the clip.

A stitcher in time: as tiles of a scene are linked where they overlap, frames of a clip are linked where an entity is
expected. `step` takes the entities of the next frame, as any network finds them, with features that were pooled over
them, and says which track each is. A network that carries ids itself, or a registry that knows ids of earlier clips,
can stand in a tracker's place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from scipy import ndimage

from domains.entities.tracks import Track

COLOURS = 2 / 3
"""Say of colours beside features in how alike two entities look."""
State = dict[str, np.ndarray]
"""All that a tracker remembers, as arrays of numbers by name."""


@dataclass(frozen=True)
class FrameEntities:
    """The entities of a frame. ids: (H, W) int32, 1..N without gaps, 0 and below no entity. tick: when the frame is, in
    frames of the clip's rate, so that a gap in its numbering is one in time. features: (N, D) float32, each of length 1
    or 0, centred on the frame, by which the same entity looks alike in two frames; None where there are none.
    image: (H, W, 3) uint8, for trackers that look for themselves.
    """

    ids: np.ndarray
    tick: float
    features: np.ndarray | None = None
    image: np.ndarray | None = None

    @property
    def count(self) -> int:
        """N."""
        return len(self.areas)

    @cached_property
    def areas(self) -> np.ndarray:
        """(N,) pixels."""
        return np.bincount(np.maximum(self.ids, 0).ravel(), minlength=1)[1:]

    @cached_property
    def centres(self) -> np.ndarray:
        """(N, 2) mean y and x of the pixels."""
        y, x = np.nonzero(self.ids > 0)
        number = self.ids[y, x]
        sums = [np.bincount(number, weights=values, minlength=self.count + 1)[1:] for values in (y, x)]
        return np.stack(sums, 1) / np.maximum(self.areas, 1)[:, None]

    @cached_property
    def looks(self) -> np.ndarray | None:
        """(N, D) float32, of length 1 or 0: the features, the colours of the image, or both; None without either."""
        if self.image is None:
            return self.features
        colours = colours_of(self.image, np.maximum(self.ids, 0), self.areas)
        if self.features is None:
            return colours
        return np.hstack([self.features * np.sqrt(1 - COLOURS), colours * np.sqrt(COLOURS)]).astype(np.float32)

    @cached_property
    def boxes(self) -> list[tuple[slice, slice]]:
        """(rows, columns) of each entity."""
        return ndimage.find_objects(np.maximum(self.ids, 0))

    def crop(self, index: int) -> np.ndarray:
        """(h, w) bool: entity index + 1 within its box."""
        return self.ids[self.boxes[index]] == index + 1

    def corner(self, index: int) -> np.ndarray:
        """(2,) y and x of the upper left pixel of its box."""
        rows, columns = self.boxes[index]
        return np.array([rows.start, columns.start], float)

    def at_border(self, index: int) -> bool:
        """Whether it touches the border of the frame."""
        rows, columns = self.boxes[index]
        height, width = self.ids.shape
        return rows.start == 0 or columns.start == 0 or rows.stop == height or columns.stop == width


def colours_of(image: np.ndarray, ids: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """(N, 6) float32 of length 1 or 0: means of L*a*b* over each entity, less those of the image, and their deviations,
    less the mean of all entities'. image: (H, W, 3) uint8; ids: (H, W), 0..N; areas: (N,) pixels.
    """
    lab, number = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(-1, 3), ids.ravel()
    channels = [lab[:, channel].astype(np.float32) for channel in range(3)]
    means, squares = (
        np.stack([np.bincount(number, values, len(areas) + 1)[1:] for values in columns], 1) / areas[:, None]
        for columns in (channels, [values**2 for values in channels])
    )
    spread = np.sqrt(np.maximum(squares - means**2, 0))
    colours = np.hstack([means - lab.mean(0), spread - spread.mean(0) if len(areas) else spread])
    return (colours / np.maximum(np.linalg.norm(colours, axis=1, keepdims=True), 1e-6)).astype(np.float32)


class Step(NamedTuple):
    """What a frame brought. ids: (N,) int64 the track of each entity; ended: tracks that will not be seen again.
    painted: (H, W) int64 tracks that the tracker sees where no entity lies, 0 elsewhere; None where there are none.
    masks: (H, W) int64 of all tracks, where they have masks of their own; an entity that is none's then has id 0.
    """

    ids: np.ndarray
    ended: list[Track]
    painted: np.ndarray | None = None
    masks: np.ndarray | None = None

    def tracks(self, frame: FrameEntities) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) int32 of the tracks of a frame, painted ones too, and the numbers of all: first the entities', unless
        tracks have masks of their own.
        """
        if self.masks is not None:
            return self.masks.astype(np.int32), np.unique(self.masks[self.masks > 0])
        tracked = np.concatenate([[0], self.ids]).astype(np.int32)[np.maximum(frame.ids, 0)]
        if self.painted is None:
            return tracked, self.ids
        tracked = np.where(tracked > 0, tracked, self.painted).astype(np.int32)
        return tracked, np.concatenate([self.ids, np.unique(self.painted[self.painted > 0])])

    def scores_of(self, numbers: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """(K,) of tracks, by `tracks`: the scores (N,) of the entities that they are, nan of all others."""
        order = np.argsort(self.ids, kind="stable")
        at = np.minimum(np.searchsorted(self.ids[order], numbers), len(order) - 1)
        if not len(order):
            return np.full(len(numbers), np.nan)
        return np.where(self.ids[order][at] == numbers, scores[order][at], np.nan)


class Tracker(Protocol):
    """Follows entities through one clip."""

    def step(self, frame: FrameEntities) -> Step:
        """The tracks of the next frame's entities; new ones have the next ids."""
        ...

    def close(self) -> list[Track]:
        """The tracks that did not end before the clip did."""
        ...

    def state(self) -> State:
        """What to go on from, after `restore`, as if the clip had not been interrupted."""
        ...

    def restore(self, state: State) -> None:
        """Go on from a state. Raises KeyError or ValueError for arrays that are no state of this tracker."""
        ...


@dataclass
class Counting:
    """The counts that all trackers have: frames so far and the next id.

    Ids are given out here alone: whoever knows an entity from elsewhere (a registry of earlier clips) gives others.
    """

    frames: int = 0
    next_id: int = 1

    def born(self) -> int:
        """A new id."""
        self.next_id += 1
        return self.next_id - 1
