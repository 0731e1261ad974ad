"""The class of each track of a clip, of what its frames say of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from domains.entities.overlay import class_colours


class TrackClass(NamedTuple):
    """label: index into the vocabulary; score: the mean probability of the likeliest class over the frames that said
    any, in [0, 1], also where the track is none of the classes.
    """

    label: int
    score: float


@dataclass(frozen=True)
class TrackClasses:
    """names: of all classes, the last what is none of them. of_track: by id; a track that no frame described is not
    there, and is none of them too.
    """

    names: tuple[str, ...]
    of_track: dict[int, TrackClass]

    @classmethod
    def of(cls, names: Sequence[str], frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> TrackClasses:
        """Of what frames say: (tracks (N,), shares (N, K + 1)), the probability of each class and whether the entity is
        none of them; nan where nobody said. A track has the class of the highest mean probability, over the frames in
        which it is one of them; it is none where it is that in most of its frames.
        """
        sums: dict[int, np.ndarray] = {}
        for tracks, shares in frames:
            for track, row in zip(tracks.tolist(), shares.astype(float), strict=True):
                if not np.isnan(row).any():
                    weight = 1 - row[-1]
                    total = np.array([*(row[:-1] * weight), *row[:-1], row[-1], 1])
                    sums[track] = sums.get(track, 0) + total
        return cls(tuple(names), {track: decided(total, len(names) - 1) for track, total in sums.items()})

    def label(self, track: int) -> int:
        """The index of a track's class."""
        return self.of_track[track].label if track in self.of_track else len(self.names) - 1

    def name(self, track: int) -> str:
        """The name of a track's class."""
        return self.names[self.label(track)]

    def score(self, track: int) -> float:
        """How sure that is; 0 where no frame described the track."""
        return self.of_track[track].score if track in self.of_track else 0.0

    def about(self, track: int) -> dict[str, Any]:
        """The properties of GeoJSON, as QuPath reads classes."""
        colour = class_colours(self.names)[self.label(track)].tolist()
        return {"label": self.name(track), "label_score": round(self.score(track), 6),
                "classification": {"name": self.name(track), "color": colour}}  # fmt: skip


def decided(total: np.ndarray, count: int) -> TrackClass:
    """The class of a track. total: (2 K + 2,) sums over its frames: the probabilities of the K = `count` classes where
    it is one of them; those of all frames; frames in which it is none; frames.
    """
    strange, frames = total[-2:]
    among, overall = total[:count], total[count : 2 * count]
    if 2 * strange > frames:
        return TrackClass(count, float(overall.max() / frames))
    label = int(among.argmax())
    return TrackClass(label, float(among[label] / (frames - strange)))
