"""Inspected surfaces: brushed metal, castings, tiles and asphalt; their defects are the entities.

Grain, shading, reflections, soft stains, joints and borders are there to be ignored.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from domains.procedural.camera import Camera
from domains.procedural.paint import smooth_field
from domains.procedural.shapes import fill, radial_outlines
from domains.procedural.textures import crop_kind, crop_texture
from domains.procedural.truth import visible_truth

CAMERA = Camera(blur_px=1.0, noise=7, light=0.3, gamma=0.2, cast=0.03, grey=0.45)
SPOTLESS = 0.12


def surfaces(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and ids (H, W) int32, 0 where the surface is sound."""
    draw = PLATES[rng.integers(len(PLATES))]
    grey = rng.uniform(60, 190) + draw(rng, height, width) + distract(rng, height, width)
    chances = GROUND_CHANCES if draw is ground_plate else CHANCES
    ids = np.zeros((height, width), np.int32)
    if rng.random() >= SPOTLESS:
        for number in range(1, int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])) + 1):
            defect = DEFECTS[rng.choice(len(DEFECTS), p=chances)]
            mask, grey = defect(rng, grey)
            ids[mask & (ids == 0)] = number
    tint = 1 + rng.normal(0, 0.05, 3).clip(-0.12, 0.12)
    image = (grey[..., None] * tint).astype(np.float32)
    return CAMERA.photograph(rng, image), visible_truth(ids)


def brushed_plate(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W) grey levels about 0: brushed metal, mostly in streaks along one side of the picture."""
    turn = rng.choice([0, 0, 0, np.pi / 2, rng.uniform(0, np.pi)])
    grain = crop_kind("brushed", rng, height, width, rng.uniform(0.7, 1.5), turn)
    columns = rng.standard_normal((1, width), dtype=np.float32) * rng.uniform(0, 8)
    fine = crop_kind("grain", rng, height, width, 1.0)
    return grain * rng.uniform(4, 22) + columns * (turn == 0) + fine * rng.uniform(2, 10)


def ground_plate(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A ground face of a bent part: streaks one way, gloss across them, now and then the part's sides and its end."""
    streaks = cv2.GaussianBlur(rng.standard_normal((height, width), dtype=np.float32), (0, 0), 0.8, sigmaY=7) * 4
    single = rng.standard_normal((1, width), dtype=np.float32)
    gloss = np.cumsum(cv2.GaussianBlur(rng.standard_normal((1, width), dtype=np.float32), (0, 0), 6), 1)
    gloss = (gloss - gloss.mean()) / max(float(gloss.std()), 1e-3)
    patch = np.clip(smooth_field(rng, height, width, 3), 0, 2)  # streaks come and go along their length
    plate = streaks * rng.uniform(2, 9) * (0.4 + patch) + single * rng.uniform(1, 6) + gloss * rng.uniform(3, 18)
    if rng.random() < 0.6:  # specks that are too small to be a defect
        specks = (rng.random((height, width)) < rng.uniform(0.0002, 0.002)).astype(np.float32)
        plate -= cv2.GaussianBlur(specks, (0, 0), 0.7) * rng.uniform(10, 60)
    for side in np.flatnonzero(rng.random(4) < [0.3, 0.3, 0.12, 0.18]):
        plate = beyond_side(rng, plate, int(side))
    return plate if rng.random() < 0.8 else np.ascontiguousarray(np.rot90(plate, 1)) if height == width else plate


def beyond_side(rng: np.random.Generator, plate: np.ndarray, side: int) -> np.ndarray:
    """Past an edge of the part, left, right, top or bottom: dark or another face, often behind a bright line."""
    turned = [plate.T, plate.T[::-1], plate, plate[::-1]][side].copy()
    height, width = turned.shape
    across = (np.arange(width) - rng.uniform(0, width)) / width
    edge = rng.uniform(0.02, 0.12) * height + rng.normal(0, 6) * across + (side > 1) * rng.uniform(-14, 14) * across**2
    depth = edge - np.arange(height)[:, None]  # (H, W), above 0 past the edge
    beyond = np.clip(depth + 0.5, 0, 1)
    turned += beyond * (rng.uniform(-90, 15) - turned) * rng.uniform(0.6, 1)
    turned += np.exp(-(((depth + 1) / rng.uniform(0.8, 2)) ** 2)) * max(0.0, rng.uniform(-40, 60))
    return np.ascontiguousarray([turned.T, turned[::-1].T, turned, turned[::-1]][side])


