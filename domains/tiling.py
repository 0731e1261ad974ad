"""Tiles of a scene, and one map from the maps of its tiles.

`predict_tiled` is the one way from a scene to its entities, in evaluation and in prediction, so a metric is measured
on what a user gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from domains.entities import BACKGROUND, UNLABELLED, EntityMap
from domains.errors import InputError

MATCH = 0.5


class Window(NamedTuple):
    """A rectangle of a scene, in pixels; unpacks into `EntityMap.crop(*window)` and `scene.read(*window)`."""

    y: int
    x: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def shared(self, other: Window) -> Window:
        """The intersection; height or width is 0 or less where there is none."""
        y, x = max(self.y, other.y), max(self.x, other.x)
        bottom = min(self.y + self.height, other.y + other.height)
        right = min(self.x + self.width, other.x + other.width)
        return Window(y, x, bottom - y, right - x)

    def within(self, outer: Window) -> Window:
        """The same rectangle, counted from the corner of `outer`."""
        return Window(self.y - outer.y, self.x - outer.x, self.height, self.width)


def predict_tiled(
    read: Callable[[Window], np.ndarray],
    shape: tuple[int, int],
    predict: Callable[[list[np.ndarray]], list[EntityMap]],
    tile_px: int,
    overlap_px: int,
    batch: int,
) -> EntityMap:
    """Entities of a scene of (height, width) pixels, `batch` tiles at a time.

    read: a window to its (h, w, 3) uint8 image. All tiles of a scene have one size: tile_px squared, or less where
    the scene is smaller, so that padding is the predictor's choice.
    predict: images to their entity maps, each of its image's height and width.
    """
    tiles = windows(*shape, tile_px, overlap_px)

    def maps() -> Iterator[tuple[Window, EntityMap]]:
        for start in range(0, len(tiles), batch):
            chunk = tiles[start : start + batch]
            yield from zip(chunk, predict([read(window) for window in chunk]), strict=True)

    return stitch(shape, maps())


def windows(height: int, width: int, tile_px: int, overlap_px: int) -> list[Window]:
    """Tiles that cover height x width, row by row; the last of a row or column is moved inward to end at the border.

    Neighbours share `overlap_px` or more. From 1 px on, truth that was cut and stitched comes back as it was; a
    prediction needs about the diameter of a typical entity.
    """
    if min(height, width, tile_px) < 1 or not 0 <= overlap_px < tile_px:
        raise InputError(
            f"tiling wants a scene and tiles of 1 px or more and an overlap from 0 to below the tile; got a scene of "
            f"{height} x {width}, tile_px {tile_px!r}, overlap_px {overlap_px!r}"
        )
    tall, wide = min(tile_px, height), min(tile_px, width)
    step = tile_px - overlap_px
    return [Window(y, x, tall, wide) for y in _starts(height, tall, step) for x in _starts(width, wide, step)]


def _starts(length: int, tile: int, step: int) -> list[int]:
    last = length - tile
    return [*range(0, last, step), last]


def stitch(shape: tuple[int, int], tiles: Iterable[tuple[Window, EntityMap]], threshold: float = MATCH) -> EntityMap:
    """One map of (height, width) from the maps of overlapping tiles; entities cut by borders come back as one.

    Two entities of two tiles are one when their pieces in the shared area match (`_matches`), and so on over any
    number of tiles. Each pixel belongs to the tile whose centre is nearest, which cuts off what the network makes up
    at tile borders. Scores are means weighted by area; an entity's label is that of its largest part. Pixels that no
    tile covers are unlabelled, with a pixel score of 0; pixel scores are kept where every tile has them. Parents, ids
    of one tile, are dropped.
    """
    canvas = np.full(shape, UNLABELLED, np.int32)  # entities of all tiles, numbered through
    distance = np.full(shape, np.inf, np.float32)
    pixels: np.ndarray | None = None
    seen: list[tuple[Window, EntityMap]] = []
    starts = [0]
    links: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
    for window, entities in tiles:
        if entities.shape != (window.height, window.width):
            raise ValueError(f"the map of {window} has shape {entities.shape}")
        for i in _neighbours(window, [other for other, _ in seen]):
            links.append(_matches((window, entities), seen[i], threshold) + [starts[-1], starts[i]])
        nearer = _own(canvas, distance, window, entities.ids, starts[-1])
        if entities.pixel_scores is not None:
            pixels = np.zeros(shape, np.float16) if pixels is None else pixels
            pixels[window.slices][nearer] = entities.pixel_scores[nearer]
        seen.append((window, entities))
        starts.append(starts[-1] + entities.count)
    maps = [entities for _, entities in seen]
    whole = all(entities.pixel_scores is not None for entities in maps)
    return replace(_join(canvas, np.concatenate(links), maps), pixel_scores=pixels if whole else None)


def _neighbours(window: Window, others: list[Window]) -> np.ndarray:
    """Indices of the windows that share pixels with this one."""
    y, x, height, width = np.array(others, np.int64).reshape(-1, 4).T
    return np.flatnonzero(
        (y < window.y + window.height)
        & (window.y < y + height)
        & (x < window.x + window.width)
        & (window.x < x + width)
    )


def _own(canvas: np.ndarray, distance: np.ndarray, window: Window, ids: np.ndarray, offset: int) -> np.ndarray:
    """Write a tile where its centre is nearer than those of the tiles before it; (h, w) bool says where that is."""
    y = np.arange(window.height, dtype=np.float32) - (window.height - 1) / 2
    x = np.arange(window.width, dtype=np.float32) - (window.width - 1) / 2
    here = y[:, None] ** 2 + x[None] ** 2  # (h, w)
    nearer = here < distance[window.slices]
    distance[window.slices][nearer] = here[nearer]
    canvas[window.slices][nearer] = np.where(ids > 0, ids + offset, ids)[nearer]
    return nearer


def _matches(one: tuple[Window, EntityMap], two: tuple[Window, EntityMap], threshold: float) -> np.ndarray:
    """(M, 2) ids of `one` and `two` that are the same entity.

    Compared are the connected pieces that each entity shows in the shared area. Two of them match when each is the
    one that covers most of the other and they share `threshold` of the smaller. Pieces, because both arms of a U are
    one entity in the tile below and two in the tile above; best of each, because two touching entities are never
    joined by a tile that saw them as one.
    """
    shared = one[0].shared(two[0])
    a, b = (entities.ids[shared.within(window).slices] for window, entities in (one, two))
    pieces_a, pieces_b = _pieces(a), _pieces(b)
    both = (pieces_a > 0) & (pieces_b > 0)
    if not both.any():
        return np.zeros((0, 2), np.int64)
    areas_a, areas_b = np.bincount(pieces_a.ravel()), np.bincount(pieces_b.ravel())
    pairs, overlap = np.unique(pieces_a[both] * len(areas_b) + pieces_b[both], return_counts=True)
    p, q = np.divmod(pairs, len(areas_b))
    best = _best(p, overlap) & _best(q, overlap) & (overlap >= threshold * np.minimum(areas_a[p], areas_b[q]))
    id_of_a, id_of_b = np.zeros(len(areas_a), np.int64), np.zeros(len(areas_b), np.int64)
    id_of_a[pieces_a], id_of_b[pieces_b] = a, b
    return np.stack([id_of_a[p[best]], id_of_b[q[best]]], axis=1)


def _pieces(ids: np.ndarray) -> np.ndarray:
    """(h, w) connected parts of entities, numbered from 1; pixels that touch by a corner are connected."""
    return np.asarray(label(np.maximum(ids, 0), background=0, connectivity=2))


def _best(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(P,) bool: has the pair the largest value of its group? One of equals is taken, so that ties join nothing."""
    order = np.lexsort((-value, group))
    first = np.r_[True, np.diff(group[order]) > 0]
    best = np.zeros(len(group), bool)
    best[order[first]] = True
    return best


