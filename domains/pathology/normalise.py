"""Stain normalisation: every slide as if one laboratory had dyed and scanned it. See `domains.crops.normalisers`.

Macenko et al., A Method for Normalizing Histology Slides for Quantitative Analysis, ISBI 2009: the two stain vectors
of a slide span the plane of its optical densities, and are their extreme directions there.
Reinhard et al., Color Transfer between Images, IEEE CG&A 21(5), 2001: mean and standard deviation per channel of a
perceptual colour space; CIELAB here, where the paper has l-alpha-beta, as most of pathology does.

Departures, for both: only tissue is looked at, so that the share of glass doesn't matter; a slide without enough
tissue to fit passes unchanged; glass stays as it is, with a soft transition. For Macenko what the two stains do not
explain (pigment, ink) is carried along rather than dropped: the third vector is the normal of the plane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from domains.errors import InputError
from domains.pathology.stain import DENSITY, HED, transmitted

Recolour = Callable[[np.ndarray], np.ndarray]

GLASS_OD = 0.15  # largest optical density of bare glass, in any channel; Macenko's beta
LEAST_TISSUE_PX = 500
SAMPLE_PX = 2**20
EXTREME = 1.0  # percentile of angles that counts as a pure stain; Macenko's alpha
FULL = 99.0  # percentile of concentrations that counts as fully stained
LEAST_ANGLE_DEG = 25.0  # between the stains; H&E has 38 to 45 on real slides, and less amplifies noise
MOST_AWAY_DEG = 30.0  # of a stain from Ruifrok and Johnston's; tissue of one purple dye has "stains" farther away
MOST_GAIN = 3.0  # a fainter slide is not amplified further, for only noise would grow


def unchanged(image: np.ndarray) -> np.ndarray:
    """The image itself, of a scene that has no look to bring anywhere."""
    return image


@dataclass(frozen=True)
class Macenko:
    """vectors: two rows, RGB optical density of a unit of haematoxylin and of eosin. full: their concentrations where
    fully stained. Both of the slide that all others are made to look like.
    """

    name: ClassVar[str] = "macenko"
    vectors: tuple[tuple[float, ...], ...]
    full: tuple[float, ...]

    def __post_init__(self) -> None:
        vectors, full = checked(self.vectors, (2, 3), self.name), checked(self.full, (2,), self.name)
        if full.min() <= 0 or angle_deg(*vectors) < LEAST_ANGLE_DEG:
            raise InputError(f"stain {self.name}: wanted two different vectors and amounts above 0; fit it again")

    @classmethod
    def like(cls, images: Sequence[np.ndarray]) -> Macenko:
        """The median of the images' stains. Raises InputError where none has two."""
        fits = [fit for fit in (macenko_fit(tissue(image)) for image in images) if fit is not None]
        if not fits:
            raise InputError("stain macenko: wanted images with two stains, got none; use reinhard, or none at all")
        vectors = np.median([fit[0] for fit in fits], axis=0)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        full = np.median([fit[1] for fit in fits], axis=0)
        return cls(tuple(map(tuple, vectors.tolist())), tuple(full.tolist()))

    def fitted(self, pixels: np.ndarray) -> Recolour:
        """How to recolour a slide of which these are some pixels, (..., 3) uint8."""
        fit = macenko_fit(tissue(pixels))
        if fit is None:
            return unchanged
        gains = np.clip(np.array(self.full) / fit[1], 1 / MOST_GAIN, MOST_GAIN)
        source, target = with_normal(fit[0]), with_normal(np.array(self.vectors))
        mixing = np.linalg.inv(source) @ np.diag([*gains, 1.0]) @ target
        matrix = mixing.T.astype(np.float32)

        def recolour(image: np.ndarray) -> np.ndarray:
            density = DENSITY[image]
            return blend(image, transmitted(cv2.transform(density, matrix)), density)

        return recolour