def cast_plate(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W) grey levels about 0: the rough skin of a casting, with clouds."""
    rough, cloudy = (crop_kind(kind, rng, height, width) for kind in ("grain", "clouds"))
    return rough * rng.uniform(4, 20) + cloudy * rng.uniform(2, 14)


def asphalt(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W) grey levels about 0: stones in tar, with grain."""
    stones = crop_kind("speckle", rng, height, width, rng.uniform(0.4, 0.9))
    grain = rng.standard_normal((height, width), dtype=np.float32)
    return stones * rng.uniform(6, 24) + cv2.GaussianBlur(grain, (0, 0), 0.7) * rng.uniform(8, 28)


def tiled_plate(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W) grey levels about 0: tiles of 40 to 99 px between straight joints."""
    plate = crop_texture(rng, height, width) * rng.uniform(2, 12)
    pitch, wide, depth = rng.integers(40, 100), rng.integers(1, 4), rng.uniform(-50, 40)
    y, x = rng.integers(0, pitch, 2)
    joints = ((np.arange(height) + y) % pitch < wide)[:, None] | ((np.arange(width) + x) % pitch < wide)[None]
    return plate + depth * joints


def fabric(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W) grey levels about 0: woven, felted, wooden or veined material."""
    kind = str(rng.choice(["weave", "fibres", "wood", "marble"]))
    turn = rng.uniform(-0.2, 0.2)
    return crop_kind(kind, rng, height, width, rng.uniform(0.4, 1.2), turn) * rng.uniform(6, 24)


PLATES: tuple[Callable[[np.random.Generator, int, int], np.ndarray], ...] = (
    brushed_plate, ground_plate, ground_plate, cast_plate, asphalt, asphalt, tiled_plate, fabric,
)  # fmt: skip


def distract(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W) light and dirt that is no defect: gloss bands, shadowed sides, soft stains, marks of chalk."""
    extra = np.zeros((height, width), np.float32)
    if rng.random() < 0.5:  # a cylinder's gloss: bright bands along one axis
        band = smooth_field(rng, 1, width, int(rng.integers(3, 6))) if rng.random() < 0.7 else None
        extra += rng.uniform(5, 35) * (smooth_field(rng, height, 1, 4) if band is None else band)
    if rng.random() < 0.4:
        extra += rng.uniform(4, 20) * smooth_field(rng, height, width, int(rng.integers(2, 5)))
    if rng.random() < 0.25:  # the plate ends: a dark margin
        margin, side = int(rng.integers(3, 18)), rng.integers(4)
        extra[[np.s_[:margin], np.s_[-margin:], np.s_[:, :margin], np.s_[:, -margin:]][side]] -= rng.uniform(20, 90)
    if rng.random() < 0.15:  # soft stain
        spot = np.zeros((height, width), np.float32)
        x, y = rng.integers(0, [width, height])
        cv2.circle(spot, (int(x), int(y)), int(rng.integers(5, 25)), float(rng.uniform(-30, 20)), -1)
        extra += cv2.GaussianBlur(spot, (0, 0), rng.uniform(7, 14))
    return extra


def crack(rng: np.random.Generator, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Random walks one to four pixels wide; branches start on what is there and belong to the same crack."""
    height, width = grey.shape
    wide = rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15])
    layer = np.zeros((height, width), np.uint8)
    start, heading = rng.uniform(0, 1, 2) * [width, height], rng.uniform(0, 2 * np.pi)
    path = walk(rng, start, heading, rng.uniform(0.2, 1.2) * max(height, width))
    paths = [path]
    for _ in range(rng.choice([0, 0, 1, 2, 4])):
        parent = paths[rng.integers(len(paths))]
        turn = rng.choice([-1, 1]) * rng.uniform(0.4, 1.4)
        paths.append(walk(rng, parent[rng.integers(len(parent))], heading + turn, rng.uniform(15, 80)))
    for path in paths:
        for begin, end in zip(path[:-1], path[1:], strict=True):
            thick = max(1, int(wide + rng.choice([-1, 0, 0, 1])))
            cv2.line(layer, begin.round().astype(int).tolist(), end.round().astype(int).tolist(), 255, thick)
    soft = cv2.GaussianBlur(layer.astype(np.float32) / 255, (0, 0), 0.6)
    fade = np.clip(1 + 0.4 * smooth_field(rng, height, width, 8), 0.45, 1.4)
    sign = -1 if rng.random() < 0.93 else 1
    return layer > 0, grey + sign * visible(rng, grey, 24, 85) * soft * fade


