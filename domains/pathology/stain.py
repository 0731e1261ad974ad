"""H&E stain jitter: the same tissue, dyed by another laboratory.

Light falls exponentially with the amount of dye it passes (Beer-Lambert), so in optical density, OD = -ln(I / I0),
stains add up: OD = concentrations @ vectors. Ruifrok and Johnston, Analytical and Quantitative Cytology and Histology
23, 291-299 (2001) measured the vectors and unmixed them; Tellez et al., IEEE Transactions on Medical Imaging 37,
2126-2136 (2018) drew c' = gain * c + offset per stain as augmentation. Two departures: the vectors themselves are
jittered too (scanners and dyes differ in hue), and offsets are small, so that bare glass stays white.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
HED /= np.linalg.norm(HED, axis=1, keepdims=True)
"""Rows: RGB optical density of a unit of haematoxylin, eosin and DAB, each of length 1 (Ruifrok and Johnston)."""

WHITE = 255.0
DENSITY = -np.log(np.maximum(np.arange(256), 1) / WHITE).astype(np.float32)
"""Optical density of each grey level; 0 counts as 1, for no film is darker than a camera can see."""


@dataclass(frozen=True)
class StainJitter:
    """`jitter(image, rng)`: (H, W, 3) uint8 to the same, with other dyes.

    A picture without colour (fluorescence, grey cytology) carries no stain: its density is scaled as a whole.
    """

    gain: float = 0.25
    """Concentrations are multiplied by a factor in 1 - gain .. 1 + gain, per stain."""
    offset: float = 0.02
    """Largest concentration added or taken away everywhere, per stain; 0.02 is about 3 grey levels on white."""
    hue: float = 0.04
    """Standard deviation added to each component of the stain vectors."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        gains = rng.uniform(1 - self.gain, 1 + self.gain, 3)
        offsets = rng.uniform(-self.offset, self.offset, 3)
        vectors = HED + rng.normal(0, self.hue, (3, 3))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        if is_grey(image):
            return transmitted(DENSITY * np.float32(gains[0]))[image]
        mixing = np.linalg.inv(HED) @ np.diag(gains) @ vectors  # unmix, dye anew, mix: one 3 x 3 matrix
        affine = np.column_stack([mixing.T, offsets @ vectors]).astype(np.float32)
        return transmitted(cv2.transform(DENSITY[image], affine))


def transmitted(density: np.ndarray) -> np.ndarray:
    """uint8 grey levels of optical densities, clipped to what a camera records."""
    return np.clip(WHITE * np.exp(-density) + 0.5, 0, WHITE).astype(np.uint8)


def is_grey(image: np.ndarray) -> bool:
    """All three channels are equal."""
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all())
