"""Things with parts on a cluttered ground: a body and all its differently coloured parts are one entity."""

from __future__ import annotations

import cv2
import numpy as np

from domains.procedural.camera import Camera
from domains.procedural.mosaic import partition
from domains.procedural.paint import cast_shadows, paint_regions, palette
from domains.procedural.shapes import any_outline, fill, place, rectangle
from domains.procedural.truth import visible_truth

CAMERA = Camera()


def objects(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and ids (H, W) int32, 0 on the ground."""
    ids, pieces = np.zeros((height, width), np.int32), np.zeros((height, width), np.int32)
    side = min(height, width)
    largest = side * rng.uniform(0.1, 0.42)
    for number in range(1, int(np.exp(rng.uniform(0, np.log(22)))) + 1):
        size = largest * rng.uniform(0.35, 1)
        centre = rng.uniform(0.03, 0.97, 2) * [width, height]
        draw_thing(rng, ids, pieces, number, centre, size)
    image = paint_scene(rng, pieces)
    if rng.random() < 0.6:
        image = cast_shadows(rng, image, ids)
    return CAMERA.photograph(rng, image), visible_truth(ids)


def paint_scene(rng: np.random.Generator, pieces: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32: pieces before a plain ground or patches of similar colours, often out of focus."""
    ground = partition(rng, *pieces.shape, finest=0.2) if rng.random() < 0.65 else np.zeros_like(pieces)
    count = int(ground.max()) + 1
    tones = palette(rng, count, "one hue" if rng.random() < 0.5 else None)
    tones = tones.mean(0) + (tones - tones.mean(0)) * np.float32(rng.uniform(0.1, 0.7))
    colours = np.concatenate([tones, palette(rng, int(pieces.max()))])
    front = pieces > 0
    image = paint_regions(rng, np.where(front, pieces + (count - 1), ground), colours, rng.uniform(6, 36))
    if rng.random() < 0.5:
        image = np.where(front[..., None], image, cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 3)))
    return image


def draw_thing(
    rng: np.random.Generator, ids: np.ndarray, pieces: np.ndarray, number: int, centre: np.ndarray, size: float
) -> None:
    """Limbs behind, a body over them, markings within the body; `pieces` numbers them for their colours."""
    turn = rng.uniform(0, 2 * np.pi)
    for _ in range(rng.choice([0, 0, 1, 2, 4])):
        away = turn + rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.8, 1.3)
        heading = np.array([np.cos(away), np.sin(away)])
        limb = place(rectangle(reach / 2, rng.uniform(0.06, 0.2)), centre + size * reach / 2 * heading, size, away)
        draw_part(ids, pieces, number, limb)
        if rng.random() < 0.5:
            foot = place(any_outline(rng), centre + size * reach * heading, size * rng.uniform(0.2, 0.4), away)
            draw_part(ids, pieces, number, foot)
    body = place(any_outline(rng), centre, size, turn)
    draw_part(ids, pieces, number, body)
    marks = int(rng.choice([0, 1, 2, 4, 7]))
    if not marks:
        return
    inside = np.zeros(ids.shape, np.uint8)
    fill(inside, body, 1)
    base = int(pieces.max()) + 1
    layer = np.zeros_like(pieces)
    for mark in range(marks):
        spot = centre + rng.normal(0, 0.45, 2) * size
        shape = rectangle(2, rng.uniform(0.1, 0.4)) if rng.random() < 0.35 else any_outline(rng)
        fill(layer, place(shape, spot, size * rng.uniform(0.12, 0.5), turn), base + mark % 3)
    marked = (layer > 0) & (inside > 0)
    pieces[marked] = layer[marked]


def draw_part(ids: np.ndarray, pieces: np.ndarray, number: int, outline: np.ndarray) -> None:
    """Draws an outline into both maps in place: as entity `number`, and as a new piece."""
    fill(ids, outline, number)
    fill(pieces, outline, int(pieces.max()) + 1)