def visible(rng: np.random.Generator, grey: np.ndarray, weak: float, strong: float) -> float:
    """A contrast between two bounds, in grey levels, that the grain of the surface does not drown."""
    grain = float(np.abs(np.diff(grey, axis=1)).mean())
    return max(rng.uniform(weak, strong), 1.8 * grain)


def walk(rng: np.random.Generator, start: np.ndarray, heading: float, length: float) -> np.ndarray:
    """(P, 2) of x, y: steps of three to seven pixels whose heading drifts and jitters."""
    count = max(3, int(length / 5))
    headings = heading + np.cumsum(rng.normal(0, 0.18, count)) + rng.normal(0, 0.45, count)
    steps = np.stack([np.cos(headings), np.sin(headings)], 1) * rng.uniform(3, 7, (count, 1))
    return start + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)])


def blob_mask(rng: np.random.Generator, shape: tuple[int, int], radius: float, stretch: float = 2.0) -> np.ndarray:
    """(H, W) uint8, 1 inside one rough blob somewhere in the picture."""
    layer = np.zeros(shape, np.uint8)
    centre = rng.uniform(0.03, 0.97, (1, 2)) * [shape[1], shape[0]]
    aspect, turn = rng.uniform(1, stretch, 1), rng.uniform(0, np.pi, 1)
    fill(layer, radial_outlines(rng, centre, np.array([radius]), aspect, turn, rng.uniform(0.05, 0.3), 40)[0], 1)
    return layer


