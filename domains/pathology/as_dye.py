"""Nuclei labelled in fluorescence, shown as tissue: what glows becomes what absorbs.

Fluorescence is labelled in abundance, stained tissue is not, and what both show is chromatin; so the brightness of a
glowing nucleus is taken for the concentration of a dye (Beer-Lambert, see `stain.py`), on a ground that takes up
another. The shapes, the clumps and the textures are real, the colours are drawn. For training.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from domains.pathology.stain import HED, is_grey, transmitted

DARK = 110
"""Mean grey level of a picture, above which it is none of fluorescence."""
FAINT = 8
"""Grey levels that the brightest must lie above the ground, or noise would be spread over all of the range."""


@dataclass(frozen=True)
class AsDye:
    """`as_dye(image, rng)`: (H, W, 3) uint8 to the same; what is coloured or bright stays as it is."""

    amount: tuple[float, float] = (0.8, 2.0)
    """Optical density of the brightest nuclei."""
    gamma: tuple[float, float] = (0.5, 1.1)
    """Exponent of brightness: below 1 faint nuclei are dyed nearly as much as bright ones."""
    ground: float = 0.5
    """Largest optical density of the ground."""
    glass: float = 0.35
    """Share of pictures whose ground takes up nothing."""
    hue: float = 0.15
    """Standard deviation added to each component of both dyes' vectors."""
    tint: float = 0.15
    """Largest optical density of the light itself, per channel."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not is_grey(image) or image.mean() > DARK:
            return image
        glow = image[..., 0].astype(np.float32)
        low, high = np.percentile(glow, [1, 99.8])
        glow = np.clip((glow - low) / max(high - low, FAINT), 0, 1.2) ** np.float32(rng.uniform(*self.gamma))
        dyes = np.abs(HED[:2] + rng.normal(0, self.hue, (2, 3)))
        dyes /= np.linalg.norm(dyes, axis=1, keepdims=True)
        nuclei = rng.uniform(*self.amount) * glow * (1 + grains(glow.shape, 4, 0.12, rng))
        texture = 1 + grains(glow.shape, 16, 0.4, rng) + grains(glow.shape, 5, 0.25, rng)
        ground = rng.uniform(0, self.ground) * (rng.random() >= self.glass) * np.clip(texture, 0, None)
        amounts = np.stack([np.clip(nuclei, 0, None), ground], axis=-1)
        return transmitted(amounts @ dyes + rng.uniform(0, self.tint, 3))


def grains(shape: tuple[int, ...], size_px: int, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 noise of that grain and deviation, about 0."""
    height, width = shape
    coarse = rng.standard_normal((max(2, height // size_px), max(2, width // size_px)), dtype=np.float32)
    return deviation * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
