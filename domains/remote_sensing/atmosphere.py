"""The air between the ground and the camera, and the sun's height.

Koschmieder's law: what arrives is ground * t + airlight * (1 - t), with the transmission t falling as the haze
thickens (He, Sun and Tang, IEEE TPAMI 33, 2341-2353 (2011), eq. 1, use it to remove haze). Haze over one scene is
uneven but smooth, and scatters blue more than red.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

CORNERS = 2  # haze is smooth over a crop
AIRLIGHT = np.array([225.0, 232.0, 240.0], np.float32)
"""RGB of the veil that haze adds: a bluish white."""


@dataclass(frozen=True)
class Haze:
    """`haze(image, rng)`: (H, W, 3) uint8 to the same, seen through more air."""

    thickest: float = 0.35
    """Largest share of the light that comes from the air instead of the ground."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        veil = cv2.resize(rng.uniform(0.5, 1, (CORNERS, CORNERS)).astype(np.float32), image.shape[1::-1])
        veil = (veil * np.float32(rng.uniform(0, self.thickest)))[..., None]
        return np.clip(image * (1 - veil) + AIRLIGHT * veil + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Sunlight:
    """`sun(image, rng)`: another hour and season: gain, contrast about the mean, and a warmer or cooler light."""

    gain: float = 0.25
    """Largest log gain, either way."""
    contrast: float = 0.25
    """Largest log contrast, either way."""
    warmth: float = 0.08
    """Largest log gain of red, with its inverse on blue, either way."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        gain, contrast = np.exp(rng.uniform((-self.gain, -self.contrast), (self.gain, self.contrast)))
        warm = np.exp(rng.uniform(-self.warmth, self.warmth))
        gains = np.array([gain * warm, gain, gain / warm])
        middle = image.mean(axis=(0, 1))
        # per channel (v - middle) * contrast * gain + middle * gain, for all 256 grey levels at once
        table = ((np.arange(256)[:, None] - middle) * contrast + middle) * gains  # (256, 3)
        return cv2.LUT(image, np.clip(table + 0.5, 0, 255).astype(np.uint8).reshape(256, 1, 3))
