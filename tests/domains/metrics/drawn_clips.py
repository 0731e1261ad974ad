"""Clips of moving rectangles with what a tracker would give of them: numpy alone, so that referees can draw them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class DrawnClip(NamedTuple):
    """Maps (F, H, W) int32 of track ids, and the track that each divided from."""

    predicted: np.ndarray
    true: np.ndarray
    predicted_parents: dict[int, int]
    true_parents: dict[int, int]


def drawn_clip(seed: int, frames: int = 12, side: int = 40, tracks: int = 6) -> DrawnClip:
    """A clip with births, exits, gaps and divisions, and a prediction of it: shifted, dropped, merged, of other ids."""
    rng = np.random.default_rng(seed)
    true, predicted = np.zeros((2, frames, side, side), np.int32)
    true_parents: dict[int, int] = {}
    predicted_parents: dict[int, int] = {}
    spans, names = [], {}
    for number in range(1, tracks + 1):
        birth, death = sorted(rng.integers(0, frames + 1, 2).tolist())
        spans.append((number, birth, max(death, birth + 1), rng.uniform(2, side - 12, 2)))
    for number, _, death, place in spans[:2]:  # the first two divide where they end
        if death < frames - 1:
            child = tracks + 2 * number
            for twin in (child, child + 1):
                spans.append((twin, death, frames, place + rng.uniform(-6, 6, 2)))
                true_parents[twin] = number
    for number, birth, death, place in spans:
        speed, size = rng.normal(0, 1, 2), rng.integers(4, 10, 2)
        gap = range(birth + 2, birth + 2 + int(rng.integers(0, 4))) if rng.random() < 0.4 else range(0)
        name = int(rng.integers(1, 40))
        if number in true_parents and rng.random() < 0.7:
            name += 100
            predicted_parents[name] = names[true_parents[number]]
        names[number] = name
        for frame in range(birth, min(death, frames)):
            y, x = np.clip(place + speed * (frame - birth), 0, side - 4).astype(int)
            if frame in gap:
                continue
            true[frame, y : y + size[0], x : x + size[1]] = number
            y, x = np.maximum((y, x) + rng.integers(-1, 2, 2), 0)
            if rng.random() < 0.06:
                name = int(rng.integers(1, 40))
            if rng.random() < 0.9:
                predicted[frame, y : y + size[0], x : x + size[1]] = name
            if rng.random() < 0.1:
                predicted[frame, y : y + size[0] // 2, x : x + size[1]] = 60 + number
    return DrawnClip(predicted, true, predicted_parents, true_parents)
