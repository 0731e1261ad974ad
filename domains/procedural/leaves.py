"""Dead leaves: shapes of power-law sizes that cover one another; every pixel belongs to an entity.

After Lee, Mumford and Huang, "Occlusion Models for Natural Images" (IJCV 2001).
"""

from __future__ import annotations

import numpy as np

from domains.procedural.camera import Camera
from domains.procedural.paint import cast_shadows, edges, paint_regions, palette
from domains.procedural.shapes import any_outline, fill, place
from domains.procedural.truth import visible_truth

CAMERA = Camera()


def leaves(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and ids (H, W) int32 without a 0."""
    order = pile(rng, height, width)
    colours = palette(rng, int(order.max()) + 1)
    image = paint_regions(rng, order, colours, strength=rng.uniform(8, 40))
    if rng.random() < 0.5:
        image = cast_shadows(rng, image, order)
    if rng.random() < 0.25:
        image = image + (rng.choice([-70, 60]) * edges(order).astype(np.float32))[..., None]
    return CAMERA.photograph(rng, image), visible_truth(order + 1, full=True)


def pile(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W) int32, 0 the ground and 1.. the shapes from back to front, radius density 1 / r^3 or flatter."""
    order = np.zeros((height, width), np.int32)
    side = min(height, width)
    smallest, largest = side * rng.uniform(0.02, 0.06), side * rng.uniform(0.2, 0.45)
    count = int(np.exp(rng.uniform(np.log(6), np.log(140))))
    power = rng.uniform(0.5, 2.2)
    low, high = largest**-power, smallest**-power
    radii = (low + rng.random(count) * (high - low)) ** (-1 / power)
    centres = rng.uniform(0, 1, (count, 2)) * [width, height]
    for i in range(count):
        fill(order, place(any_outline(rng), centres[i], radii[i], rng.uniform(0, 2 * np.pi)), i + 1)
    return order
