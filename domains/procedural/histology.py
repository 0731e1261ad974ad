"""Stained tissue: Beer-Lambert absorption of haematoxylin and eosin over a lit slide.

Optical densities after Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution" (2001).
"""

from __future__ import annotations

import cv2
import numpy as np

from domains.procedural.camera import Camera
from domains.procedural.nuclei import depth_inside, scatter_nuclei
from domains.procedural.paint import smooth_field
from domains.procedural.shapes import fill, radial_outlines
from domains.procedural.textures import crop_kind
from domains.procedural.truth import visible_truth

CAMERA = Camera(blur_px=2.0, noise=5, light=0.12, gamma=0.15, cast=0.03, grey=0.1)
STAINS = {  # optical density of red, green, blue per unit of stain
    "haematoxylin": (0.65, 0.70, 0.29),
    "blue-violet": (0.72, 0.68, 0.12),
    "magenta": (0.35, 0.85, 0.32),
    "purple": (0.52, 0.80, 0.28),
}
COUNTERSTAINS = {
    "eosin": (0.07, 0.92, 0.35),
    "lavender": (0.55, 0.80, 0.12),
    "violet": (0.45, 0.80, 0.20),
    "pale": (0.25, 0.55, 0.30),
}


def nuclei_he(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and ids (H, W) int32, 0 where there is no nucleus."""
    radius = np.exp(rng.uniform(np.log(4), np.log(20)))
    room = height * width / (np.pi * radius**2)
    count = int(np.clip(room * np.exp(rng.uniform(np.log(0.12), 0)), 4, 120))
    ids = scatter_nuclei(rng, height, width, radius, count, rng.choice([0.15, 0.4, 0.9]), rng.choice([0, 0.4, 0.8]))
    stain, counter = draw_stains(rng)
    tissue = tissue_density(rng, ids)
    if rng.random() < 0.2:
        tissue = tissue + pale_cells(rng, height, width, radius)
    density = nuclear_density(rng, ids, radius)[..., None] * stain + tissue[..., None] * counter
    lamp = np.array([245, 245, 240]) + rng.normal(0, 5, 3)
    image = lamp.clip(225, 255) * np.exp(-density)
    image = draw_distractors(rng, image, ids, radius)
    return CAMERA.photograph(rng, image.astype(np.float32)), visible_truth(ids)


def draw_stains(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors (3,) of optical density, jittered as laboratories differ."""
    vectors = [list(table.values())[rng.integers(len(table))] for table in (STAINS, COUNTERSTAINS)]
    stain, counter = (np.clip(np.array(vector) + rng.normal(0, 0.07, 3), 0.02, None) for vector in vectors)
    return stain / np.linalg.norm(stain), counter / np.linalg.norm(counter)


def nuclear_density(rng: np.random.Generator, ids: np.ndarray, radius: float) -> np.ndarray:
    """(H, W) amount of nuclear stain: level, chromatin, membrane and focus of every nucleus its own."""
    height, width = ids.shape
    count = int(ids.max()) + 1
    level = np.clip(rng.uniform(0.5, 1.5) * np.exp(rng.normal(0, rng.uniform(0.05, 0.4), count)), 0.25, 2.4)
    level[0] = 0
    kind = str(rng.choice(["clouds", "speckle", "speckle", "grain", "dots"]))
    chromatin = crop_kind(kind, rng, height, width, rng.uniform(0.25, 0.5) + radius * rng.uniform(0.01, 0.06))
    clumps = rng.uniform(0.1, 1.6) * rng.uniform(0.3, 1.4, count)  # the strongest leave holes as pale as the glass
    rim = rng.uniform(0.0, 1.0) * rng.uniform(0.3, 1.2, count)
    depth = depth_inside(ids)
    inside = 1 + clumps.take(ids) * chromatin + rim.take(ids) * np.exp(-depth / 1.5)
    density = (level.take(ids) * np.clip(inside, 0.15, 2.4)).astype(np.float32)
    if rng.random() < 0.6:  # some lie out of focus
        far = (rng.random(count) < rng.uniform(0, 0.5)).take(ids)
        density = np.where(far, 0, density) + cv2.GaussianBlur(np.where(far, density, 0), (0, 0), rng.uniform(1, 2.5))
    return cv2.GaussianBlur(density, (0, 0), rng.uniform(0.4, 0.9))


def tissue_density(rng: np.random.Generator, ids: np.ndarray) -> np.ndarray:
    """(H, W) amount of counterstain: bare glass, patchy cytoplasm around nuclei, or fibres."""
    height, width = ids.shape
    amount = rng.choice([0.03, 0.15, 0.35, 0.55], p=[0.3, 0.15, 0.3, 0.25]) * rng.uniform(0.7, 1.4)
    patches = np.clip(1 + rng.uniform(0, 0.6) * smooth_field(rng, height, width, int(rng.integers(2, 6))), 0.05, 2)
    fibre = crop_kind(str(rng.choice(["fibres", "clouds", "marble"])), rng, height, width, None, rng.uniform(0, 6.3))
    density = amount * patches * np.clip(1 + rng.uniform(0, 0.5) * fibre, 0, 2.5)
    if rng.random() < 0.5:  # cytoplasm
        around = cv2.GaussianBlur((ids > 0).astype(np.float32), (0, 0), rng.uniform(3, 8))
        density = density + rng.uniform(0, 0.6) * around
    if rng.random() < 0.3:  # lumen: bare glass, but not under nuclei
        hole = smooth_field(rng, height, width, 4) > rng.uniform(0.5, 1.2)
        density = density * (1 - 0.9 * cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 1.5))
    return density


