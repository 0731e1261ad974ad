"""Where nuclei lie and what shape they have; the two stains paint them."""

from __future__ import annotations

import cv2
import numpy as np

from domains.procedural.shapes import fill, radial_outlines


def scatter_nuclei(
    rng: np.random.Generator, height: int, width: int, radius: float, count: int, elongated: float, closeness: float
) -> np.ndarray:
    """(H, W) int32: up to `count` nuclei of median `radius` px, drawn on top of one another where they touch.

    elongated: mean of (long axis / short axis - 1). closeness: 0 strewn evenly, 1 packed into clusters. Some scenes are
    squeezed across a grain, so that nuclei stand side by side, as in an epithelium.
    """
    squeeze = rng.uniform(1.3, 3.5) if rng.random() < 0.25 else 1.0
    if squeeze > 1:
        elongated, count = elongated / 4, round(count * squeeze)
    room = np.sqrt(squeeze)  # along each axis, so that the squeezed scene still fills the picture
    candidates = 3 * count
    radii = np.clip(radius * np.exp(rng.normal(0, rng.uniform(0.08, 0.3), candidates)), 3, None)
    extent = np.array([width, height])
    centres = clustered_points(rng, extent * room, candidates, radius, closeness) - (room - 1) / 2 * extent
    kept = spread(centres, radii, count, rng.uniform(0.62, 1.05) if rng.random() < 0.8 else 1.4)
    centres, radii = centres[kept], radii[kept]
    aspects = 1 + rng.exponential(elongated, len(kept)).clip(0, 3)
    turns = rng.uniform(0, 2 * np.pi, len(kept))
    if rng.random() < 0.5:  # tissue has a grain
        turns = rng.normal(turns[:1], rng.uniform(0.2, 1), len(kept))
    outlines = radial_outlines(rng, centres, radii, aspects, turns, 0.02 + 0.3 * rng.beta(1, 2.5), 24)
    if squeeze > 1:
        outlines = squeezed(outlines, extent / 2, squeeze, rng.uniform(0, np.pi))
    ids = np.zeros((height, width), np.int32)
    for i, outline in enumerate(outlines):
        fill(ids, outline, i + 1)
    return ids


def squeezed(outlines: np.ndarray, centre: np.ndarray, factor: float, turn: float) -> np.ndarray:
    """Outlines (N, P, 2) pressed together across the direction `turn` (radians) and drawn out along it; areas stay."""
    along = np.array([np.cos(turn), np.sin(turn)])
    stretch, across = np.sqrt(factor) * np.outer(along, along), np.eye(2) - np.outer(along, along)
    return (outlines - centre) @ (stretch + across / np.sqrt(factor)) + centre


def clustered_points(
    rng: np.random.Generator, extent: np.ndarray, count: int, radius: float, closeness: float
) -> np.ndarray:
    """(count, 2) of x, y in `extent` (2,): some around few centres, the rest anywhere, also a little beyond it."""
    anywhere = rng.uniform(-0.05, 1.05, (count, 2)) * extent
    hubs = rng.uniform(0, 1, (int(rng.integers(1, 7)), 2)) * extent
    spread_px = radius * rng.uniform(1.5, 5, (len(hubs), 2))
    hub = rng.integers(0, len(hubs), count)
    around = hubs[hub] + rng.normal(0, 1, (count, 2)) * spread_px[hub]
    return np.where((rng.random(count) < closeness)[:, None], around, anywhere)


def spread(centres: np.ndarray, radii: np.ndarray, count: int, gap: float) -> np.ndarray:
    """Indices of at most `count` points, no two nearer than `gap` times the sum of their radii."""
    away = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    near = away < gap * (radii[:, None] + radii[None])
    free = np.ones(len(centres), bool)
    kept = []
    for i in range(len(centres)):
        if free[i]:
            kept.append(i)
            free &= ~near[i]
            if len(kept) == count:
                break
    return np.array(kept, int)


def depth_inside(ids: np.ndarray) -> np.ndarray:
    """(H, W) float32: distance to the border of the own nucleus, 0 outside."""
    inner = (ids > 0).astype(np.uint8)
    inner[:, :-1] &= ids[:, :-1] == ids[:, 1:]
    inner[:-1] &= ids[:-1] == ids[1:]
    return cv2.distanceTransform(inner, cv2.DIST_L2, 3)
