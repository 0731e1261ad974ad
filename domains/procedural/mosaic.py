"""Mosaics: partitions into cells, patches, tiles and bricks, told apart by texture, colour or seam alone."""

from __future__ import annotations

import cv2
import numpy as np

from domains.procedural.camera import Camera
from domains.procedural.paint import edges, paint_regions, palette, smooth_field
from domains.procedural.truth import visible_truth

CAMERA = Camera()


def mosaic(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and ids (H, W) int32 without a 0."""
    regions = partition(rng, height, width)
    count = int(regions.max()) + 1
    alike = rng.random() < 0.4  # cells of one kind: only seams and small differences tell them apart
    if alike:
        colours = palette(rng, 1) * 0.8 + 25 + rng.normal(0, rng.uniform(2, 14), (count, 1)).astype(np.float32)
        colours = colours + rng.normal(0, 4, (count, 3)).astype(np.float32)
    else:
        colours = palette(rng, count)
    image = paint_regions(rng, regions, colours, rng.uniform(3, 14) if alike else rng.uniform(6, 45), 2 if alike else 6)
    if alike or rng.random() < 0.3:
        image = draw_seams(rng, image, regions)
    return CAMERA.photograph(rng, image), visible_truth(regions + 1, full=True)


def partition(rng: np.random.Generator, height: int, width: int, finest: float = 0.08) -> np.ndarray:
    """(H, W) int32 from 0: nearest seeds on a plane that was stretched and warped.

    finest: least distance of seeds as a share of the shorter side; the largest is one half.
    """
    margin = 16
    tall, wide = height + 2 * margin, width + 2 * margin
    pitch = min(height, width) * np.exp(rng.uniform(np.log(finest), np.log(0.5)))
    labels = nearest(grid_seeds(rng, tall, wide, pitch), tall, wide)
    if rng.random() < 0.35:  # merge fine cells by a coarse partition: ragged regions that need not be convex
        coarse = nearest(grid_seeds(rng, tall, wide, pitch * rng.uniform(1.8, 3)), tall, wide)
        seeds = np.zeros(labels.max() + 1, np.int32)
        seeds[labels.ravel()] = coarse.ravel()
        labels = seeds[labels]
    y, x = np.mgrid[:height, :width].astype(np.float32) + margin
    for cells, reach in ((3, margin * 0.5), (int(rng.integers(8, 24)), rng.uniform(0, 3))):
        x = x + reach * smooth_field(rng, height, width, cells).clip(-1.2, 1.2)
        y = y + reach * smooth_field(rng, height, width, cells).clip(-1.2, 1.2)
    warped = cv2.remap(labels.astype(np.float32), x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return warped.astype(np.int32)


def grid_seeds(rng: np.random.Generator, height: int, width: int, pitch: float) -> np.ndarray:
    """(N, 2) of y, x on a grid (square, brick or stretched), jittered from not at all to fully random."""
    pitch_y, pitch_x = pitch * np.exp(rng.normal(0, 0.25, 2))
    rows, columns = np.mgrid[0 : height : max(pitch_y, 6), 0 : width : max(pitch_x, 6)]
    columns = columns + rng.choice([0.0, 0.5]) * pitch_x * (np.arange(len(rows))[:, None] % 2)
    seeds = np.stack([rows.ravel(), columns.ravel()], 1) + rng.uniform(0, pitch, 2)
    jitter = rng.choice([0.0, 0.15, 0.4, 0.8]) * np.array([pitch_y, pitch_x])
    return seeds + rng.uniform(-1, 1, seeds.shape) * jitter


def nearest(seeds: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) int32: which seed is nearest, by one distance transform."""
    away = np.ones((height, width), np.uint8)
    y, x = np.clip(np.round(seeds).astype(int), 0, [height - 1, width - 1]).T
    away[y, x] = 0
    _, labels = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return labels - 1


def draw_seams(rng: np.random.Generator, image: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Dark or bright lines between regions, from a hairline to mortar, broken in places."""
    line = edges(regions).astype(np.float32)
    wide = rng.uniform(0.5, 1.6)
    height, width = regions.shape
    seam = np.minimum(cv2.GaussianBlur(line, (0, 0), wide) * wide * 1.6, 1)
    if rng.random() < 0.4:
        seam = seam * np.clip(0.7 + 0.5 * smooth_field(rng, height, width, 5), 0, 1)
    depth = rng.choice([-1, 1], p=[0.6, 0.4]) * rng.uniform(25, 110)
    return image + (seam * depth)[..., None]
