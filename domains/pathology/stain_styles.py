"""Stain augmentation from the styles that a data set itself shows, after RandStainNA.

Shen, Luo, Shen, Ke: RandStainNA: Learning Stain-Agnostic Features from Histology Slides by Bridging Stain Augmentation
and Normalization, MICCAI 2022, https://arxiv.org/abs/2206.12694. Mean and standard deviation of every channel are
measured over the images; each training crop is moved to a virtual template drawn from the normal distribution of
these statistics, by Reinhard's transfer. Departures: only tissue is looked at and glass stays; a template is drawn
within two standard deviations; the spaces are CIELAB and HED (not HSV), one of the two drawn per crop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from domains.pathology.normalise import (
    LEAST_TISSUE_PX,
    MOST_GAIN,
    blend,
    from_lab,
    tissue,
    to_lab,
)
from domains.pathology.stain import DENSITY, HED, is_grey, transmitted

SPACES = ("lab", "hed")
UNMIX = np.linalg.inv(HED).T.astype(np.float32)
MIX = HED.T.astype(np.float32)


@dataclass(frozen=True)
class StainStyles:
    """`styles(image, rng)`: (H, W, 3) uint8 to the same in another style of the data set.

    statistics: per space (lab, hed) four rows of three channels: the mean of the images' means, the standard deviation
    of these, and the same two of the images' standard deviations. Of too little tissue, and of images without colour,
    nothing is changed.
    """

    statistics: tuple[tuple[tuple[float, ...], ...], ...]
    spread: float = 1.0
    """Factor on how far templates vary: 0 is normalisation to the mean template."""

    @classmethod
    def of(cls, images: Iterable[np.ndarray], spread: float = 1.0) -> StainStyles | None:
        """Measured on images of (H, W, 3) uint8; None where fewer than two show tissue in colour."""
        coloured = [pixels for pixels in map(coloured_tissue, images) if pixels is not None]
        if len(coloured) < 2:
            return None
        rows = []
        for space in SPACES:
            moments = np.array([statistics(to_space(pixels[None], space)[0]) for pixels in coloured])  # (images, 2, 3)
            means, stds = moments[:, 0], moments[:, 1]
            table = np.stack([means.mean(0), means.std(0), stds.mean(0), stds.std(0)])
            rows.append(tuple(tuple(row) for row in table.tolist()))
        return cls(tuple(rows), spread)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        which = int(rng.integers(len(SPACES)))
        draws = rng.standard_normal((2, 3)).clip(-2, 2) * self.spread
        pixels = coloured_tissue(image)
        if pixels is None:
            return image
        mean, mean_spread, std, std_spread = np.array(self.statistics[which])
        wanted_mean, wanted_std = mean + draws[0] * mean_spread, np.maximum(std + draws[1] * std_spread, 0.1 * std)
        own_mean, own_std = statistics(to_space(pixels[None], SPACES[which])[0])
        gain = np.clip(wanted_std / np.maximum(own_std, 1e-3), 1 / MOST_GAIN, MOST_GAIN)
        shift = (wanted_mean - own_mean * gain).astype(np.float32)
        moved = to_space(image, SPACES[which]) * gain.astype(np.float32) + shift
        return blend(image, from_space(moved, SPACES[which]), DENSITY[image])


def coloured_tissue(image: np.ndarray) -> np.ndarray | None:
    """(N, 3) uint8; None where there is too little, or no colour."""
    if is_grey(image):
        return None
    pixels = tissue(image)
    return pixels if len(pixels) >= LEAST_TISSUE_PX else None


def statistics(values: np.ndarray) -> np.ndarray:
    """(2, 3): mean and standard deviation of (N, 3)."""
    return np.stack([values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)])


def to_space(image: np.ndarray, space: str) -> np.ndarray:
    """(H, W, 3) float32 in CIELAB, or concentrations of haematoxylin, eosin and DAB."""
    return to_lab(image) if space == "lab" else cv2.transform(DENSITY[image], UNMIX)


def from_space(values: np.ndarray, space: str) -> np.ndarray:
    """(H, W, 3) uint8 of values in a colour space, the inverse of `to_space`."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    return from_lab(values) if space == "lab" else transmitted(cv2.transform(values, MIX))
