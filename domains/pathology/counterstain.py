"""Tissue behind the nuclei: eosin laid over the whole picture, as a section of stroma takes it up.

Optical densities of stains add up (Beer-Lambert, see `stain.py`), so a background dyed pink is a density added to every
pixel. Jitter of the stains that are there cannot make it: where glass is white there is nothing to scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from domains.pathology.stain import DENSITY, is_grey, transmitted

EOSIN = np.array([0.07, 0.92, 0.35])
"""RGB optical density of a unit of eosin."""


@dataclass(frozen=True)
class Counterstain:
    """`counterstain(image, rng)`: (H, W, 3) uint8 to the same; a grey picture stays as it is."""

    amount: float = 0.5
    """Largest optical density of the stain."""
    hue: float = 0.12
    """Standard deviation added to each component of the stain's vector, before its length is made 1 again."""
    texture: float = 0.5
    """Largest relative unevenness: fibres, folds and gaps."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if is_grey(image):
            return image
        vector = np.clip(EOSIN + rng.normal(0, self.hue, 3), 0.02, None)
        vector /= np.linalg.norm(vector)
        tissue = 1 + rng.uniform(0, self.texture) * uneven(image.shape[:2], rng)
        density = rng.uniform(0, self.amount) * np.clip(tissue, 0, None)
        return transmitted(DENSITY[image] + density[..., None] * vector.astype(np.float32))


def uneven(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 of about unit deviation: grains of a size drawn between 2 px and a quarter of the picture."""
    height, width = shape
    grain = float(np.exp(rng.uniform(np.log(2), np.log(max(3, min(shape) / 4)))))
    coarse = rng.standard_normal((max(2, round(height / grain)), max(2, round(width / grain))), dtype=np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
