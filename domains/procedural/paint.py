"""Colours and light on a map of regions: one gather per property instead of one drawing per region."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from domains.procedural.textures import raw_crop, relief


def palette(rng: np.random.Generator, count: int, temper: str | None = None) -> np.ndarray:
    """(count, 3) float32 RGB in 0..255 that could belong to one picture.

    temper: "vivid", "muted", "earth", "grey" or "one hue"; drawn where None.
    """
    temper = temper or str(rng.choice(["vivid", "muted", "earth", "grey", "one hue"], p=[0.25, 0.3, 0.25, 0.08, 0.12]))
    hue, saturation, value = rng.uniform(0, 360, count), rng.beta(2, 2, count), rng.beta(1.6, 1.4, count)
    if temper == "muted":
        saturation = saturation * 0.45
    elif temper == "earth":
        hue, saturation = rng.normal(60, 45, count) % 360, saturation * 0.7
    elif temper == "grey":
        saturation = saturation * 0.08
    elif temper == "one hue":
        hue, saturation = rng.normal(rng.uniform(0, 360), 12, count) % 360, saturation * 0.8
    hsv = np.stack([hue, saturation, 0.06 + 0.92 * value], 1).astype(np.float32)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0] * 255.0 if count else np.zeros((0, 3), np.float32)


def paint_regions(
    rng: np.random.Generator, regions: np.ndarray, colours: np.ndarray, strength: float = 30.0,
    textures: int = 4, kinds: Sequence[str | None] = (None,),
) -> np.ndarray:  # fmt: skip
    """(H, W, 3) float32: region i (0..N-1) in colours[i] with one of a few textures and a gentle gradient.

    strength: upper end of the textures' standard deviation, in grey levels; each region draws its own.
    textures: how many to share out; kinds: what they are drawn from, None for any.
    """
    height, width = regions.shape
    count = len(colours)
    drawn = [kinds[i] for i in rng.integers(0, len(kinds), textures)]
    crops = np.stack([raw_crop(kind, rng, height, width, None, rng.uniform(0, 6.3)) for kind in drawn])  # (K, H, W)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    chosen = relief(crops[rng.integers(0, textures, count).take(regions), rows, columns])  # (H, W)
    slope_y, slope_x = rng.normal(0, 18, (2, count)) / max(height, width)
    properties = np.stack([rng.beta(1, 2, count) * 2 * strength, slope_y, slope_x], 1).astype(np.float32)
    of_pixels = np.take(properties, regions, axis=0)  # (H, W, 3)
    light = (
        chosen * of_pixels[..., 0]
        + of_pixels[..., 1] * (rows - height // 2)
        + of_pixels[..., 2] * (columns - width // 2)
    )
    tint = 1 + rng.normal(0, 0.25, (count, 3)).astype(np.float32)  # a texture changes the hue a little
    return np.take(colours, regions, axis=0) + light.astype(np.float32)[..., None] * np.take(tint, regions, axis=0)


def edges(regions: np.ndarray) -> np.ndarray:
    """(H, W) uint8, 1 on pixels whose right or lower neighbour is of another region."""
    line = np.zeros(regions.shape, np.uint8)
    line[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    line[:-1] |= regions[:-1] != regions[1:]
    return line


def cast_shadows(rng: np.random.Generator, image: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Darkens what lies beside something drawn later (a larger number in `order`), to one side."""
    shift = rng.integers(-4, 5, 2)
    moved = np.roll(order, tuple(shift), (0, 1))
    shade = cv2.GaussianBlur((moved > order).astype(np.float32), (0, 0), rng.uniform(0.8, 2.0))
    return image * (1 - rng.uniform(0.15, 0.55) * shade * (moved >= order))[..., None]


def smooth_field(rng: np.random.Generator, height: int, width: int, cells: int = 3) -> np.ndarray:
    """(H, W) float32, standard normal at a few knots and smooth between them."""
    knots = rng.standard_normal((cells, cells), dtype=np.float32)
    return cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
