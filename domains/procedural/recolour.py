"""The same scene in other colours: whatever is learnt from it must be shape and contrast, not a dye or a soil."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Recolour:
    """`recolour(image, rng)`: (H, W, 3) uint8 to the same. Grey stays grey, up to a cast.

    Colours are turned about the grey axis and stretched along and across it; some pictures become negatives.
    """

    saturation: float = 0.7
    """Largest log factor of the distance from grey, either way."""
    cast: float = 0.12
    """Standard deviation of the log gain per channel."""
    negative: float = 0.15
    """Chance of a negative."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        turn = hue_turn(rng.uniform(0, 2 * np.pi), float(np.exp(rng.uniform(-self.saturation, self.saturation))))
        matrix = np.diag(np.exp(rng.normal(0, self.cast, 3))) @ turn
        offset = np.zeros(3)
        if rng.random() < self.negative:
            matrix, offset = -matrix, matrix @ np.full(3, 255.0)
        return cv2.transform(image, np.column_stack([matrix, offset]).astype(np.float32))


def hue_turn(angle: float, saturation: float) -> np.ndarray:
    """(3, 3): RGB turned by `angle` (radians) about the grey axis, the distance from it times `saturation`."""
    axis = np.full(3, 1 / np.sqrt(3))
    cross = np.cross(np.eye(3), axis)
    along = np.outer(axis, axis)
    return along + saturation * (np.cos(angle) * (np.eye(3) - along) + np.sin(angle) * cross)