@dataclass(frozen=True)
class Reinhard:
    """mean, std: of CIELAB over the tissue of the slide that all others are made to look like (L 0..100)."""

    name: ClassVar[str] = "reinhard"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        checked(self.mean, (3,), self.name)
        if checked(self.std, (3,), self.name).min() <= 0:
            raise InputError(f"stain {self.name}: wanted standard deviations above 0, got {self.std}; fit it again")

    @classmethod
    def like(cls, images: Sequence[np.ndarray]) -> Reinhard:
        """The median of the images' statistics. Raises InputError where none shows tissue."""
        fits = [fit for fit in (lab_statistics(tissue(image)) for image in images) if fit is not None]
        if not fits:
            raise InputError("stain reinhard: wanted images with tissue on glass, got none; use no normalisation")
        mean, std = np.median(fits, axis=0)
        return cls(tuple(mean.tolist()), tuple(std.tolist()))

    def fitted(self, pixels: np.ndarray) -> Recolour:
        """How to recolour a slide of which these are some pixels, (..., 3) uint8."""
        fit = lab_statistics(tissue(pixels))
        if fit is None:
            return unchanged
        mean, std = fit
        gain = np.clip(np.array(self.std) / std, 1 / MOST_GAIN, MOST_GAIN)
        shift = (np.array(self.mean) - mean * gain).astype(np.float32)
        gain = gain.astype(np.float32)
        return lambda image: blend(image, from_lab(to_lab(image) * gain + shift), DENSITY[image])


def tissue(pixels: np.ndarray) -> np.ndarray:
    """(N, 3) uint8: the pixels that are no glass and not pitch-black, `SAMPLE_PX` at most, evenly."""
    flat = pixels.reshape(-1, 3)
    flat = flat[:: 1 + len(flat) // SAMPLE_PX]
    density = DENSITY[flat]
    return flat[(density.max(axis=1) > GLASS_OD) & (density.min(axis=1) < 2.5)]


def macenko_fit(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(vectors (2, 3), full concentrations (2,)), haematoxylin first; None where two stains cannot be told apart."""
    if len(pixels) < LEAST_TISSUE_PX:
        return None
    density = DENSITY[pixels].astype(np.float64)
    plane = np.linalg.eigh(np.cov(density.T))[1][:, :0:-1]  # (3, 2): the two widest directions
    plane *= np.where(density.mean(axis=0) @ plane < 0, -1, 1)
    angles = np.arctan2(*(density @ plane).T[::-1])
    low, high = np.percentile(angles, [EXTREME, 100 - EXTREME])
    vectors = np.array([plane @ [np.cos(angle), np.sin(angle)] for angle in (low, high)])
    vectors = np.maximum(vectors, 1e-6)  # a dye cannot emit light
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors[np.argsort(-vectors[:, 0])]  # haematoxylin takes more of the red
    away = max(angle_deg(stain, reference) for stain, reference in zip(vectors, HED[:2], strict=True))
    if angle_deg(*vectors) < LEAST_ANGLE_DEG or away > MOST_AWAY_DEG:
        return None
    amounts = density @ np.linalg.pinv(vectors)
    full = np.percentile(amounts, FULL, axis=0)
    return (vectors, full) if full.min() > 0.05 else None


def lab_statistics(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(mean (3,), standard deviation (3,)) of CIELAB; None where there is too little tissue, or of one colour."""
    if len(pixels) < LEAST_TISSUE_PX:
        return None
    values = to_lab(pixels[None])[0].astype(np.float64)
    std = values.std(axis=0)
    return None if std.min() < 0.05 else (values.mean(axis=0), std)


def to_lab(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32: L 0..100, a and b about -128..127."""
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def from_lab(values: np.ndarray) -> np.ndarray:
    """uint8 RGB, clipped."""
    rgb = cv2.cvtColor(np.ascontiguousarray(values, dtype=np.float32), cv2.COLOR_LAB2RGB)
    return np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8)


def blend(before: np.ndarray, after: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Glass as before, tissue as after, and between them by optical density."""
    share = np.minimum(density.max(axis=-1, keepdims=True) / GLASS_OD, 1)
    return np.round(before + share * (after.astype(np.float32) - before)).astype(np.uint8)


def with_normal(vectors: np.ndarray) -> np.ndarray:
    """(3, 3): the two vectors and the unit normal of their plane."""
    normal = np.cross(*vectors)
    return np.vstack([vectors, normal / np.linalg.norm(normal)])


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees between two vectors."""
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def checked(values: object, shape: tuple[int, ...], name: str) -> np.ndarray:
    """The numbers of an adapter, which comes from anybody. Raises InputError."""
    try:
        array = np.array(values, np.float64)
    except (ValueError, TypeError):
        array = np.zeros(0)
    if array.shape != shape or not np.isfinite(array).all() or np.abs(array).max() > 1000:
        raise InputError(f"stain {name}: wanted {' x '.join(map(str, shape))} finite numbers; got {values!r:.80}")
    return array
