"""Fluorescence: nuclei that shine on a dark ground; a few scenes inverted, as in brightfield."""

from __future__ import annotations

import cv2
import numpy as np

from domains.procedural.camera import Camera
from domains.procedural.nuclei import depth_inside, scatter_nuclei
from domains.procedural.paint import smooth_field
from domains.procedural.textures import crop_kind
from domains.procedural.truth import visible_truth

CAMERA = Camera(blur_px=1.0, noise=4, light=0.2, gamma=0.15, cast=0.0, grey=1.0, jpeg=0.15)
TINTS = ((1, 1, 1), (0.25, 0.4, 1.0), (0.2, 1.0, 0.35), (1.0, 0.3, 0.3))


def nuclei_fluo(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and ids (H, W) int32, 0 where there is no nucleus."""
    area = np.exp(rng.uniform(np.log(50), np.log(4000)))
    radius = float(np.sqrt(area / np.pi))
    count = int(np.clip(height * width / area * np.exp(rng.uniform(np.log(0.04), np.log(0.8))), 2, 120))
    ids = scatter_nuclei(rng, height, width, radius, count, rng.choice([0.1, 0.25, 0.5]), rng.choice([0, 0.5, 0.9]))
    peak = rng.uniform(30, 240)
    glow = emission(rng, ids, radius, dimmest=max(0.1, 14 / peak))
    ground = rng.choice([2, 8, 20, 45], p=[0.3, 0.35, 0.25, 0.1]) * rng.uniform(0.5, 1.3)
    ground = ground * np.clip(1 + 0.4 * smooth_field(rng, height, width), 0.2, 2)
    image = np.minimum(ground + peak * glow, 255)
    if rng.random() < 0.12:
        image = rng.uniform(150, 240) - image * rng.uniform(0.4, 0.8)
    image = add_shot_noise(rng, image.astype(np.float32))
    tint = np.array(TINTS[rng.choice(4, p=[0.88, 0.06, 0.03, 0.03])], np.float32)
    photograph = CAMERA.photograph(rng, np.repeat(image[..., None], 3, 2))
    return (photograph * tint).astype(np.uint8), visible_truth(ids)


def emission(rng: np.random.Generator, ids: np.ndarray, radius: float, dimmest: float) -> np.ndarray:
    """(H, W) float32 in 0..about 1: nuclei of very different brightness, textured, domed, with a halo."""
    height, width = ids.shape
    count = int(ids.max()) + 1
    level = np.exp(rng.normal(0, rng.uniform(0.1, 0.8), count))
    if rng.random() < 0.3:  # dividing and dying nuclei outshine the others
        level[rng.random(count) < rng.uniform(0.02, 0.2)] *= rng.uniform(2, 5)
    level = np.clip(level / level.max(), dimmest, 1)
    level[0] = 0
    chromatin = crop_kind(str(rng.choice(["clouds", "speckle", "marble"])), rng, height, width, rng.uniform(0.4, 1.0))
    dome = 1 - rng.uniform(0, 0.7) * np.exp(-depth_inside(ids) / (0.35 * radius))
    glow = (level.take(ids) * dome * np.clip(1 + rng.uniform(0, 0.7) * chromatin, 0.2, 2)).astype(np.float32)
    if rng.random() < 0.4:  # some lie out of focus
        far = (rng.random(count) < rng.uniform(0, 0.4)).take(ids)
        glow = np.where(far, 0, glow) + cv2.GaussianBlur(np.where(far, glow, 0), (0, 0), rng.uniform(1, 3))
    glow = cv2.GaussianBlur(glow, (0, 0), rng.uniform(0.5, 0.9) + 0.05 * radius * rng.random())
    if rng.random() < 0.5:
        glow = glow + rng.uniform(0, 0.25) * cv2.GaussianBlur(glow, (0, 0), rng.uniform(4, 12))
    if rng.random() < 0.3:  # debris: specks too small to be nuclei
        specks = (rng.random((height, width), dtype=np.float32) < 0.0006).astype(np.float32)
        glow = glow + rng.uniform(0.3, 2) * cv2.GaussianBlur(specks, (0, 0), 0.8)
    return glow


def add_shot_noise(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The image with Gaussian noise that grows with the square root of the light, as photons have it."""
    gain = rng.uniform(0, 1.2)
    return image + np.sqrt(np.maximum(image, 0)) * gain * rng.standard_normal(image.shape, dtype=np.float32)