def pale_cells(rng: np.random.Generator, height: int, width: int, radius: float) -> np.ndarray:
    """(H, W) counterstain of flat cells that lie over one another, as in a smear: their edges are no nuclei's."""
    density = np.zeros((height, width), np.float32)
    centres = rng.uniform(-0.1, 1.1, (int(rng.integers(2, 9)), 2)) * [width, height]
    sizes = radius * rng.uniform(2.5, 7, len(centres))
    for outline in radial_outlines(rng, centres, sizes, rng.uniform(1, 2, len(centres)), sizes, 0.15):
        layer = np.zeros((height, width), np.uint8)
        fill(layer, outline, 1)
        rim = np.exp(-cv2.distanceTransform(layer, cv2.DIST_L2, 3) / 1.5) * rng.uniform(0, 0.5)
        density += layer * (rng.uniform(0.05, 0.35) * (1 + rim))
    return cv2.GaussianBlur(density, (0, 0), rng.uniform(0.5, 1.5))


def draw_distractors(rng: np.random.Generator, image: np.ndarray, ids: np.ndarray, radius: float) -> np.ndarray:
    """Red blood cells, fibres and debris: seen between nuclei, no entities."""
    height, width = ids.shape
    cover = np.zeros((height, width, 3), np.float32)  # optical density
    if rng.random() < 0.3:
        count = int(rng.integers(1, 12))
        red = np.array([0.05, 0.45, 0.35]) * rng.uniform(0.5, 1.5) + rng.normal(0, 0.03, 3)
        places, sizes = rng.uniform(0, 1, (count, 2)) * [width, height], np.full(count, radius * rng.uniform(0.6, 1.1))
        for outline in radial_outlines(rng, places, sizes, rng.uniform(1, 1.5, count), sizes * count, 0.08):
            layer = np.zeros((height, width), np.uint8)
            fill(layer, outline, 1)
            cover[layer > 0] = red
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 8))):
            path = np.cumsum(rng.normal(0, 1, (12, 2)) + rng.normal(0, 8, 2), 0) + rng.uniform(0, 1, 2) * [
                width,
                height,
            ]
            tone = tuple(float(value) for value in np.array([0.1, 0.35, 0.2]) * rng.uniform(0.2, 1.2))
            cv2.polylines(cover, [np.round(path).astype(np.int32)], False, tone, int(rng.integers(1, 4)))
    if rng.random() < 0.3:
        spots = rng.integers(0, [width, height], (int(rng.integers(1, 15)), 2))
        for x, y in spots.tolist():
            cv2.circle(cover, (x, y), int(rng.integers(1, 3)), (0.5, 0.6, 0.4), -1)
    if not cover.any():
        return image
    free = (ids == 0)[..., None]
    return image * np.exp(-cv2.GaussianBlur(cover, (0, 0), 0.8) * free)
