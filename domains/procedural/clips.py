"""Generated clips with exact tracks: what moves, turns, bends, crosses, hides and returns, comes, goes and divides.

A clip is a plan of actors on paths, drawn frame by frame over a textured ground that a camera drifts across, so that a
clip of any length takes the memory of one frame. Each actor has an id, which is its track's: hidden for any number of
frames it comes back under it. A clip depends on its seed alone, and any frame of it on the clip and its number alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from domains.errors import InputError, suggest
from domains.procedural.camera import Camera
from domains.procedural.mosaic import partition
from domains.procedural.paint import paint_regions, palette
from domains.procedural.shapes import any_outline, place, radial_outlines, rectangle
from domains.procedural.textures import TILE_PX, raw_crop, relief
from domains.procedural.truth import MIN_AREA_PX

MARGIN = 0.35
"""Room around the picture for the camera's drift, as a share of the shorter side."""
MASK_BITS = 4
"""Fractional bits of drawing coordinates."""


@dataclass(frozen=True)
class Actor:
    """One entity and its way through the clip.

    id: of its track. outline: (P, 2) of x, y around 0, in pixels; path: (F, 2) x, y of its middle on the ground; turns,
    sizes: (F,) radians and factors; sway: (F,) how far it is bent, as a share of its size; colour: (3,); texture: (256,
    256) float32 in grey levels, which moves along; begin, end: frames in which it is there, the end included; depth:
    the larger lies on top.
    """

    id: int
    outline: np.ndarray
    path: np.ndarray
    turns: np.ndarray
    sizes: np.ndarray
    sway: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    begin: int
    end: int
    depth: float

    def outline_at(self, frame: int, drift: np.ndarray) -> np.ndarray:
        """(P, 2) of x, y in the picture."""
        radius = np.hypot(*self.outline.T).max()
        bent = self.outline + np.stack(
            [self.sway[frame] * radius * np.cos(np.pi * self.outline[:, 1] / radius), np.zeros(len(self.outline))], 1
        )
        return place(bent, self.path[frame] - drift, float(self.sizes[frame]), float(self.turns[frame]))


