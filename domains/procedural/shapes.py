"""Outlines of random shapes as polygons, and their drawing into integer maps."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


def fill(target: np.ndarray, outline: np.ndarray, value: int) -> None:
    """Draws the polygon `outline` (P, 2) of x, y into an int32 or uint8 map, in place."""
    points = np.round(outline * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(target, [points], int(value), cv2.LINE_8, SHIFT)


def radial_outlines(
    rng: np.random.Generator, centres: np.ndarray, radii: np.ndarray, aspects: np.ndarray, turns: np.ndarray,
    roughness: float | np.ndarray = 0.08, points: int = 28,
) -> np.ndarray:  # fmt: skip
    """(N, points, 2) of x, y: ellipses of mean radius `radii` and axis ratio `aspects` with low-frequency dents.

    roughness: standard deviation of the radius, relative, spread over the waves 2 to 5.
    """
    count = len(centres)
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    waves = np.arange(2, 6)
    phases = rng.uniform(0, 2 * np.pi, (count, 4, 1))
    sizes = rng.normal(0, 1, (count, 4, 1)) * (np.asarray(roughness).reshape(-1, 1, 1) / waves[:, None] ** 1.5 * 2.2)
    radius = radii[:, None] * np.clip(1 + (sizes * np.cos(waves[:, None] * angle + phases)).sum(1), 0.3, 2)  # (N, P)
    long, short = np.sqrt(aspects)[:, None], 1 / np.sqrt(aspects)[:, None]
    x, y = radius * np.cos(angle) * long, radius * np.sin(angle) * short
    cosine, sine = np.cos(turns)[:, None], np.sin(turns)[:, None]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], 2) + centres[:, None]


def place(outline: np.ndarray, centre: np.ndarray, size: float, turn: float) -> np.ndarray:
    """A unit outline scaled to radius `size`, turned, and moved."""
    cosine, sine = np.cos(turn), np.sin(turn)
    return outline @ (size * np.array([[cosine, sine], [-sine, cosine]])) + centre


def rectangle(half_x: float, half_y: float) -> np.ndarray:
    """(4, 2) corners of x, y about the origin, from its half sides."""
    return np.array([[-half_x, -half_y], [half_x, -half_y], [half_x, half_y], [-half_x, half_y]])


def blob(rng: np.random.Generator) -> np.ndarray:
    """(40, 2) a dented ellipse of mean radius 1, up to three times as long as wide."""
    unit = np.ones(1)
    aspect = np.exp(rng.uniform(0, 1.1, 1))
    return radial_outlines(rng, np.zeros((1, 2)), unit, aspect, 0 * unit, rng.uniform(0, 0.5), 40)[0]


def ellipse(rng: np.random.Generator) -> np.ndarray:
    """(36, 2) an ellipse of half axes 1 and 0.3 to 1."""
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle) * rng.uniform(0.3, 1)], 1)


def box(rng: np.random.Generator) -> np.ndarray:
    """(4, 2) a rectangle of half sides 1 and 0.12 to 1."""
    return rectangle(1.0, rng.uniform(0.12, 1))


def polygon(rng: np.random.Generator) -> np.ndarray:
    """(P, 2) three to eight corners at random angles, 0.6 to 1 from the origin."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    return np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(0.6, 1, (len(angle), 1))


def star(rng: np.random.Generator) -> np.ndarray:
    """(2 arms, 2) a star of four to eight arms of length 1."""
    arms = int(rng.integers(4, 9))
    angle = np.linspace(0, 2 * np.pi, 2 * arms, endpoint=False)
    return (
        np.stack([np.cos(angle), np.sin(angle)], 1)
        * np.where(np.arange(2 * arms) % 2, rng.uniform(0.3, 0.8), 1)[:, None]
    )


def bean(rng: np.random.Generator) -> np.ndarray:
    """A band bent along an arc, from a banana to an open ring."""
    bend, thick = rng.uniform(0.6, 2.6), rng.uniform(0.15, 0.45)
    angle = np.linspace(-bend, bend, 16)
    rim = np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.concatenate([rim, rim[::-1] * (1 - thick)]) - [0.3, 0]


def letter(rng: np.random.Generator) -> np.ndarray:
    """L, T, U and the like: a comb of bars on a stem."""
    bars = rng.random(5) < 0.55
    reach = np.where(bars, rng.uniform(0.4, 1.6, 5), 0.4)
    y = np.repeat(np.linspace(-1, 1, 6), 2)[1:-1]
    x = np.repeat(reach, 2) - 0.7
    return np.concatenate([np.stack([x, y], 1), [[-0.7, 1], [-0.7, -1]]])


OUTLINES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "blob": blob,
    "ellipse": ellipse,
    "box": box,
    "polygon": polygon,
    "star": star,
    "bean": bean,
    "letter": letter,
}


def any_outline(rng: np.random.Generator) -> np.ndarray:
    """(P, 2) unit outline of a random kind; blobs and ellipses come most."""
    kind = rng.choice(len(OUTLINES), p=[0.3, 0.18, 0.16, 0.16, 0.05, 0.07, 0.08])
    return list(OUTLINES.values())[kind](rng)
