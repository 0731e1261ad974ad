"""Clips of things that move: layers drawn anew in every frame, so that tracks are exact.

Things are blobs with limbs whose texture goes along with them: they move, turn, swell, bend, cross behind and before
each other, come in, leave, and some divide. Many clips hold look-alikes, which motion alone tells apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from domains.procedural.mosaic import partition
from domains.procedural.paint import paint_regions, palette
from domains.procedural.shapes import any_outline, fill, radial_outlines
from domains.procedural.textures import raw_crop

LEAST_PX = 8
"""Of fewer pixels nothing is visible."""


@dataclass(frozen=True)
class MovingClip:
    """A clip. images: (F, H, W, 3) uint8; ids: (F, H, W) int32 of tracks, 0 on the ground; parents: daughter to
    mother."""

    images: np.ndarray
    ids: np.ndarray
    parents: dict[int, int]


@dataclass
class Mover:
    """One thing's outline (P, 2) around its middle, and how it moves from frame to frame."""

    track: int
    outline: np.ndarray
    place: np.ndarray
    speed: np.ndarray
    turn: float
    turning: float
    swelling: float
    sway: float
    colour: np.ndarray
    texture: np.ndarray
    begin: int = 0
    end: int = 10**6
    depth: float = 0.0

    def at(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """(P, 2) outline in a frame, and the 2 x 2 turn with size that made it."""
        angle = self.turn + self.turning * frame
        size = 1 + self.swelling * np.sin(0.35 * frame + self.turn)
        turned = size * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        bent = self.outline * (1 + self.sway * np.sin(0.5 * frame + 2 * np.arctan2(*self.outline.T)))[:, None]
        return bent @ turned + self.middle(frame), turned

    def middle(self, frame: int) -> np.ndarray:
        """(2,) x and y in a frame."""
        wave = self.sway * 18 * np.array([np.sin(0.4 * frame + self.turn), np.cos(0.33 * frame)])
        return self.place + self.speed * frame + wave


def moving_clip(rng: np.random.Generator, frames: int, height: int, width: int) -> MovingClip:
    """A clip of so many frames."""
    count = int(np.exp(rng.uniform(np.log(2), np.log(16))))
    movers, parents = draw_movers(rng, count, frames, height, width)
    full = rng.random() < 0.4
    margin = 24
    ground = partition(rng, height + 2 * margin, width + 2 * margin, finest=0.3)
    tones = palette(rng, int(ground.max()) + 1)
    spread = 1.0 if full else rng.uniform(0.05, 0.5)
    tones = tones.mean(0) + (tones - tones.mean(0)) * np.float32(spread)
    scenery = paint_regions(rng, ground, tones, rng.uniform(4, 30))
    pan = rng.normal(0, 0.7, 2) if rng.random() < 0.5 else np.zeros(2)
    light, noise = rng.normal(0, 3, 2), rng.uniform(0, 6)
    images, ids = [], []
    for frame in range(frames):
        y, x = np.clip(np.round(margin + pan * (frame - frames / 2)), 0, 2 * margin).astype(int)
        view = np.s_[y : y + height, x : x + width]
        image = scenery[view].copy()
        labels = ground[view].astype(np.int32) + 1 if full else np.zeros((height, width), np.int32)
        offset = int(ground.max()) + 1 if full else 0
        for mover in sorted(movers, key=lambda mover: mover.depth):
            if mover.begin <= frame <= mover.end:
                draw(image, labels, mover, frame, offset)
        image = image + light[0] * np.sin(frame * 0.7 + light[1]) + rng.normal(0, noise, image.shape)
        if noise > 3:
            image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.7)
        images.append(np.clip(image, 0, 255).astype(np.uint8))
        areas = np.bincount(labels.ravel())
        labels[(areas < LEAST_PX)[labels]] = 0
        ids.append(labels)
    return MovingClip(np.stack(images), np.stack(ids), {d + offset: m + offset for d, m in parents.items()})


def draw_movers(
    rng: np.random.Generator, count: int, frames: int, height: int, width: int
) -> tuple[list[Mover], dict[int, int]]:
    """Things, and which of them are daughters of which."""
    side = min(height, width)
    cells = rng.random() < 0.35
    twins = rng.random() < (0.6 if cells else 0.3)
    base = side * rng.uniform(0.05, 0.16)
    tones = palette(rng, count)
    if twins:
        tones = tones[:1] + rng.normal(0, 6, tones.shape).astype(np.float32)
    pace = rng.choice([0.4, 1.2, 2.5, 4.5])
    movers: list[Mover] = []
    parents: dict[int, int] = {}
    track = 1
    common = raw_crop(None, rng, 64, 64, None, 0.0)
    for number in range(count):
        radius = base * rng.uniform(0.6, 1.9)
        outline = blob(rng, radius, cells)
        moment = rng.uniform(0, frames)  # at which it is somewhere in the picture
        speed = rng.normal(0, pace, 2)
        spot = rng.uniform(0.02, 0.98, 2) * [width, height]
        texture = common if twins else raw_crop(None, rng, 64, 64, None, 0.0)
        mover = Mover(
            track,
            outline,
            spot - speed * moment,
            speed,
            turn=rng.uniform(0, 6.3),
            turning=rng.normal(0, 0.06),
            swelling=rng.uniform(0, 0.12),
            sway=rng.uniform(0, 0.12),
            colour=tones[number],
            texture=(texture.astype(np.float32) / 127.5 - 1) * rng.uniform(4, 40),
            depth=rng.random(),
        )
        track += 1
        movers.append(mover)
        if cells and rng.random() < 0.3 and frames > 3:
            moment = int(rng.integers(2, frames - 1))
            mover.end = moment - 1
            heading = rng.uniform(0, 2 * np.pi)
            way = np.array([np.cos(heading), np.sin(heading)])
            for sign in (1, -1):
                drift = speed + sign * way * rng.uniform(0.3, 1.0)
                start = mover.middle(moment) + sign * way * radius * 0.6 - drift * moment
                daughter = Mover(
                    track,
                    blob(rng, 0.72 * radius, cells),
                    start,
                    drift,
                    turn=rng.uniform(0, 6.3),
                    turning=rng.normal(0, 0.06),
                    swelling=0.05,
                    sway=0.0,
                    colour=mover.colour,
                    texture=mover.texture,
                    begin=moment,
                    depth=mover.depth + 0.001 * sign,
                )
                movers.append(daughter)
                parents[track] = mover.track
                track += 1
    return movers, parents


def blob(rng: np.random.Generator, radius: float, cells: bool) -> np.ndarray:
    """(P, 2) an outline around 0."""
    if cells:
        aspect = rng.uniform(1, 1.7, 1)
        return radial_outlines(rng, np.zeros((1, 2)), np.array([radius]), aspect, rng.uniform(0, 3, 1))[0]
    return any_outline(rng) * radius


def draw(image: np.ndarray, labels: np.ndarray, mover: Mover, frame: int, offset: int) -> None:
    """Draws a mover into an image (H, W, 3) and its ids (H, W), in place."""
    outline, turned = mover.at(frame)
    layer = np.zeros(labels.shape, np.uint8)
    fill(layer, outline, 1)
    y, x = layer.nonzero()
    if not len(y):
        return
    local = (np.stack([x, y], 1) - mover.middle(frame)) @ np.linalg.inv(turned)
    u, v = (np.round(local + 32).astype(int) % 64).T
    image[y, x] = mover.colour + mover.texture[v, u][:, None]
    labels[y, x] = mover.track + offset