@dataclass(frozen=True)
class Clip:
    """A generated clip of F frames, (H, W) pixels each, that is drawn when it is asked for.

    ground: (H + 2 m, W + 2 m, 3) float32; drifts: (F, 2) x, y of the camera; light: (F,) factors; parents: the track
    that each daughter divided from.
    """

    shape: tuple[int, int]
    ground: np.ndarray
    actors: tuple[Actor, ...]
    drifts: np.ndarray
    light: np.ndarray
    noise: float
    seed: tuple[int, ...]
    parents: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.drifts)

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 and map (H, W) int32 of track ids, 0 on the ground."""
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of a clip of {len(self)}")
        height, width = self.shape
        drift = self.drifts[index]
        margin = (np.array(self.ground.shape[1::-1]) - [width, height]) / 2
        shift = np.array([[1, 0, margin[0] + drift[0]], [0, 1, margin[1] + drift[1]]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(self.ground, shift, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        ids = np.zeros(self.shape, np.int32)
        for actor in sorted(self.actors, key=lambda actor: actor.depth):
            if actor.begin <= index <= actor.end:
                draw_actor(image, ids, actor, index, drift)
        rng = np.random.default_rng((*self.seed, 1, index))
        image = image * self.light[index] + rng.normal(0, self.noise, (*self.shape, 1)).astype(np.float32)
        image = cv2.GaussianBlur(np.clip(image, 0, 255), (0, 0), 0.5)
        areas = np.bincount(ids.ravel())
        small = (areas < MIN_AREA_PX)[ids]
        return image.astype(np.uint8), np.where(small, 0, ids)

    def images(self) -> Iterator[np.ndarray]:
        """The pictures, one at a time."""
        return (self.frame(index)[0] for index in range(len(self)))

    def maps(self) -> Iterator[np.ndarray]:
        """The maps of track ids, one at a time."""
        return (self.frame(index)[1] for index in range(len(self)))


def draw_actor(image: np.ndarray, ids: np.ndarray, actor: Actor, frame: int, drift: np.ndarray) -> None:
    """Draws an actor into a picture and its map, in place; its texture lies on it as on a sheet."""
    outline = actor.outline_at(frame, drift)
    top_left = np.floor(outline.min(0)).astype(int) - 1
    bottom_right = np.ceil(outline.max(0)).astype(int) + 2
    x0, top = np.maximum(top_left, 0)
    right, bottom = np.minimum(bottom_right, ids.shape[::-1])
    if x0 >= right or top >= bottom:
        return
    layer = np.zeros((bottom - top, right - x0), np.uint8)
    points = np.round((outline - [x0, top]) * (1 << MASK_BITS)).astype(np.int32)
    cv2.fillPoly(layer, [points], 1, cv2.LINE_8, MASK_BITS)
    y, x = np.nonzero(layer)
    cosine, sine = np.cos(actor.turns[frame]), np.sin(actor.turns[frame])
    local = np.stack([x + x0, y + top], 1) - (actor.path[frame] - drift)
    sheet = (local @ np.array([[cosine, -sine], [sine, cosine]])) / actor.sizes[frame]
    u, v = (np.round(sheet).astype(int) % TILE_PX).T
    image[y + top, x + x0] = actor.colour + actor.texture[v, u, None]
    ids[y + top, x + x0] = actor.id


@dataclass
class Plan:
    """A clip while it is put together: whatever a scenario adds to it."""

    rng: np.random.Generator
    frames: int
    height: int
    width: int
    alike: bool
    actors: list[Actor] = field(default_factory=list)
    parents: dict[int, int] = field(default_factory=dict)
    common: tuple[np.ndarray, np.ndarray] | None = None
    """Colour and texture of a clip of look-alikes."""

    @property
    def side(self) -> int:
        """The shorter side, in pixels."""
        return min(self.height, self.width)

    def somewhere(self, inset: float = 0.15) -> np.ndarray:
        """(2,) x, y inside of the picture."""
        return self.rng.uniform(inset, 1 - inset, 2) * [self.width, self.height]

    def add(
        self,
        path: np.ndarray,
        radius: float,
        *,
        begin: int = 0,
        end: int | None = None,
        depth: float | None = None,
        outline: np.ndarray | None = None,
        like: Actor | None = None,
    ) -> Actor:
        """A new actor on a path (F, 2), of a mean radius in pixels; of the colour and texture of another if like it."""
        rng, count = self.rng, len(self.actors)
        time = np.arange(self.frames)
        outline = (any_outline(rng) if outline is None else outline) * radius
        turning = rng.normal(0, 0.04) * time + rng.uniform(0, 2 * np.pi)
        swelling = 1 + rng.uniform(0, 0.12) * np.sin(rng.uniform(0.05, 0.3) * time + rng.uniform(0, 6.3))
        sway = rng.uniform(0, 0.15) * np.sin(rng.uniform(0.05, 0.3) * time + rng.uniform(0, 6.3))
        colour, texture = self.paint() if like is None else (like.colour, like.texture)
        final = self.frames - 1 if end is None else end
        depth = float(rng.random()) if depth is None else depth
        actor = Actor(
            count + 1, outline, path, turning, swelling, sway, colour=colour, texture=texture, begin=begin, end=final,
            depth=depth,
        )  # fmt: skip
        self.actors.append(actor)
        return actor

    def paint(self) -> tuple[np.ndarray, np.ndarray]:
        """(colour (3,), texture (256, 256)): of all actors nearly the same in a clip of look-alikes."""
        rng = self.rng
        if self.common is None or not self.alike:
            sheet = relief(raw_crop(None, rng, TILE_PX, TILE_PX, None, rng.uniform(0, 6.3)))
            self.common = palette(rng, 1)[0], sheet * np.float32(rng.uniform(4, 34))
        tone, sheet = self.common
        return tone + rng.normal(0, 5, 3).astype(np.float32), np.roll(sheet, rng.integers(0, 256, 2), (0, 1))


def straight(start: np.ndarray, end: np.ndarray, frames: int, wobble: np.ndarray | None = None) -> np.ndarray:
    """(F, 2) from start to end at a constant pace; wobble: (2,) amplitude in pixels of a slow sideways motion."""
    time = np.linspace(0, 1, frames)[:, None]
    path = start + (end - start) * time
    return path if wobble is None else path + wobble * np.sin(2 * np.pi * time * [1.0, 1.5])


def wandering(plan: Plan, count: int) -> None:
    """Actors that go their ways inside of the picture, and may cross by chance."""
    for _ in range(count):
        start = plan.somewhere()
        end = start + plan.rng.normal(0, 0.15 * plan.side, 2)
        path = straight(start, end, plan.frames, plan.rng.normal(0, 0.04 * plan.side, 2))
        plan.add(path, plan.side * plan.rng.uniform(0.05, 0.12))


def crossing(plan: Plan) -> None:
    """Pairs that pass before each other: one goes behind the other and comes out on its far side."""
    for _ in range(2):
        middle = plan.somewhere(0.3)
        moment = plan.rng.uniform(0.35, 0.65)
        heading = plan.rng.uniform(0, 2 * np.pi)
        for turn in (0.0, plan.rng.uniform(0.5, 1.0) * np.pi):
            way = np.array([np.cos(heading + turn), np.sin(heading + turn)]) * plan.side * plan.rng.uniform(0.5, 0.8)
            plan.add(straight(middle - way * moment, middle + way * (1 - moment), plan.frames),
                     plan.side * plan.rng.uniform(0.07, 0.12))  # fmt: skip
    wandering(plan, 3)


def occlusion(plan: Plan, hidden: int | None = None) -> None:
    """Actors that go wholly behind a screen, stay hidden for so many frames, 10 where None, and come out again."""
    hidden = 10 if hidden is None else hidden
    if plan.frames < hidden + 8:
        raise InputError(
            f"an occlusion of {hidden} frames wants a clip of at least {hidden + 8} frames; got {plan.frames}"
        )
    for row in plan.rng.permutation(3)[:2]:
        y, x = plan.height * (0.2 + 0.3 * row), plan.width * plan.rng.uniform(0.45, 0.55)
        pace = plan.side * plan.rng.uniform(0.7, 0.9) / plan.frames * plan.rng.choice([-1, 1])
        moment = (plan.frames - 1) / 2 + plan.rng.uniform(-2, 2)
        path = np.stack([x + pace * (np.arange(plan.frames) - moment), np.full(plan.frames, y)], 1)
        walker = plan.add(path, plan.side * plan.rng.uniform(0.04, 0.065), depth=0.5)
        outlines = [walker.outline_at(frame, np.array([x, y])) for frame in range(plan.frames)]
        reach = np.array([np.abs(outline).max(0) for outline in outlines])  # (F, 2) from the middle of the screen
        nearest = np.sort(reach[:, 0])
        half_x, half_y = nearest[hidden - 1 : hidden + 1].mean(), reach[:, 1].max() + 3
        screen = plan.add(np.tile([x, y], (plan.frames, 1)), 1.0, depth=2.0, outline=rectangle(half_x, half_y))
        still = np.zeros(plan.frames)
        plan.actors[-1] = replace(screen, turns=still, sizes=still + 1, sway=still)
    wandering(plan, 2)


def births(plan: Plan) -> None:
    """Actors that come in over the rim of the picture, one after the other."""
    passages(plan, inward=True)


def exits(plan: Plan) -> None:
    """Actors that leave over the rim of the picture, one after the other."""
    passages(plan, inward=False)


def passages(plan: Plan, inward: bool) -> None:
    """Four actors over the rim, and three that stay."""
    for i in range(4):
        radius = plan.side * plan.rng.uniform(0.05, 0.1)
        rim = plan.somewhere(0.25)
        axis, far = i % 2, plan.rng.random() < 0.5
        rim[axis] = (plan.width, plan.height)[axis] + 2 * radius if far else -2 * radius
        inside = plan.somewhere(0.25)
        moment = int(plan.frames * (0.15 + 0.18 * i))
        leg_frames = max(plan.frames // 2, 4)
        leg = straight(inside, rim, leg_frames)
        time = np.clip(np.arange(plan.frames) - moment, 0, leg_frames - 1)
        path = leg[::-1][time] if inward else leg[time]
        begin, end = (moment, None) if inward else (0, min(moment + leg_frames - 1, plan.frames - 1))
        plan.add(path, radius, begin=begin, end=end)
    wandering(plan, 3)


def division(plan: Plan) -> None:
    """Cells of which some divide into two daughters that move apart."""
    count = int(plan.rng.integers(5, 8))
    for i in range(count):
        radius = plan.side * plan.rng.uniform(0.055, 0.08)
        start = plan.somewhere(0.2)
        path = straight(start, start + plan.rng.normal(0, 0.08 * plan.side, 2), plan.frames)
        cell = cell_outline(plan.rng)
        if i % 2:
            plan.add(path, radius, outline=cell)
            continue
        moment = int(plan.frames * plan.rng.uniform(0.3, 0.7))
        mother = plan.add(path, radius, end=moment - 1, outline=cell)
        heading = plan.rng.uniform(0, 2 * np.pi)
        way = np.array([np.cos(heading), np.sin(heading)])
        for sign in (1, -1):
            apart = np.clip((np.arange(plan.frames) - moment) / 8, 0, 1)[:, None] * way * 0.8 * radius
            daughter = path + sign * (way * 0.55 * radius + apart)
            child = plan.add(daughter, 0.72 * radius, begin=moment, outline=cell_outline(plan.rng), like=mother)
            plan.parents[child.id] = mother.id


def cell_outline(rng: np.random.Generator) -> np.ndarray:
    """(28, 2) a unit outline of a cell, nearly round."""
    return radial_outlines(rng, np.zeros((1, 2)), np.ones(1), rng.uniform(1, 1.5, 1), rng.uniform(0, 3, 1))[0]


SCENARIOS: dict[str, Callable[[Plan], None]] = {
    "crossing": crossing,
    "occlusion": occlusion,
    "births": births,
    "exits": exits,
    "division": division,
}
"""What happens in a clip, by name."""
CAMERA = Camera()


def draw_clip(
    scenario: str, seed: int | Sequence[int], frames: int, height: int, width: int, hidden: int | None = None
) -> Clip:
    """A clip of so many frames in which that happens. hidden: frames of a full occlusion; for that scenario alone.

    Raises InputError for an unknown scenario, and for a clip too short for its occlusion.
    """
    if scenario not in SCENARIOS:
        raise InputError(
            f"a generated clip wants a scenario it knows; got {scenario!r}; {suggest(scenario, SCENARIOS)}"
        )
    if hidden is not None and scenario != "occlusion":
        raise InputError(f"hidden={hidden!r} is for clips of 'occlusion'; leave it out for {scenario!r}")
    numbers = tuple(int(number) for number in np.atleast_1d(seed))
    rng = np.random.default_rng((*numbers, 0, list(SCENARIOS).index(scenario)))
    plan = Plan(rng, frames, height, width, alike=rng.random() < 0.4)
    if scenario == "occlusion":
        occlusion(plan, hidden)
    else:
        SCENARIOS[scenario](plan)
    room = int(MARGIN * min(height, width))
    ground = partition(rng, height + 2 * room, width + 2 * room, finest=0.2)
    tones = palette(rng, int(ground.max()) + 1)
    tones = tones.mean(0) + (tones - tones.mean(0)) * np.float32(rng.uniform(0.1, 0.6))
    scenery = CAMERA.expose(rng, paint_regions(rng, ground, tones, rng.uniform(5, 30)))
    time = np.arange(frames)
    pan = np.clip(rng.normal(0, 0.3, 2) * (rng.random() < 0.6), -0.5, 0.5) * room / max(frames, 1)
    shake = rng.uniform(0, 0.8) * (rng.random() < 0.5)
    drifts = (time[:, None] - frames / 2) * pan + rng.normal(0, shake, (frames, 2))
    light = 1 + rng.uniform(0, 0.25) * np.sin(rng.uniform(0.02, 0.25) * time + rng.uniform(0, 6.3))
    return Clip(
        (height, width), scenery.astype(np.float32), tuple(plan.actors), drifts, light.astype(np.float32),
        noise=float(rng.uniform(0, 6)), seed=numbers, parents=plan.parents,
    )  # fmt: skip