def blowhole(rng: np.random.Generator, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A round hole of a gas bubble, darker, its lower edge in the light: mask (H, W) and changed grey levels."""
    layer = blob_mask(rng, grey.shape, np.exp(rng.uniform(np.log(1.8), np.log(9))), 1.6)
    soft = cv2.GaussianBlur(layer.astype(np.float32), (0, 0), rng.uniform(0.6, 1.3))
    lit = np.roll(soft, 1, 0) - np.roll(soft, -1, 0)  # the lower edge catches light
    return layer > 0, grey - visible(rng, grey, 25, 90) * soft - rng.uniform(-20, 30) * lit


def scratch(rng: np.random.Generator, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One or a few parallel straight lines, bright or dark."""
    height, width = grey.shape
    layer = np.zeros((height, width), np.uint8)
    start, turn = rng.uniform(0, 1, 2) * [width, height], rng.uniform(0, np.pi)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    length = rng.uniform(12, 110)
    for line in range(rng.choice([1, 1, 1, 2, 3])):
        begin = start + across * line * 2 + along * rng.uniform(-4, 4)
        end = begin + along * length + across * rng.normal(0, 2)
        thick = int(rng.choice([1, 1, 2]))
        cv2.line(layer, begin.round().astype(int).tolist(), end.round().astype(int).tolist(), 1, thick)
    soft = cv2.GaussianBlur(layer.astype(np.float32), (0, 0), 0.5)
    return layer > 0, grey + rng.choice([-1, 1]) * visible(rng, grey, 25, 80) * soft


def dent(rng: np.random.Generator, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A hollow: one side dark, the other bright, the grain goes on through it."""
    layer = blob_mask(rng, grey.shape, rng.uniform(5, 22))
    height_map = cv2.GaussianBlur(layer.astype(np.float32), (0, 0), rng.uniform(1.5, 3))
    step = rng.integers(1, 4)
    slope = np.roll(height_map, step, int(rng.integers(2))) - np.roll(height_map, -step, int(rng.integers(2)))
    return layer > 0, grey + rng.choice([-1, 1]) * rng.uniform(50, 140) * slope - rng.uniform(0, 15) * height_map


def fray(rng: np.random.Generator, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A large area where texture or brightness is another."""
    height, width = grey.shape
    layer = blob_mask(rng, grey.shape, rng.uniform(0.1, 0.38) * min(height, width), 2.5)
    soft = cv2.GaussianBlur(layer.astype(np.float32), (0, 0), rng.uniform(0.8, 4))
    texture = crop_texture(rng, height, width) * rng.uniform(0, 30)
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 3)
    inside = np.where(rng.random() < 0.6, grey, smooth) + texture + rng.choice([-1, -1, 1]) * rng.uniform(8, 50)
    return layer > 0, grey + (inside - grey) * soft


def broken_edge(rng: np.random.Generator, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A piece gone from the border, ragged or rounded, of another grey or the same, its rim in light or shadow."""
    height, width = grey.shape
    x = np.linspace(-5, width + 5, 40)
    reach = rng.uniform(5, 30) if rng.random() < 0.7 else rng.uniform(0.15, 0.4) * height
    bulge = rng.choice([2.0, 4.0])  # 4: flat, with steep ends
    outline = reach * np.exp(-(np.abs((x - rng.uniform(0, width)) / rng.uniform(8, 60)) ** bulge))
    ragged = np.maximum(outline * (1 + rng.normal(0, rng.uniform(0.03, 0.18), 40)) - 1.5, -2)
    layer = np.zeros((height, width), np.uint8)
    fill(layer, np.concatenate([np.stack([x, ragged], 1), [[width + 5, -6], [-5, -6]]]), 1)
    turns = int(rng.integers(4)) if height == width else 2 * int(rng.integers(2))
    layer = np.ascontiguousarray(np.rot90(layer, turns))
    soft = cv2.GaussianBlur(layer.astype(np.float32), (0, 0), rng.uniform(0.5, 1.5))
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), rng.uniform(2, 8))
    if rng.random() < 0.6:
        face = smooth + rng.uniform(-30, 30)
    else:
        face = rng.choice([rng.uniform(0, 40), rng.uniform(140, 230)])
    inside = face + crop_texture(rng, height, width) * rng.uniform(1, 10)
    step = int(rng.integers(2))
    rim = np.roll(soft, 1, step) - np.roll(soft, -1, step)
    return layer > 0, grey + (inside - grey) * soft + rim * rng.choice([-1, 1]) * rng.uniform(10, 60)


def reground(rng: np.random.Generator, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A side, a band, a corner or a patch with rounded ends that was ground over again: other streaks, other
    brightness, one clear border."""
    shape = grey.shape
    mask = rounded_band(rng, shape) if rng.random() < 0.25 else beyond_line(rng, shape, across=True)
    if rng.random() < 0.6:  # a band ends at a second line along the first, a corner at one that crosses it
        cut = beyond_line(rng, shape, across=rng.random() < 0.6)
        mask = mask & (cut if rng.random() < 0.5 else ~cut)
    mask = ~mask if mask.mean() > 0.5 else mask  # of two halves the smaller was ground again
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), rng.uniform(0.6, 2.5))
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), rng.uniform(2, 12))
    plate = brushed_plate if rng.random() < 0.4 else ground_plate
    inside = smooth + plate(rng, *shape) * rng.uniform(0.5, 1.6) + rng.uniform(-12, 35)
    return mask, grey + (inside - grey) * soft


def rounded_band(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: a lying rectangle with rounded ends, part of which may be outside the picture."""
    height, width = shape
    y, x = rng.uniform(0.1, 0.9) * height, rng.uniform(0, 1) * width
    tall, wide = rng.uniform(0.06, 0.25) * height, rng.uniform(0.2, 0.8) * width
    rows, columns = np.ogrid[:height, :width]
    power = rng.uniform(3, 8)
    return np.abs((rows - y) / tall) ** power + np.abs((columns - x) / wide) ** power < 1


def beyond_line(rng: np.random.Generator, shape: tuple[int, ...], across: bool) -> np.ndarray:
    """(H, W) bool: all on one side of a nearly straight, slightly wavy line across the picture, or along it."""
    height, width = shape if across else shape[::-1]
    wave = np.interp(np.arange(width), np.linspace(0, width, 9), rng.normal(0, rng.uniform(0.5, 4), 9))
    line = height * rng.uniform(0.1, 0.9) + rng.normal(0, 0.12) * (np.arange(width) - width / 2) + wave
    beyond = np.arange(height)[:, None] > line
    beyond = beyond if rng.random() < 0.5 else ~beyond
    return beyond if across else np.ascontiguousarray(beyond.T)


DEFECTS: tuple[Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray]], ...] = (
    crack, blowhole, scratch, dent, fray, broken_edge, reground,
)  # fmt: skip
CHANCES = (0.3, 0.23, 0.09, 0.08, 0.12, 0.1, 0.08)
GROUND_CHANCES = (0.16, 0.25, 0.05, 0.03, 0.13, 0.16, 0.22)  # a ground face shows where it was ground again
