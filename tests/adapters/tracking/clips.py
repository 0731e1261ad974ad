"""Small clips drawn for tests: discs that move, with what each is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.tracking import FrameEntities, Tracker


@dataclass(frozen=True)
class Disc:
    """A disc of a clip: its centre (y, x) in frame 0, its velocity, radius, and the frames in which it is there."""

    y: float
    x: float
    dy: float = 0.0
    dx: float = 0.0
    radius: float = 6.0
    begin: int = 0
    end: int = 10**6


def drawn(discs: Sequence[Disc], at: int, shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    """(H, W) int32 of frame `at`: numbers of discs from 1, later ones in front of earlier ones."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    truth = np.zeros(shape, np.int32)
    for number, disc in enumerate(discs, start=1):
        if disc.begin <= at < disc.end:
            inside = (y - disc.y - disc.dy * at) ** 2 + (x - disc.x - disc.dx * at) ** 2 <= disc.radius**2
            truth[inside] = number
    return truth


def shuffled(truth: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(ids, numbers): the map as a network gives it, numbered 1..N in any order; numbers (N,) of the discs."""
    numbers = np.unique(truth[truth > 0])
    order = np.random.default_rng(seed).permutation(len(numbers))
    lookup = np.zeros(truth.max(initial=0) + 1, np.int32)
    lookup[numbers[order]] = np.arange(1, len(numbers) + 1)
    return lookup[truth], numbers[order]


def followed(
    tracker: Tracker, maps: Sequence[np.ndarray], looks: np.ndarray | None = None, begin: int = 0
) -> Iterator[dict[int, int]]:
    """Of each frame the track of each disc. looks: (discs, D) features of each."""
    for at, truth in enumerate(maps, start=begin):
        ids, numbers = shuffled(truth, at)
        features = None if looks is None else looks[numbers - 1]
        step = tracker.step(FrameEntities(ids, float(at), features))
        yield dict(zip(numbers.tolist(), step.ids.tolist(), strict=True))
