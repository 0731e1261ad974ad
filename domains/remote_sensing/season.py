"""Vegetation in another month: green turns brown or lush, and the rest of the ground stays as it is.

How much of a pixel is vegetation is taken from its excess green, 2G - R - B over R + G + B (Woebbecke et al.,
Transactions of the ASAE 38, 259-269 (1995)). `Sunlight` moves the light over all of the image; this moves the plants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FULL_GREEN = 0.3  # excess green from which on a pixel is all vegetation
BROWN = np.array([0.6, -0.15, -0.3], np.float32)
"""Log gains of red, green and blue from lush to dry."""


@dataclass(frozen=True)
class Season:
    """`season(image, rng)`: (H, W, 3) uint8 RGB to the same."""

    driest: float = 0.8
    """Largest share of `BROWN`; towards lush half of it."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        values = image.astype(np.float32)
        total = values.sum(axis=2, keepdims=True)
        plants = ((3 * values[..., 1:2] - total) / np.maximum(total, 1) / FULL_GREEN).clip(0, 1)
        gains = np.exp(BROWN * np.float32(rng.uniform(-self.driest / 2, self.driest)))
        return (values * (1 + plants * (gains - 1)) + 0.5).clip(0, 255).astype(np.uint8)
