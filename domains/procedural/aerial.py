"""The ground from above: buildings, vehicles, tanks, courts, ships and planes are entities; land and roads are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from domains.procedural.camera import Camera
from domains.procedural.mosaic import partition
from domains.procedural.paint import paint_regions, palette, smooth_field
from domains.procedural.shapes import fill, place, rectangle
from domains.procedural.textures import crop_kind
from domains.procedural.truth import visible_truth

CAMERA = Camera(blur_px=1.2, noise=8, light=0.12, gamma=0.3, cast=0.06, grey=0.05)
LAND = np.array(  # RGB: grass, wood, scrub, soil, sand, concrete, tar
    [(88, 104, 66), (48, 62, 40), (96, 96, 72), (128, 108, 84), (170, 154, 126), (150, 148, 142), (84, 86, 88)],
    np.float32,
)
GROUNDS = ("clouds", "grain", "speckle", "fibres", "clouds", "grain")
WATER = np.array([(36, 52, 66), (30, 40, 42), (60, 84, 92), (42, 66, 84)], np.float32)
TAR = np.array([(104, 104, 104), (136, 132, 126), (78, 80, 84)], np.float32)


@dataclass
class Site:
    """A scene being drawn: colours, entity numbers, and the side on which shadows fall."""

    rng: np.random.Generator
    image: np.ndarray
    ids: np.ndarray
    sun: np.ndarray
    street: float

    @property
    def extent(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        return self.ids.shape[1], self.ids.shape[0]

    def row(self, count: int, pitch: float) -> np.ndarray:
        """(count, 2) centres along a street, `pitch` apart: parked cars, terraces, tank farms."""
        along = np.array([np.cos(self.street), np.sin(self.street)]) * pitch
        return self.somewhere() + np.arange(count)[:, None] * along

    def somewhere(self) -> np.ndarray:
        """(2,) x, y of a random point, at least 2 % of the sides away from the frame."""
        return self.rng.uniform(0.02, 0.98, 2) * self.extent

    def turn(self) -> float:
        """Mostly along the streets or across them."""
        if self.rng.random() < 0.25:
            return self.rng.uniform(0, 2 * np.pi)
        return self.street + np.pi / 2 * self.rng.integers(4) + self.rng.normal(0, 0.03)

    def free(self, centre: np.ndarray, radius: float) -> bool:
        """Whether no entity lies within a square of half side `radius`."""
        (x, y), reach = centre, radius
        window = self.ids[max(int(y - reach), 0) : int(y + reach) + 1, max(int(x - reach), 0) : int(x + reach) + 1]
        return window.size > 0 and not window.any()

    def paint(self, outline: np.ndarray, colour: np.ndarray) -> None:
        """Fills an outline (P, 2) of x, y in the image, to a sixteenth of a pixel; entity numbers stay as they are."""
        points = np.round(outline * 16).astype(np.int32)
        cv2.fillPoly(self.image, [points], tuple(float(value) for value in colour), cv2.LINE_8, 4)

    def build(self, outline: np.ndarray, colour: np.ndarray, height_px: float, number: int) -> None:
        """A solid outline as (part of) entity `number`, with the shadow it throws on the ground."""
        if height_px > 0:
            self.shade(outline, height_px, number)
        self.paint(outline, colour)
        fill(self.ids, outline, number)

    def shade(self, outline: np.ndarray, height_px: float, number: int) -> None:
        """Darkens what lies on the far side of the sun, within the window that the shadow can reach."""
        low = np.maximum(np.floor(outline.min(0) - height_px), 0).astype(int)
        high = np.maximum(np.ceil(outline.max(0) + height_px).astype(int) + 1, low)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        shadow = np.zeros(self.ids[window].shape, np.uint8)
        if not shadow.size:
            return
        for step in np.linspace(height_px / 4, height_px, 1 + int(height_px / 4)):
            fill(shadow, outline + self.sun * step - low, 1)
        self.image[window][(shadow > 0) & (self.ids[window] != number)] *= 0.45


def aerial(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and ids (H, W) int32, 0 on the ground."""
    at_sea = rng.random() < 0.15
    street = rng.uniform(0, np.pi)
    image = draw_water(rng, height, width) if at_sea else draw_land(rng, height, width, street)
    bearing = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(bearing), np.sin(bearing)])
    site = Site(rng, np.ascontiguousarray(image), np.zeros((height, width), np.int32), sun, street)
    scale = min(height, width) / 160 * np.exp(rng.uniform(-0.6, 0.7))
    makers = [draw_ship] if at_sea else [MAKERS[i] for i in rng.integers(0, len(MAKERS), rng.integers(1, 5))]
    number = 0
    for maker in makers:
        count = int(np.exp(rng.uniform(0.5, np.log(9 if at_sea else 28))))
        centres = rng.uniform(0.02, 0.98, (count, 2)) * site.extent
        if rng.random() < 0.4 and not at_sea:
            centres = site.row(count, scale * rng.uniform(*PITCHES.get(maker, (22, 50))))
        for centre in centres:
            number += maker(site, centre, number + 1, scale)
    if not at_sea:
        plant_trees(site, scale)
    light = crop_kind("grain", rng, height, width) * rng.uniform(1, 6)
    return CAMERA.photograph(rng, site.image + light[..., None]), visible_truth(site.ids)


