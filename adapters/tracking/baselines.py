"""The two baselines of tracking by detection, which look at the frame before and at nothing else.

By intersection over union: Bochinski et al., AVSS 2017 (https://doi.org/10.1109/AVSS.2017.8078516), there of boxes and
greedy. By the nearest centroid: Crocker and Grier, J. Colloid Interface Sci. 1996, without its memory.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.spatial import KDTree

from adapters.options.tracking import Nearest, Overlap
from adapters.tracking.tracker import Counting, FrameEntities, State, Step
from domains.entities.linking import assigned, overlaps
from domains.entities.tracks import Track


@dataclass
class Before:
    """The frame before. map: (H, W) int32 of its entities; centres: (N, 2); of each entity its track (N,), since which
    frame that is there, and whether it touches the border.
    """

    map: np.ndarray
    centres: np.ndarray
    ids: np.ndarray
    begins: np.ndarray
    at_border: np.ndarray


NOTHING = Before(*(np.zeros(shape, np.int64) for shape in ((1, 1), (0, 2), 0, 0, 0)))


class PlainTracker:
    """See `Tracker`; what differs between the two baselines is `linked`."""

    def __init__(self) -> None:
        self.counting, self.before = Counting(), NOTHING

    def linked(self, before: Before, frame: FrameEntities) -> np.ndarray:
        """(M, 2) indices of entities of the frame before and of this one that are the same."""
        raise NotImplementedError

    def step(self, frame: FrameEntities) -> Step:
        """The tracks of the next frame's entities."""
        before, at = self.before, self.counting.frames
        ids, begins = np.zeros(frame.count, np.int64), np.full(frame.count, at, np.int64)
        links = self.linked(before, frame)
        ids[links[:, 1]], begins[links[:, 1]] = before.ids[links[:, 0]], before.begins[links[:, 0]]
        for entity in np.flatnonzero(ids == 0).tolist():
            ids[entity] = self.counting.born()
        gone = np.setdiff1d(np.arange(len(before.ids)), links[:, 0])
        ended = self._ended(gone, at - 1)
        border = np.array([frame.at_border(index) for index in range(frame.count)], np.int64)
        self.before = Before(frame.ids, frame.centres, ids, begins, border)
        self.counting.frames += 1
        return Step(ids, ended)

    def _ended(self, rows: np.ndarray, final: int, is_end: bool = False) -> list[Track]:
        before = self.before
        tracks = []
        for row in rows.tolist():
            exit = "end" if is_end else "left" if before.at_border[row] else "lost"
            tracks.append(Track(int(before.ids[row]), int(before.begins[row]), final, exit=exit))
        return tracks

    def close(self) -> list[Track]:
        """The tracks that did not end before the clip did."""
        ended = self._ended(np.arange(len(self.before.ids)), self.counting.frames - 1, is_end=True)
        self.before = NOTHING
        return ended

    def state(self) -> State:
        """What to go on from."""
        return {"counts": np.array([self.counting.frames, self.counting.next_id], np.int64), **vars(self.before)}

    def restore(self, state: State) -> None:
        """Go on from a state."""
        self.counting = Counting(*state["counts"].tolist())
        self.before = replace(NOTHING, **{column.name: state[column.name] for column in fields(Before)})


class OverlapTracker(PlainTracker):
    """By intersection over union with the masks of the frame before."""

    def __init__(self, options: Overlap | None = None) -> None:
        super().__init__()
        self.options = options or Overlap()

    def linked(self, before: Before, frame: FrameEntities) -> np.ndarray:
        """The assignment of the highest sum of IoU."""
        if before.map.shape != frame.ids.shape:
            return np.zeros((0, 2), np.int64)
        shared = overlaps(before.map, frame.ids)
        pairs = np.stack([shared.a, shared.b], 1) - 1
        enough = shared.iou >= self.options.least_iou
        return pairs[enough][assigned(pairs[enough], 1 - shared.iou[enough], 1.0)]


class NearestTracker(PlainTracker):
    """By the nearest centroid of the frame before."""

    def __init__(self, options: Nearest | None = None) -> None:
        super().__init__()
        self.options = options or Nearest()

    def linked(self, before: Before, frame: FrameEntities) -> np.ndarray:
        """The assignment of the least sum of distances."""
        if not len(before.centres) or not frame.count:
            return np.zeros((0, 2), np.int64)
        near = KDTree(before.centres).query_ball_tree(KDTree(frame.centres), self.options.most_px)
        pairs = np.array([(row, entity) for row, entities in enumerate(near) for entity in entities], np.int64)
        pairs = pairs.reshape(-1, 2)
        distances = np.linalg.norm(before.centres[pairs[:, 0]] - frame.centres[pairs[:, 1]], axis=1)
        return pairs[assigned(pairs, distances, self.options.most_px + 1.0)]
