"""Land of any size from above, drawn in pieces: parcels and lakes of thousands of px, roads, houses, vehicles, trees.

Every pixel belongs to an entity, whose extent is exact: it is what was drawn. Parcels are the leaves of a tree of cuts
by bent lines, so that each is connected; some cuts are roads. Within a parcel furrows, mottles and stones are strong,
and no entity: what a tile shows of them looks like small ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from domains.procedural.paint import palette
from domains.procedural.shapes import any_outline, place, radial_outlines, rectangle
from domains.procedural.textures import TILE_PX, relief, texture_bank

SHIFT = 4  # fractional bits of OpenCV's drawing coordinates
MARGIN_PX = 4  # drawn around a piece, so that its blur does not know where it was cut
CELL_PX = 256  # by which small things are looked up
SMALLEST_PARCEL_PX = 250
PER_MEGAPIXEL = 30  # small things
LITTER_PX, LITTERS, LITTER_SEED = 1024, 4, 20261129
BEND_PX = 60.0
"""How far a cut is bent at most, about; smaller on small land."""


class Cut(NamedTuple):
    """A line that parts a piece of land in two. normal (2,) unit x, y; at: px along it; road_px: 0 for no road.

    low, high: what lies on either side, a `Cut` or the number of a parcel. road: its number, 0 for none.
    """

    normal: np.ndarray
    at: float
    road_px: float
    road: int
    low: Cut | int
    high: Cut | int


class Landmark(NamedTuple):
    """A house, a vehicle, a tree, a pond or a lake: outline (P, 2) of x, y, and its number."""

    outline: np.ndarray
    number: int


@dataclass
class Looks:
    """What entities look like, by number: (N + 1,) each, colours (N + 1, 3)."""

    colour: np.ndarray
    texture: np.ndarray
    strength: np.ndarray
    stretch: np.ndarray
    turn: np.ndarray
    spread: np.ndarray
    """Standard deviation of the tones of litter, in grey levels; 0 for none."""
    grain: np.ndarray
    """Stretch of the litter; leaves are 16 to 80 px long at 1."""


@dataclass
class Land:
    """A square of land of `side` px, the same for the same seed."""

    seed: int
    side: int
    landmarks: list[Landmark] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, self.side])
        rng, side = self.rng, self.side
        waves = rng.uniform(1.5, 6, 3) * 2 * np.pi / side
        bearing = rng.uniform(0, 2 * np.pi, 3)
        self.waves = np.stack([np.cos(bearing), np.sin(bearing)], 1) * waves[:, None]
        self.phases = rng.uniform(0, 2 * np.pi, (2, 3))
        bearing, length = rng.uniform(0, 2 * np.pi, 5), rng.uniform(400, 2500, 5)
        self.winds = np.stack([np.cos(bearing), np.sin(bearing)], 1) * (2 * np.pi / length)[:, None]
        self.gusts, self.dark = rng.uniform(0, 2 * np.pi, 5), rng.uniform(0, 0.4) * (rng.random() < 0.7)
        self.bend = min(BEND_PX, side / 60)
        self.count = 0
        self.sizes: dict[int, tuple[np.ndarray, float]] = {}
        self.largest = side * rng.uniform(0.35, 0.6)
        self.tree = self._cut(np.array([[0.0, 0.0], [side, 0], [side, side], [0, side]]), rng.uniform(0, np.pi))
        self._fill_parcels()
        self.cells: dict[tuple[int, int], list[Landmark]] = {}
        self._scatter()
        self.looks = self._dress()

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.side, self.side

    def draw(self, y: int, x: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (h, w, 3) uint8 and ids (h, w) int32, from 1, of a piece of the land."""
        margin = MARGIN_PX
        ids = self.ids(y - margin, x - margin, height + 2 * margin, width + 2 * margin)
        image = cv2.GaussianBlur(self._painted(ids, y - margin, x - margin), (0, 0), self.blur)
        image, ids = (np.ascontiguousarray(pixels[margin:-margin, margin:-margin]) for pixels in (image, ids))
        noise = np.random.default_rng([self.seed, y, x]).standard_normal(image.shape, dtype=np.float32)
        return np.clip(image + self.noise * noise, 0, 255).astype(np.uint8), ids

    def ids(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """(h, w) int32 numbers of entities of a window, which may reach beyond the land."""
        rows = np.arange(y, y + height, dtype=np.float32)[:, None]
        columns = np.arange(x, x + width, dtype=np.float32)[None]
        across, down = self._bent(columns, rows)
        ids = np.empty(height * width, np.int32)
        self._numbered(self.tree, across.ravel(), down.ravel(), np.arange(height * width), ids)
        ids = ids.reshape(height, width)
        keys = [(j, i) for j in range((y - 200) // CELL_PX, (y + height + 200) // CELL_PX + 1)
                for i in range((x - 200) // CELL_PX, (x + width + 200) // CELL_PX + 1)]  # fmt: skip
        for landmark in [*self.landmarks, *(small for key in keys for small in self.cells.get(key, ()))]:
            (west, top), (east, bottom) = landmark.outline.min(0), landmark.outline.max(0)
            if east >= x and west < x + width and bottom >= y and top < y + height:
                points = np.round((landmark.outline - [x, y]) * (1 << SHIFT)).astype(np.int32)
                cv2.fillPoly(ids, [points], landmark.number, cv2.LINE_8, SHIFT)
        return ids

    def _bent(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places in px, moved by some waves along which cuts are bent."""
        moved = [np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32) for _ in range(2)]
        for wave, phases in zip(self.waves.astype(np.float32), self.phases.T.astype(np.float32), strict=True):
            angle = wave[0] * x + wave[1] * y
            for axis in range(2):
                moved[axis] += np.float32(self.bend / 2) * np.sin(angle + phases[axis])
        return x + moved[0], y + moved[1]

    def _numbered(self, node: Cut | int, x: np.ndarray, y: np.ndarray, at: np.ndarray, ids: np.ndarray) -> None:
        """Write the numbers of parcels and roads at places x, y (P,) to `ids` at `at` (P,)."""
        if isinstance(node, int):
            ids[at] = node
            return
        away = np.float32(node.normal[0]) * x + np.float32(node.normal[1]) * y - np.float32(node.at)
        half = node.road_px / 2
        road = np.abs(away) < half if half else None
        if road is not None and road.any():
            ids[at[road]] = node.road
        for side, child in ((away <= -half, node.low), (away >= half, node.high) if half else (away > 0, node.high)):
            if side.all():
                self._numbered(child, x, y, at, ids)
            elif side.any():
                self._numbered(child, x[side], y[side], at[side], ids)

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _cut(self, corners: np.ndarray, bearing: float) -> Cut | int:
        """The tree of a convex piece (P, 2) of x, y. Pieces up to `largest` may stay whole, small ones always do."""
        rng = self.rng
        extent = float(np.sqrt(polygon_area(corners)))
        chance = 0.0 if extent > self.largest else 0.18 if extent > 2.5 * SMALLEST_PARCEL_PX else 0.4
        if extent < 1.5 * SMALLEST_PARCEL_PX or rng.random() < chance:
            number = self._next()
            self.sizes[number] = corners.mean(0), extent
            return number
        turn = bearing + rng.normal(0, 0.12)
        spread = corners @ np.array([np.cos(turn), np.sin(turn)])
        crosswise = corners @ np.array([-np.sin(turn), np.cos(turn)])
        if np.ptp(crosswise) > np.ptp(spread):  # across its longer side
            turn, spread = turn + np.pi / 2, crosswise
        normal = np.array([np.cos(turn), np.sin(turn)])
        at = float(spread.min() + np.ptp(spread) * rng.uniform(0.3, 0.7))
        road_px = float(rng.uniform(14, 44)) if rng.random() < min(0.7, 0.25 * extent / 1000 + 0.1) else 0.0
        road = self._next() if road_px else 0
        low, high = (clipped(corners, sign * normal, sign * at) for sign in (1, -1))
        return Cut(normal, at, road_px, road, self._cut(low, bearing), self._cut(high, bearing))

    def _fill_parcels(self) -> None:
        """Lakes in the middle of some parcels."""
        rng = self.rng
        for centre, extent in list(self.sizes.values()):
            if rng.random() < 0.22:
                radius = extent * rng.uniform(0.1, 0.27)
                aspect, turn = rng.uniform(1, 1.7, 1), rng.uniform(0, 6.3, 1)
                outline = radial_outlines(rng, centre[None], np.array([radius]), aspect, turn, 0.25, 120)[0]
                self.landmarks.append(Landmark(outline, self._next()))

    def _scatter(self) -> None:
        """Houses, vehicles, trees and ponds, none of which touches another or the border of what it lies on."""
        rng, side = self.rng, self.side
        street = rng.uniform(0, np.pi)
        remaining = int(PER_MEGAPIXEL * side * side / 1e6)
        towns = rng.uniform(0, side, (max(2, remaining // 40), 2))
        for _ in range(3 * remaining):
            if rng.random() < 0.4:
                spot = rng.uniform(0, side, 2)
            else:
                spot = towns[rng.integers(len(towns))] + rng.normal(0, 180, 2)
            outline = small_outline(rng, spot, street)
            reach = float(np.abs(outline - spot).max()) + 8
            if not (reach < spot[0] < side - reach and reach < spot[1] < side - reach):
                continue
            key = int(spot[1]) // CELL_PX, int(spot[0]) // CELL_PX
            y, x, span = int(spot[1] - reach), int(spot[0] - reach), int(2 * reach) + 1
            under = self.ids(y, x, span, span)
            if (under == under[0, 0]).all() and under[0, 0] <= self.count:
                self.cells.setdefault(key, []).append(Landmark(outline, self._next()))
                remaining -= 1
                if not remaining:
                    break

    def _dress(self) -> Looks:
        """Colours and textures; small things are told from their ground by colour."""
        rng, count = self.rng, self.count + 1
        colour = palette(rng, count, "earth" if rng.random() < 0.6 else None) * 0.85 + 15
        small = np.zeros(count, bool)
        small[[landmark.number for landmarks in self.cells.values() for landmark in landmarks]] = True
        strength = rng.beta(1.3, 1.6, count) * 55
        strength[small] *= 0.35
        for landmark in (landmark for landmarks in self.cells.values() for landmark in landmarks):
            self._set_off(landmark, colour)
        self.blur, self.noise = float(rng.uniform(0.5, 1.1)), np.float32(rng.uniform(1, 6))
        stretch = np.exp(rng.uniform(-0.7, 1.6, count))  # features of a few px to a quarter of a tile
        spread = np.where(small | (rng.random(count) < 0.4), 0, rng.uniform(6, 24, count))
        grain = np.exp(rng.uniform(-0.7, 0.7, count))
        texture = rng.integers(0, len(texture_bank()), count)
        turn = rng.uniform(0, 2 * np.pi, count)
        return Looks(np.clip(colour, 4, 250).astype(np.float32), texture, strength, stretch, turn, spread, grain)

    def _set_off(self, landmark: Landmark, colour: np.ndarray) -> None:
        """Change a small thing's colour, in place, where it is too near to that of its ground."""
        (x, _), y, number = landmark.outline.mean(0), float(landmark.outline[:, 1].min()) - 6, landmark.number
        ground = colour[int(self.ids(int(y), int(x), 1, 1)[0, 0])]
        if np.abs(colour[number] - ground).max() < 50:
            sign = 1 if ground.mean() < 128 else -1
            colour[number] = ground + sign * self.rng.uniform(50, 100) + self.rng.normal(0, 12, 3)

    def _painted(self, ids: np.ndarray, y: int, x: int) -> np.ndarray:
        """(h, w, 3) float32 of a window whose corner lies at y, x."""
        image = self.looks.colour[ids]
        light = np.zeros(ids.shape, np.float32)
        for number in np.unique(ids):
            inside = np.flatnonzero(ids == number)
            row, column = np.divmod(inside, ids.shape[1])
            light.ravel()[inside] = self._relief(int(number), row + y, column + x)
        image = image + light[..., None]
        rows, columns = np.arange(y, y + ids.shape[0])[:, None], np.arange(x, x + ids.shape[1])[None]
        return image * self._under_clouds(rows, columns)[..., None]

    def _relief(self, number: int, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """(P,) grey levels that an entity's texture and litter add at these places."""
        looks = self.looks
        cosine, sine = (turned(looks.turn[number]) / looks.stretch[number] for turned in (np.cos, np.sin))
        across = (cosine * column - sine * row).astype(np.int64) % TILE_PX
        down = (sine * column + cosine * row).astype(np.int64) % TILE_PX
        shade = 0.35 * np.sin(row * np.float32(0.004 * cosine) + column * np.float32(0.003) + number)
        light = looks.strength[number] * (relief(texture_bank()[looks.texture[number]][down, across]) + shade)
        if looks.spread[number]:
            down, across = ((place / looks.grain[number]).astype(np.int64) % LITTER_PX for place in (row, column))
            light = light + looks.spread[number] * litter(number % LITTERS)[down, across]
        return light

    def _under_clouds(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(h, w) float32 shares of light at these places: clouds throw shadows that end within some px."""
        cover = sum(
            np.sin(wave[0] * columns + wave[1] * rows + phase)
            for wave, phase in zip(self.winds.astype(np.float32), self.gusts.astype(np.float32), strict=True)
        )
        return 1 - self.dark * np.clip((np.asarray(cover, np.float32) - 1.4) * 6, 0, 1)


@cache
def litter(number: int) -> np.ndarray:
    """(LITTER_PX, LITTER_PX) float32 of variance 1: leaves that cover one another, each of one tone; it wraps."""
    rng = np.random.default_rng([LITTER_SEED, number])
    tones = np.zeros((LITTER_PX, LITTER_PX), np.float32)
    for _ in range(1500):
        spot, size, turn = rng.uniform(0, LITTER_PX, 2), rng.uniform(8, 40), rng.uniform(0, 6.3)
        outline, tone = place(any_outline(rng), spot, size, turn), float(rng.normal())
        for step in np.ndindex(2, 2):
            moved = outline - LITTER_PX * np.where(spot > LITTER_PX / 2, step, np.negative(step))
            cv2.fillPoly(tones, [np.round(moved * (1 << SHIFT)).astype(np.int32)], tone, cv2.LINE_8, SHIFT)
    return (tones - tones.mean()) / tones.std()


def small_outline(rng: np.random.Generator, spot: np.ndarray, street: float) -> np.ndarray:
    """(P, 2) of x, y about `spot` (2,): a house, a vehicle, a crown or a pond, 20 to 150 px long."""
    turn = street + np.pi / 2 * rng.integers(2) + rng.normal(0, 0.05)
    kind = rng.choice(4, p=[0.35, 0.3, 0.2, 0.15])
    if kind == 0:
        return place(rectangle(rng.uniform(20, 60), rng.uniform(14, 36)), spot, 1, turn)
    if kind == 1:
        return place(rectangle(rng.uniform(10, 20), rng.uniform(6, 9)), spot, 1, turn)
    radius = rng.uniform(10, 28) if kind == 2 else rng.uniform(24, 70)
    unit = np.ones(1)
    outline = any_outline(rng) if kind == 3 else radial_outlines(rng, np.zeros((1, 2)), unit, unit, unit)[0]
    return place(outline, spot, radius, turn)


def polygon_area(corners: np.ndarray) -> float:
    """The area of a polygon (P, 2)."""
    x, y = corners.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def clipped(corners: np.ndarray, normal: np.ndarray, at: float) -> np.ndarray:
    """The part of a convex polygon (P, 2) where normal . corner <= at."""
    away = corners @ normal - at
    kept = []
    for i in range(len(corners)):
        a, b = corners[i], corners[(i + 1) % len(corners)]
        if away[i] <= 0:
            kept.append(a)
        if (away[i] < 0) != (away[(i + 1) % len(corners)] < 0) and away[i] != away[(i + 1) % len(corners)]:
            kept.append(a + (b - a) * away[i] / (away[i] - away[(i + 1) % len(corners)]))
    return np.array(kept)