def draw_water(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32: a water colour with waves of one direction and a slow swell."""
    waves = crop_kind(str(rng.choice(["clouds", "fibres"])), rng, height, width, None, rng.uniform(0, 6))
    swell = smooth_field(rng, height, width, 3) * 5
    return (WATER[rng.integers(len(WATER))] + (waves * rng.uniform(1, 7) + swell)[..., None]).astype(np.float32)


def draw_land(rng: np.random.Generator, height: int, width: int, street: float) -> np.ndarray:
    """(H, W, 3) float32: fields of earthen colours, sometimes a river, and roads along the streets."""
    regions = partition(rng, height, width, finest=0.3) if rng.random() < 0.75 else np.zeros((height, width), np.int32)
    kinds = rng.choice(len(LAND), 3)
    colours = LAND[kinds[rng.integers(0, 3, int(regions.max()) + 1)]] * np.exp(rng.normal(0, 0.12))
    colours = colours + rng.normal(0, 6, colours.shape).astype(np.float32)
    land = paint_regions(rng, regions, colours, rng.uniform(4, 14), 3, kinds=GROUNDS)
    if rng.random() < 0.4:  # woods
        wood = smooth_field(rng, height, width, 4) + 0.3 * smooth_field(rng, height, width, 20) > rng.uniform(0, 1)
        crowns = crop_kind("speckle", rng, height, width, 0.7) * 14
        land = np.where(wood[..., None], np.array([46, 62, 40]) + crowns[..., None], land).astype(np.float32)
    for _ in range(rng.choice([0, 1, 2, 3])):
        draw_road(rng, land, street)
    return land


def draw_road(rng: np.random.Generator, land: np.ndarray, street: float) -> None:
    """Draws a bent road of 3 to 21 px with verges into (H, W, 3) land, along the streets or across, in place."""
    height, width = land.shape[:2]
    turn = street + np.pi / 2 * rng.integers(2)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    bend = np.linspace(-1, 1, 24)[:, None]
    centre = rng.uniform(0, 1, 2) * [width, height]
    path = centre + along * bend * (height + width) + across * bend**2 * rng.normal(0, 60)
    points = [np.round(path).astype(np.int32)]
    wide = int(rng.integers(3, 22))
    tar = TAR[rng.integers(len(TAR))] + rng.normal(0, 8)
    cv2.polylines(land, points, False, tuple(map(float, tar + rng.uniform(5, 40))), wide + 3)
    cv2.polylines(land, points, False, tuple(map(float, tar)), wide)
    if wide > 8:
        cv2.polylines(land, points, False, (205.0, 205.0, 195.0), 1)


def draw_building(site: Site, centre: np.ndarray, number: int, scale: float) -> int:
    """A flat or gabled roof, of one or two wings, with things on it."""
    rng, turn = site.rng, site.turn()
    long, short = scale * rng.uniform(7, 22), scale * rng.uniform(5, 13)
    if not site.free(centre, 0.8 * long):
        return 0
    roof = palette(rng, 1, str(rng.choice(["grey", "grey", "earth", "muted"])))[0] * 0.7 + 60
    tall = rng.uniform(1, 9) * scale
    wings = [rectangle(long, short)]
    if rng.random() < 0.35:
        wings.append(rectangle(short * 0.8, long * 0.7) + [rng.uniform(-0.5, 0.5) * long, short * 0.6])
    for wing in wings:
        site.build(place(wing, centre, 1, turn), roof, tall, number)
    if rng.random() < 0.45:
        half = rectangle(long, short / 2) - [0, short / 2]
        site.paint(place(half, centre, 1, turn), roof * rng.choice([0.7, 0.8, 1.2]))
    for _ in range(rng.choice([0, 0, 2, 5])):
        spot = rectangle(*rng.uniform(0.8, 2.2, 2) * scale) + rng.uniform(-0.7, 0.7, 2) * [long, short]
        site.paint(place(spot, centre, 1, turn), roof * rng.choice([0.6, 1.3]))
    return 1


def draw_vehicle(site: Site, centre: np.ndarray, number: int, scale: float) -> int:
    """A car or a van with two panes, its long side along a street; 1 if it was drawn, 0 where something stands."""
    rng, turn = site.rng, site.turn()
    long, short = scale * rng.uniform(4.0, 6.5), scale * rng.uniform(2.0, 2.7)
    if not site.free(centre, long):
        return 0
    body = np.full(3, rng.choice([235, 200, 60, 30, 120])) if rng.random() < 0.7 else palette(rng, 1, "vivid")[0]
    site.build(place(rectangle(long, short), centre, 1, turn), body, 1.5 * scale, number)
    glass = rectangle(0.16 * long, 0.8 * short)
    for offset in (0.35, -0.55):
        site.paint(place(glass + [offset * long, 0], centre, 1, turn), body * 0.35)
    return 1


def draw_tank(site: Site, centre: np.ndarray, number: int, scale: float) -> int:
    """A round storage tank, lit from one side, with a rim."""
    rng = site.rng
    radius = scale * rng.uniform(5, 19)
    if not site.free(centre, radius):
        return 0
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    disc = np.stack([np.cos(angle), np.sin(angle)], 1) * radius
    tone = rng.uniform(120, 240) * (1 + rng.normal(0, 0.04, 3))
    site.build(disc + centre, tone * rng.uniform(0.75, 1), rng.uniform(1, 7) * scale, number)
    site.paint(disc * 0.88 + centre + site.sun * 0.04 * radius, tone)
    half = np.stack([np.cos(angle[:20]), np.sin(angle[:20])], 1) * radius * 0.88
    if rng.random() < 0.6:
        site.paint(place(half, centre, 1, float(np.arctan2(*site.sun[::-1]) - np.pi / 2)), tone * 0.85)
    return 1


def draw_court(site: Site, centre: np.ndarray, number: int, scale: float) -> int:
    """A tennis or basketball court, a pitch, a running track, or a baseball field: flat, in two colours, with lines."""
    rng, turn = site.rng, site.turn()
    long, short = scale * rng.uniform(12, 30), scale * rng.uniform(7, 14)
    if not site.free(centre, 0.9 * long):
        return 0
    outer = np.array([(70, 105, 75), (150, 80, 62), (80, 100, 130), (120, 120, 112)])[rng.integers(4)] * 1.0
    inner = np.array([(60, 120, 80), (160, 96, 74), (84, 112, 160), (112, 130, 84)])[rng.integers(4)] * 1.0
    kind = rng.choice(["court", "track", "diamond"], p=[0.6, 0.2, 0.2])
    if kind == "diamond":
        angle = np.linspace(-np.pi / 4, np.pi / 4, 14)
        fan = np.concatenate([[[-0.6, 0]], np.stack([np.cos(angle), np.sin(angle)], 1)])
        site.build(place(fan, centre, 0.7 * long, turn), np.array([168, 128, 88.0]), 0, number)
        site.paint(place(rectangle(0.25, 0.25), centre, 0.7 * long, turn + np.pi / 4), np.array([96, 116, 70.0]))
        return 1
    angle = np.linspace(0, 2 * np.pi, 40)
    bows = np.sign(np.cos(angle)) * (long - short)
    oval = np.stack([bows + short * np.cos(angle), short * np.sin(angle)], 1)
    outline = oval if kind == "track" else rectangle(long, short)
    site.build(place(outline, centre, 1, turn), outer, 0, number)
    site.paint(place(outline, centre, 0.76, turn), inner)
    lines = [rectangle(0.74 * long, 0.74 * short), rectangle(0.0, 0.74 * short), rectangle(0.74 * long, 0.0)]
    for line in lines[: rng.integers(1, 4)]:
        points = [np.round(place(line, centre, 1, turn) * 16).astype(np.int32)]
        cv2.polylines(site.image, points, True, (225.0, 225.0, 220.0), 1, cv2.LINE_8, 4)
    return 1


def draw_plane(site: Site, centre: np.ndarray, number: int, scale: float) -> int:
    """Fuselage, swept wings and tail as one outline."""
    rng, turn = site.rng, site.turn()
    size = scale * rng.uniform(9, 24)
    if not site.free(centre, 0.9 * size):
        return 0
    sweep, wide, chord = rng.uniform(0.1, 0.6), rng.uniform(0.07, 0.12), rng.uniform(0.18, 0.32)
    upper = np.array([
        (1.0, 0.0), (0.85, wide), (0.15 + chord / 2, wide), (0.15 - sweep, 0.95), (0.03 - sweep, 0.95),
        (0.15 - chord / 2, wide), (-0.7, wide * 0.7), (-0.95, 0.36), (-1.05, 0.36), (-0.95, 0.0),
    ])  # fmt: skip
    outline = np.concatenate([upper, upper[::-1] * [1, -1]])
    tone = rng.choice([240, 215, 170, 90], p=[0.5, 0.25, 0.15, 0.1]) * (1 + rng.normal(0, 0.03, 3))
    site.build(place(outline, centre, size, turn), tone, rng.uniform(0.5, 4) * scale, number)
    site.paint(place(rectangle(0.8, wide * 0.4), centre, size, turn), tone * rng.uniform(0.7, 1.1))
    return 1


def draw_ship(site: Site, centre: np.ndarray, number: int, scale: float) -> int:
    """A pointed hull with a deck and a wake."""
    rng, turn = site.rng, site.rng.uniform(0, 2 * np.pi)
    size = scale * rng.uniform(5, 26)
    if not site.free(centre, size):
        return 0
    wide = rng.uniform(0.14, 0.3)
    hull = np.array(
        [(1, 0), (0.6, wide), (-0.9, wide), (-1, 0.7 * wide), (-1, -0.7 * wide), (-0.9, -wide), (0.6, -wide)]
    )
    if rng.random() < 0.4:
        wake = np.array([(-0.9, wide), (-rng.uniform(1.8, 4), rng.uniform(1, 3) * wide), (-1.5, 0), (-0.9, -wide)])
        site.paint(place(wake, centre, size, turn), np.array([120, 136, 140.0]))
    tone = palette(rng, 1, str(rng.choice(["grey", "muted", "earth"])))[0] * 0.6 + 70
    site.build(place(hull, centre, size, turn), tone, rng.uniform(0, 2) * scale, number)
    for _ in range(rng.integers(0, 5)):
        cabin = rectangle(rng.uniform(0.05, 0.2), wide * rng.uniform(0.4, 0.8)) + [rng.uniform(-0.8, 0.5), 0]
        site.paint(place(cabin, centre, size, turn), tone * rng.choice([0.6, 1.3]))
    return 1


def plant_trees(site: Site, scale: float) -> None:
    """Crowns with shadows: no entities, and none over one."""
    rng = site.rng
    if rng.random() < 0.5:
        return
    ground = site.image.copy()
    for x, y in rng.uniform(0, 1, (int(rng.integers(3, 40)), 2)) * site.extent:
        radius = max(1, int(scale * rng.uniform(1.5, 5)))
        shadow = (int(x + site.sun[0] * radius), int(y + site.sun[1] * radius))
        green = np.array([52, 70, 40]) * rng.uniform(0.6, 1.3)
        cv2.circle(ground, shadow, radius, (34.0, 40.0, 34.0), -1)
        cv2.circle(ground, (int(x), int(y)), radius, tuple(map(float, green)), -1)
        cv2.circle(
            ground,
            (int(x - site.sun[0]), int(y - site.sun[1])),
            max(1, radius // 2),
            tuple(map(float, green * 1.25)),
            -1,
        )
    site.image = np.where((site.ids > 0)[..., None], site.image, ground)


MAKERS: tuple[Callable[[Site, np.ndarray, int, float], int], ...] = (
    draw_building, draw_building, draw_vehicle, draw_tank, draw_court, draw_plane,
)  # fmt: skip
PITCHES = {draw_vehicle: (7, 11), draw_building: (20, 45)}
