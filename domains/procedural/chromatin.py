"""What nuclei of a section look like: dark ones, pale ones with a rim and nucleoli, spindles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np

from domains.procedural.nuclei import depth_inside
from domains.procedural.textures import crop_kind

DARK, PALE, SPINDLE = 0, 1, 2
"""Kinds: condensed chromatin; a vesicle, whose chromatin lies at its rim and in nucleoli; a thin nucleus from aside."""


@dataclass(frozen=True)
class Nuclei:
    """N nuclei before they are drawn, lengths in px."""

    centres: np.ndarray
    """(N, 2) of x, y."""
    radii: np.ndarray
    """(N,): of the circle of equal area."""
    aspects: np.ndarray
    """(N,): long axis over short axis."""
    turns: np.ndarray
    """(N,): direction of the long axis, radians."""
    kinds: np.ndarray
    """(N,) of DARK, PALE, SPINDLE."""

    @classmethod
    def strewn(
        cls, rng: np.random.Generator, centres: np.ndarray, radius: float, spread: float, elongated: float
    ) -> Nuclei:
        """Dark ones about these centres; spread: deviation of log radius. elongated: mean of (aspect - 1)."""
        count = len(centres)
        radii = radius * np.exp(rng.normal(0, spread, count))
        aspects = 1 + rng.exponential(elongated, count).clip(0, 2)
        return cls(centres, radii, aspects, rng.uniform(0, 2 * np.pi, count), np.full(count, DARK))

    @classmethod
    def joined(cls, groups: Sequence[Nuclei]) -> Nuclei:
        """The nuclei of several groups as one, in their order."""
        return cls(*(np.concatenate([getattr(group, field.name) for group in groups]) for field in fields(cls)))

    def where(self, kept: np.ndarray) -> Nuclei:
        """Those of a mask (N,) or of indices."""
        return Nuclei(*(getattr(self, field.name)[kept] for field in fields(self)))

    @property
    def reach(self) -> np.ndarray:
        """(N,): radius of the circle that keeps neighbours away; of long ones less than half their length."""
        return self.radii * np.sqrt(np.sqrt(self.aspects))


def nuclear_density(rng: np.random.Generator, ids: np.ndarray, kinds: np.ndarray, px_per_um: float) -> np.ndarray:
    """(H, W) float32 amount of haematoxylin in nuclei, about 1 in dark ones; ids: nucleus i of kinds as i + 1."""
    height, width = ids.shape
    count = len(kinds) + 1
    kinds = np.concatenate([[DARK], kinds])
    level = np.exp(rng.normal(0, rng.uniform(0.05, 0.35), count)).clip(0.4, 2)
    pale = kinds == PALE
    inner = np.where(pale, rng.uniform(0.15, 0.75) * np.exp(rng.normal(0, 0.2, count)), 1.0)
    level[0] = 0
    depth = depth_inside(ids)  # px
    rim_px = max(0.8, rng.uniform(0.25, 0.6) * px_per_um)
    rim = np.where(pale, rng.uniform(0.3, 0.9), rng.uniform(0, 0.4)) * rng.uniform(0.5, 1.3, count)
    kind = str(rng.choice(["speckle", "clouds", "grain"]))
    chromatin = crop_kind(kind, rng, height, width, px_per_um * rng.uniform(0.1, 0.4))
    clumps = rng.uniform(0.05, 1.0) * np.where(pale, 1.3, 0.6) * rng.uniform(0.3, 1.4, count)
    amount = inner.take(ids) * (1 + clumps.take(ids) * chromatin) + rim.take(ids) * np.exp(-depth / rim_px)
    density = level.take(ids) * np.clip(amount, 0.05, 2.2)
    density = np.maximum(density, nucleoli(rng, ids, pale, px_per_um) * level.take(ids))
    density = density.astype(np.float32)
    if rng.random() < 0.4:  # some lie out of focus
        far = (rng.random(count) < rng.uniform(0, 0.5)).take(ids)
        blurred = cv2.GaussianBlur(np.where(far, density, 0), (0, 0), rng.uniform(0.3, 0.9) * px_per_um)
        density = np.where(far, 0, density) + blurred
    return cv2.GaussianBlur(density, (0, 0), rng.uniform(0.4, 0.9))


def nucleoli(rng: np.random.Generator, ids: np.ndarray, pale: np.ndarray, px_per_um: float) -> np.ndarray:
    """(H, W) float32: one or two dark dots in a share of the pale nuclei. pale: (N + 1,) bool, by id."""
    dots = np.zeros(ids.shape, np.float32)
    share = rng.choice([0.0, 0.4, 0.9])
    chosen = np.flatnonzero(pale & (rng.random(len(pale)) < share))
    if not len(chosen):
        return dots
    order = np.argsort(ids, axis=None, kind="stable")
    starts = np.searchsorted(ids.ravel()[order], chosen)
    areas = np.bincount(ids.ravel(), minlength=len(pale))[chosen]
    for start, area in zip(starts.tolist(), areas.tolist(), strict=True):
        for _ in range(int(rng.integers(1, 3)) if area > 20 else 0):
            y, x = divmod(int(order[start + int(rng.integers(area))]), ids.shape[1])
            radius = max(1, round(px_per_um * rng.uniform(0.4, 0.9)))
            cv2.circle(dots, (x, y), radius, float(rng.uniform(0.8, 1.4)), -1)
    return dots * (ids > 0)
