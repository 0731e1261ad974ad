"""Light on an inspected surface: a lamp to one side, an exposure that was set by another hand.

Reflected light is illumination times reflectance (the Lambertian model behind Land and McCann's Retinex, Journal of
the Optical Society of America 61, 1-11 (1971)); illumination is smooth, so log gains are drawn at the corners of the
picture and interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

CORNERS = 2  # one lamp to a side: more support points make blotches on a small crop


@dataclass(frozen=True)
class UnevenLight:
    """`light(image, rng)`: (H, W, 3) uint8 to the same under other light; grey pictures stay grey."""

    slope: float = 0.35
    """Largest log gain between the brightest and the mean of the field; 0.35 is a factor of 1.4."""
    exposure: float = 0.3
    """Largest log gain of the whole picture, either way."""
    gamma: float = 0.25
    """Largest log of the exponent of the camera's curve, either way."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        field = light_field(image.shape[:2], rng) * np.float32(rng.uniform(0, self.slope))
        gain = np.exp(field + np.float32(rng.uniform(-self.exposure, self.exposure)))
        curve = (np.arange(256) / 255.0) ** np.exp(rng.uniform(-self.gamma, self.gamma)) * 255.0
        lit = curve.astype(np.float32)[image] * gain[..., None]
        return np.clip(lit + 0.5, 0, 255).astype(np.uint8)


def light_field(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32, smooth, of mean 0 and largest absolute value 1."""
    grid = rng.uniform(-1, 1, (CORNERS, CORNERS)).astype(np.float32)
    grid -= grid.mean()
    grid /= max(float(np.abs(grid).max()), 1e-6)
    return cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
