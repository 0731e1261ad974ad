"""A photograph taken by another camera: white balance and exposure in linear light, saturation.

Cameras record linear light and then bend it by the sRGB curve (IEC 61966-2-1), so gains of the lamp and of the shutter
act before that curve: two table look-ups and one product.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

ENCODED = np.arange(256) / 255.0
LINEAR = np.where(ENCODED <= 0.04045, ENCODED / 12.92, ((ENCODED + 0.055) / 1.055) ** 2.4)
"""Linear light of each sRGB level, both in 0..1."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class OtherCamera:
    """`camera(image, rng)`: (H, W, 3) uint8 sRGB to the same."""

    exposure_stops: float = 0.5
    """Largest change of exposure, in powers of two, either way."""
    balance: float = 0.12
    """Largest log gain of red and of blue against green, either way."""
    saturation: float = 0.4
    """Largest relative change of the distance from grey, either way."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        red, blue = np.exp(rng.uniform(-self.balance, self.balance, 2))
        gains = np.array([red, 1.0, blue]) * 2.0 ** rng.uniform(-self.exposure_stops, self.exposure_stops)
        table = encoded(LINEAR[:, None] * gains).reshape(256, 1, 3)
        factor = 1 + rng.uniform(-self.saturation, self.saturation)
        saturate = factor * np.eye(3, dtype=np.float32) + (1 - factor) * LUMA  # rows sum to 1: grey stays grey
        return cv2.transform(cv2.LUT(image, table), saturate.astype(np.float32))


def encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB levels, uint8, of linear light, what is above 1 clipped."""
    linear = np.clip(linear, 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (curve * 255 + 0.5).astype(np.uint8)
