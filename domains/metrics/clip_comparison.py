"""One predicted clip held against a true one, read once and frame by frame; what all metrics of clips ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest

import numpy as np

from domains.errors import InputError
from domains.metrics.frame_overlap import FrameOverlap, overlap_of


@dataclass(frozen=True, eq=False)
class ClipComparison:
    """A clip of F frames that have labels, with P predicted and T true tracks.

    frames: the overlaps of each labelled frame, in time; predicted_parents, true_parents: from a track's id to that of
    the track which divided into it.
    """

    frames: list[FrameOverlap]
    predicted_parents: Mapping[int, int] = field(default_factory=dict)
    true_parents: Mapping[int, int] = field(default_factory=dict)

    @cached_property
    def predicted_tracks(self) -> np.ndarray:
        """(P,) ids of all predicted tracks, ascending."""
        return distinct([frame.predicted for frame in self.frames])

    @cached_property
    def true_tracks(self) -> np.ndarray:
        """(T,) ids of all true tracks, ascending."""
        return distinct([frame.true for frame in self.frames])

    @cached_property
    def places(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each frame the indices of its predicted and of its true entities among all tracks."""
        return [
            (np.searchsorted(self.predicted_tracks, frame.predicted), np.searchsorted(self.true_tracks, frame.true))
            for frame in self.frames
        ]

    @cached_property
    def predicted_lengths(self) -> np.ndarray:
        """(P,) frames in which each predicted track is."""
        return tally([predicted for predicted, _ in self.places], len(self.predicted_tracks))

    @cached_property
    def true_lengths(self) -> np.ndarray:
        """(T,) frames in which each true track is."""
        return tally([true for _, true in self.places], len(self.true_tracks))

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """(K,) predicted and (K,) true indices of all pairs of tracks that ever overlap, and for each frame the indices
        of its own pairs among them.
        """
        width = max(len(self.true_tracks), 1)
        codes = [
            predicted[frame.pair_predicted] * width + true[frame.pair_true]
            for frame, (predicted, true) in zip(self.frames, self.places, strict=True)
        ]
        present = distinct(codes)
        return present // width, present % width, [np.searchsorted(present, code) for code in codes]


def compare_clips(
    predicted: Iterable[np.ndarray],
    true: Iterable[np.ndarray],
    predicted_parents: Mapping[int, int] | None = None,
    true_parents: Mapping[int, int] | None = None,
    contours: bool = False,
) -> ClipComparison:
    """Holds a predicted clip against a true one; both are read once, a frame at a time.

    predicted, true: maps (H, W) of track ids, 0 for none, -1 in the truth for unlabelled; frames without any label are
    left out, as those between the annotated ones of a video are. Raises InputError for clips of two lengths or sizes.
    """
    frames, counts = [], [0, 0]
    for prediction, truth in zip_longest(predicted, true):
        counts = [count + (ids is not None) for count, ids in zip(counts, (prediction, truth), strict=True)]
        if prediction is not None and truth is not None:
            frames.append(overlap_of(prediction, truth, contours))
    if counts[0] != counts[1]:
        raise InputError(
            f"a predicted clip of {counts[0]} frames cannot be held against a true one of {counts[1]}; "
            "predict every frame, with an empty map where nothing is"
        )
    labelled = [frame for frame in frames if frame is not None]
    return ClipComparison(labelled, dict(predicted_parents or {}), dict(true_parents or {}))


def distinct(arrays: list[np.ndarray]) -> np.ndarray:
    """(N,) the values of all arrays, each once, ascending."""
    return np.unique(np.concatenate(arrays)) if arrays else np.zeros(0, np.int64)


def tally(indices: list[np.ndarray], count: int) -> np.ndarray:
    """(count,) how often each index comes."""
    return np.bincount(np.concatenate(indices) if indices else np.zeros(0, np.int64), minlength=count)
