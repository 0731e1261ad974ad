"""Entities of two views of a scene: a tile as it is, and the whole scene made smaller.

The case of two views of CropFormer (Qi et al., High-Quality Entity Segmentation, ICCV 2023,
https://arxiv.org/abs/2211.05776), after the paper. There the masks of all views are averaged; here, where entities are
regions, the views are averaged on what parts two regions. A tile joins two fields through one weak spot of their
border, or falls into the stones of one; the whole sees neither, and no vehicle. Where both see the same regions nothing
changes; where they do not, a border stands if the mean of both boundaries along it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush

import cv2
import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from domains.entities import EntityMap

STANDS = 0.65
"""A border between two regions that the views do not agree on stands from this mean boundary score on."""
ALONE = 0.5
"""The share of its rim at which a small thing touches large regions, not others like it; else it is texture."""
CLEAR = 0.88
"""The mean boundary score along its rim from which on a small thing is one of its own, whatever it touches."""
ABUNDANT = 0.2
"""The share of a large region that is in small things at which they may be its texture."""
MOST_INSIDE = 0.5
"""The share of a small thing that lies in a large region of the whole, for that to have a say."""
SMALLEST_PX = 8
"""Side, on the whole, of the smallest region that it is believed in."""
LEVELS = 255
NEAR = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Overview:
    """Entities of a scene of `shape` (height, width) as its smaller copy shows them.

    ids: (h, w) int32, 0 for none; boundary: (h, w) float32 in [0, 1]. large_px: side of what counts as large, in pixels
    of the scene: the root of its area. Smaller ones are not believed.
    """

    ids: np.ndarray
    boundary: np.ndarray
    shape: tuple[int, int]
    large_px: float

    @cached_property
    def large(self) -> np.ndarray:
        """(h, w) int32: the ids of large entities, 0 elsewhere."""
        areas = np.bincount(np.maximum(self.ids, 0).ravel())
        smaller = max(length / copy for length, copy in zip(self.shape, self.ids.shape, strict=True))
        large = np.sqrt(areas) >= max(self.large_px / smaller, SMALLEST_PX)
        large[0] = False
        return np.where(large[np.maximum(self.ids, 0)], self.ids, 0).astype(np.int32)

    @cached_property
    def inner(self) -> np.ndarray:
        """(h, w) int32: `large` without the pixels at a border, which may lie a pixel off."""
        padded = np.pad(self.large, 1, mode="edge")
        alike = ndimage.maximum_filter(padded, 3) == ndimage.minimum_filter(padded, 3)
        return np.where(alike[1:-1, 1:-1], self.large, 0)

    @cached_property
    def boundary_near(self) -> np.ndarray:
        """(h, w) float32: the largest boundary score within a pixel."""
        return cv2.dilate(self.boundary, NEAR)

    def seen(self, field: np.ndarray, y: int, x: int, height: int, width: int) -> np.ndarray:
        """(height, width) of a field (h, w): what lies under the pixels of a window of the scene."""
        rows, columns = (
            ((np.arange(start, start + length) + 0.5) * copy / full).astype(int).clip(0, copy - 1)
            for start, length, copy, full in zip((y, x), (height, width), field.shape, self.shape, strict=True)
        )
        return field[rows[:, None], columns]


def of_both(tile: EntityMap, boundary: np.ndarray, overview: Overview, y: int, x: int) -> EntityMap:
    """The entities of a tile whose corner lies at y, x of the scene, by both views.

    tile: of the tile alone; boundary: (H, W) float32 in [0, 1], the tile's. Scores are means by area, those of pixels
    stay. The very same map comes back where the whole has nothing large, or sees what the tile sees.
    """
    window = (y, x, *tile.shape)
    inner = overview.seen(overview.inner, *window)
    if not tile.count or not inner.any():
        return tile
    pieces = cut_apart(tile.ids, inner, overview.seen(overview.large, *window), boundary, overview.large_px)
    if pieces.are_of_tile:
        return tile
    joint = (cv2.dilate(boundary, NEAR) + overview.seen(overview.boundary_near, *window)) / 2
    region = joined_regions(pieces, joint)
    ids = region[pieces.ids]
    if tile.scores is None:
        return EntityMap.from_ids(ids)
    inside = tile.ids > 0
    scores = np.concatenate([[0], tile.scores])[tile.ids[inside]]
    areas = np.bincount(ids[inside])
    means = np.bincount(ids[inside], scores) / np.maximum(areas, 1)
    dense = EntityMap.from_ids(ids, means[1:])
    return EntityMap(dense.ids, dense.scores, pixel_scores=tile.pixel_scores)


@dataclass(frozen=True)
class Pieces:
    """What is left of a tile's entities after the whole's borders have cut them.

    ids: (H, W) int32, 0 for none, else 1..N; tile, overview: (N + 1,) the entity of either view that a piece is of,
    where the whole has none 0; kept: (N + 1,) bool, small things, which stay as they are.
    """

    ids: np.ndarray
    tile: np.ndarray
    overview: np.ndarray
    kept: np.ndarray

    @property
    def are_of_tile(self) -> bool:
        """Whether each is an entity of the tile, and none is of an entity of the whole that another is of."""
        large = self.overview[1:][~self.kept[1:] & (self.overview[1:] > 0)]
        none_cut = len(np.unique(self.tile)) == len(self.tile)  # 0, that of texture, is the ground's
        return none_cut and len(np.unique(large)) == len(large)


def cut_apart(ids: np.ndarray, inner: np.ndarray, large: np.ndarray, boundary: np.ndarray, large_px: float) -> Pieces:
    """The tile's entities `ids` (H, W), the large ones cut where the whole has several: at its borders, roughly, and to
    the pixel by the tile's `boundary` (H, W). Of small ones inside a large one of the whole those that touch each other
    are texture, and go to it.

    inner, large: (H, W), the whole's, as `Overview` has them.
    """
    count, above = int(ids.max()), int(large.max()) + 1
    areas = np.bincount(ids.ravel(), minlength=count + 1)
    small = np.sqrt(areas) < large_px
    small[0] = False
    under = majority(ids, large, count)
    believed = np.bincount(ids.ravel(), (large > 0).ravel(), count + 1) >= MOST_INSIDE * np.maximum(areas, 1)
    in_small = np.bincount(large.ravel(), small[ids].ravel(), above) / np.maximum(np.bincount(large.ravel()), 1)
    texture = small & believed & (under > 0) & (in_small[under] >= ABUNDANT)
    beside_large, clear = rims(ids, small, boundary)
    texture &= (beside_large < ALONE) & (clear < CLEAR)
    kept = small & ~texture
    # a piece is a pair: of the tile's entity, for texture none, and of the whole's
    pair = np.where(texture, 0, np.arange(count + 1)) * above + np.where(kept, 0, under)
    several = contested(ids, inner, small, count)
    undecided = several & (inner == 0)
    decided = several & (inner > 0)
    cut = ids[decided].astype(np.int64) * above + inner[decided]
    pairs = np.unique(np.concatenate([[0], pair[1:][areas[1:] > 0], cut]))
    pieces = np.searchsorted(pairs, pair).astype(np.int32)[ids]
    pieces[decided] = np.searchsorted(pairs, cut)
    if undecided.any():
        pieces[undecided] = 0
        pieces = flooded(pieces, undecided, several, boundary)
    tile = pairs // above
    return Pieces(pieces, tile, pairs % above, kept[tile] & (tile > 0))


def majority(ids: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """(count + 1,) the value that most pixels of each entity have, 0 left out."""
    wide = int(values.max()) + 1
    inside = (ids > 0) & (values > 0)
    pairs, pixels = np.unique(ids[inside].astype(np.int64) * wide + values[inside], return_counts=True)
    order = np.argsort(pixels, kind="stable")
    largest = np.zeros(count + 1, np.int64)
    largest[pairs[order] // wide] = pairs[order] % wide
    return largest


def contested(ids: np.ndarray, inner: np.ndarray, small: np.ndarray, count: int) -> np.ndarray:
    """(H, W) bool: large entities of the tile that hold the inside of several of the whole's."""
    wide = int(inner.max()) + 1
    inside = (ids > 0) & (inner > 0)
    pairs = np.unique(ids[inside].astype(np.int64) * wide + inner[inside])
    several = (np.bincount(pairs // wide, minlength=count + 1) > 1) & ~small
    several[0] = False
    return several[ids]


def flooded(pieces: np.ndarray, undecided: np.ndarray, several: np.ndarray, boundary: np.ndarray) -> np.ndarray:
    """The pieces (H, W), what is undecided given to those that reach it first, over the low ground of the boundary."""
    mask = several & cv2.dilate(undecided.astype(np.uint8), NEAR).astype(bool)
    level = np.round(boundary * LEVELS).astype(np.int32)
    reached = watershed(level, np.where(mask, pieces, 0), mask=mask)
    pieces = pieces.copy()
    pieces[undecided] = reached[undecided]
    return pieces


def sides(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a, b, pixel), each (E,): the entities on both sides of every pixel's side between two, and its flat index."""
    place = np.arange(ids.size).reshape(ids.shape)
    columns = []
    for pixel_side, neighbour_side in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        apart = (ids[pixel_side] != ids[neighbour_side]) & (ids[pixel_side] > 0) & (ids[neighbour_side] > 0)
        columns.append((ids[pixel_side][apart], ids[neighbour_side][apart], place[pixel_side][apart]))
    a, b, pixel = (np.concatenate(values) for values in zip(*columns, strict=True))
    return a, b, pixel


def rims(ids: np.ndarray, small: np.ndarray, boundary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(share, clear), each (N + 1,): of the sides that each entity has with others, the share at which those are not
    small, 1 for none; and the mean of the boundary (H, W) along them. small: (N + 1,) bool.
    """
    count = len(small)
    a, b, pixel = sides(ids)
    score = boundary.ravel()[pixel]
    length = np.bincount(a, minlength=count) + np.bincount(b, minlength=count)
    small_sides = np.bincount(a, small[b], count) + np.bincount(b, small[a], count)
    clear = np.bincount(a, score, count) + np.bincount(b, score, count)
    at_least_one = np.maximum(length, 1)
    return np.where(length > 0, 1 - small_sides / at_least_one, 1), clear / at_least_one


def joined_regions(pieces: Pieces, boundary: np.ndarray) -> np.ndarray:
    """(N + 1,) the piece that each has become a part of: pieces that one view has as one are joined, the faintest
    border first, as long as the mean along it of `boundary` (H, W), of both views, is below `STANDS`.
    """
    a, b, pixel = sides(pieces.ids)
    loose = ~pieces.kept[a] & ~pieces.kept[b]
    a, b, pixel = a[loose], b[loose], pixel[loose]
    count = len(pieces.tile)
    keys, of_side = np.unique(np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b), return_inverse=True)
    sums, lengths = np.bincount(of_side, boundary.ravel()[pixel]), np.bincount(of_side)
    low, high = keys // count, keys % count
    at_odds = (pieces.tile[low] == pieces.tile[high]) != (pieces.overview[low] == pieces.overview[high])
    borders: list[dict[int, tuple[float, float, bool]]] = [{} for _ in range(count)]
    for i, j, *border in zip(*(values.tolist() for values in (low, high, sums, lengths, at_odds)), strict=True):
        borders[i][j] = borders[j][i] = (border[0], border[1], border[2])
    queue = [(total / length, i, j, length) for i in range(count) for j, (total, length, odd) in borders[i].items()
             if odd and i < j]  # fmt: skip
    heapify(queue)
    region = np.arange(count)
    while queue:
        mean, i, j, length = heappop(queue)
        if mean >= STANDS:
            break
        if borders[i].get(j, (0, -1, False))[1] != length:
            continue  # of before one of the two grew
        region[region == j] = i
        for k, (total, side, odd) in borders[j].items():
            del borders[k][j]
            if k == i:
                continue
            before = borders[i].get(k, (0.0, 0.0, False))
            border = before[0] + total, before[1] + side, before[2] or odd
            borders[i][k] = borders[k][i] = border
            if border[2]:
                heappush(queue, (border[0] / border[1], min(i, k), max(i, k), border[1]))
        borders[j] = {}
    return region