def _join(canvas: np.ndarray, links: np.ndarray, maps: list[EntityMap]) -> EntityMap:
    """Linked parts under one number; what owns no pixel is gone.

    canvas: (H, W) int32 part numbers 1..P; links: (M, 2) of them; maps: whose entities the parts are, in order.
    """
    parts = sum(entities.count for entities in maps)
    if not parts:
        return EntityMap(canvas)
    graph = coo_array((np.ones(len(links), bool), (links[:, 0] - 1, links[:, 1] - 1)), shape=(parts, parts))
    _, group = connected_components(graph, directed=False)  # (P,)
    owned = np.bincount(canvas[canvas > 0], minlength=parts + 1)[1:]  # (P,)
    visible = np.bincount(group, weights=owned) > 0  # (G,)
    number = np.where(visible, np.cumsum(visible), 0)[group]  # (P,) 1..N, 0 for gone
    lookup = np.concatenate([[BACKGROUND], number, [UNLABELLED]]).astype(np.int32)  # canvas -1 takes the last
    filled = [entities for entities in maps if entities.count]
    scores = _gathered([entities.scores for entities in filled])
    labels = _gathered([entities.labels for entities in filled])
    return EntityMap(
        lookup[canvas],
        None if scores is None else _means(scores, number, owned),
        None if labels is None else _of_largest(labels, number, owned),
        filled[0].vocabulary,
    )


def _gathered(values: list[np.ndarray | None]) -> np.ndarray | None:
    """(P,) values of all parts, None when a map has none."""
    known = [value for value in values if value is not None]
    return np.concatenate(known) if len(known) == len(values) else None


def _means(values: np.ndarray, number: np.ndarray, owned: np.ndarray) -> np.ndarray:
    """(N,) float32: per entity, the mean of its parts' values weighted by area."""
    totals = np.bincount(number, weights=owned * values)[1:]
    return (totals / np.bincount(number, weights=owned)[1:]).astype(np.float32)


def _of_largest(values: np.ndarray, number: np.ndarray, owned: np.ndarray) -> np.ndarray:
    """(N,) per entity, the value of its largest part."""
    order = np.argsort(owned, kind="stable")  # the largest is written last
    result = np.zeros(number.max() + 1, values.dtype)
    result[number[order]] = values[order]
    return result[1:]
