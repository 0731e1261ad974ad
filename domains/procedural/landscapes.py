"""Photographs: a few large regions full of clutter, things with parts before them; all of it belongs to some entity.

Inside a region leaves, stones, folds and shading are strong, and no entity is told by them: only where one texture
ends and another begins, as annotators of photographs see it.
"""

from __future__ import annotations

import cv2
import numpy as np
from skimage.measure import label

from domains.procedural.camera import Camera
from domains.procedural.leaves import pile
from domains.procedural.mosaic import partition
from domains.procedural.objects import draw_thing
from domains.procedural.paint import cast_shadows, paint_regions, palette, smooth_field
from domains.procedural.truth import visible_truth

CAMERA = Camera(light=0.3)


def landscapes(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and ids (H, W) int32 without a 0."""
    ground = layers(rng, height, width) if rng.random() < 0.6 else partition(rng, height, width, finest=0.22)
    image = paint_ground(rng, ground)
    front_ids, pieces = np.zeros((height, width), np.int32), np.zeros((height, width), np.int32)
    largest = min(height, width) * rng.uniform(0.12, 0.5)
    for number in range(1, int(rng.choice([0, 1, 2, 3, 5, 9], p=[0.2, 0.25, 0.2, 0.15, 0.12, 0.08])) + 1):
        centre = rng.uniform(0.05, 0.95, 2) * [width, height]
        draw_thing(rng, front_ids, pieces, number, centre, largest * rng.uniform(0.3, 1))
    front = front_ids > 0
    if front.any():
        image = np.where(front[..., None], paint_things(rng, front_ids, pieces, image), image)
        image = cast_shadows(rng, image, front_ids) if rng.random() < 0.6 else image
    ids = np.where(front, front_ids + ground.max() + 1, ground + 1)
    return CAMERA.photograph(rng, image.astype(np.float32)), visible_truth(connected(ids), full=True)


def layers(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W) int32 from 0: sky, hills, shore and meadow, one below the other, each with a line of its own."""
    regions = np.zeros((height, width), np.int32)
    rows = np.arange(height)[:, None]
    for number, level in enumerate(np.sort(rng.uniform(0.08, 0.95, int(rng.integers(1, 5)))), start=1):
        line = height * (level + rng.uniform(0, 0.12) * smooth_field(rng, 1, width, int(rng.integers(3, 7))))
        if rng.random() < 0.4:  # tree tops
            line = line + rng.uniform(1, 6) * smooth_field(rng, 1, width, int(rng.integers(15, 40)))
        regions[rows > line] = number
    turned = rng.random() < 0.15 and height == width
    return np.ascontiguousarray(np.rot90(regions)) if turned else regions


def paint_ground(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32: each region plain, textured, or a pile of leaves in one range of colours."""
    count = int(ground.max()) + 1
    colours = palette(rng, count)
    image = paint_regions(rng, ground, colours, rng.uniform(6, 50), 5)
    cluttered = np.flatnonzero(rng.random(count) < 0.45)
    order = pile(rng, *ground.shape) if len(cluttered) else ground
    for region in cluttered:
        inside = ground == region
        spread = rng.uniform(8, 45)
        tones = rng.normal(0, spread, (int(order.max()) + 1, 1)) + rng.normal(0, spread / 4, (int(order.max()) + 1, 3))
        litter = repeat((colours[region] + tones).astype(np.float32)[order], int(rng.integers(2, 6)))
        image[inside] = (litter + 0.5 * (image - colours[region]))[inside]
    if rng.random() < 0.35:  # out of focus
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 4))
    return image


def repeat(picture: np.ndarray, times: int) -> np.ndarray:
    """The picture `times` smaller each way and as often side by side, in its shape, mirrored at the seams."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (-(-width // times), -(-height // times)), interpolation=cv2.INTER_AREA)
    margins = ((0, height - small.shape[0]), (0, width - small.shape[1]), (0, 0))
    return np.pad(small, margins, mode="symmetric")


def paint_things(rng: np.random.Generator, ids: np.ndarray, pieces: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32: pieces in their own colours, textured, lit from one side; some nearly as their ground."""
    tones = palette(rng, int(pieces.max()) + 1)
    tones = tones + rng.uniform(0, 0.6) * (ground.mean((0, 1)) - tones)
    image = paint_regions(rng, pieces, tones, rng.uniform(6, 45), 5)
    y, x = np.mgrid[: pieces.shape[0], : pieces.shape[1]]
    for number in range(1, int(ids.max()) + 1):
        inside = ids == number
        if not inside.any():
            continue
        bearing = rng.uniform(0, 2 * np.pi)
        along = (np.cos(bearing) * x + np.sin(bearing) * y)[inside]
        shade = (along - along.mean()) / (along.std() + 1e-6)
        image[inside] += (rng.uniform(0, 28) * shade)[:, None]
    return image


def connected(ids: np.ndarray) -> np.ndarray:
    """(H, W) int32 from 1: the pieces of a region that something in front of it cuts in two are two entities."""
    return np.asarray(label(ids, connectivity=1), np.int32)
