"""Shadows that clouds and tall things cast on the ground: a soft-edged part of the image with less light.

The direct light of the sun falls away and that of the sky remains, in every band alike here: a factor on what arrives.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

CORNERS = (3, 6)  # of a shadow's outline
SKYLIGHT = 0.35  # share of the light that remains in the deepest shadow


@dataclass(frozen=True)
class Shade:
    """`shade(image, rng)`: (H, W, C) uint8 of any channels to the same, part of it in shadow."""

    deepest: float = 1.0 - SKYLIGHT
    """Largest share of the light that is taken away."""
    edge: float = 0.06
    """Largest width of the soft edge, as a share of the image's longer side."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        corners = rng.uniform(-0.3, 1.3, (rng.integers(CORNERS[0], CORNERS[1] + 1), 2)) * (width, height)
        mask = np.zeros((height, width), np.float32)
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(corners).astype(np.int32)), 1.0)
        sigma_px = max(0.5, rng.uniform(0, self.edge) * max(height, width))
        mask = cv2.GaussianBlur(mask, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
        light = 1 - mask[..., None] * np.float32(rng.uniform(0, self.deepest))
        return (image * light + 0.5).astype(np.uint8)
