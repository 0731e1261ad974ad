"""One map from the maps of overlapping tiles; entities that tile borders cut come back as one.

Each tile gives its core to the scene, cut into numbered fragments, and links to fragments of tiles before it that show
the same entity. Only tiles that a later one can touch are kept, so a scene of any size is stitched in the memory of a
row.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from domains.entities import BACKGROUND, UNLABELLED, EntityMap
from domains.entities.linking import components, linked
from domains.entities.resize import Picks, pick, pixels_over
from domains.tiling.grid import Grid, Window
from domains.tiling.level_pieces import runs

Result = TypeVar("Result")

MATCH = 0.5
FRAGMENT = np.dtype(
    [("area", "<i8"), ("sum_y", "<f8"), ("sum_x", "<f8"), ("y0", "<i4"), ("x0", "<i4"), ("y1", "<i4"), ("x1", "<i4"),
     ("score", "<f4"), ("label", "<i4")]
)  # fmt: skip
"""What one tile shows of an entity in its core: pixels, sums of their indices, box with ends exclusive; score is nan
and label -1 where the map has none. A fragment outside of the core has area 0."""


class Placed(NamedTuple):
    """A tile's share of the scene.

    core: where it lies, in pixels of the result; ids: (h, w) int64 numbers of fragments, through all tiles, from 1.
    pixel_scores: (h, w) float16, None where the map has none.
    fragments: (P,) FRAGMENT; links: (M, 2) int64 numbers of fragments that are one entity.
    """

    core: Window
    ids: np.ndarray
    fragments: np.ndarray
    links: np.ndarray
    pixel_scores: np.ndarray | None


class Entities(NamedTuple):
    """A table of the entities of a scene: (N,) arrays, entity i at index i - 1. Boxes have their ends exclusive.

    label_scores: in [0, 1], how likely a class is; None where nobody said. persistent_ids: int64, of a registry that
    knows the same entities elsewhere; None without one.
    """

    area_px: np.ndarray
    centroid_y: np.ndarray
    centroid_x: np.ndarray
    y0: np.ndarray
    x0: np.ndarray
    y1: np.ndarray
    x1: np.ndarray
    scores: np.ndarray | None
    labels: np.ndarray | None
    label_scores: np.ndarray | None = None
    persistent_ids: np.ndarray | None = None

    def only(self, kept: np.ndarray) -> Entities:
        """The rows of some entities, (N,) bool."""
        columns = {name: column[kept] for name, column in self._asdict().items() if column is not None}
        return self._replace(**columns)


@dataclass
class _Seen:
    """The lower part of a tile that a later one may share."""

    window: Window
    ids: np.ndarray
    offset: int
    token: object = None


class Repeats:
    """What stitchers of several levels of a forest have found of a tile, where its cuts at these are the same map."""

    def __init__(self) -> None:
        self._tokens: dict[int, object] = {}
        self._results: dict[tuple[object, ...], Any] = {}

    def begin(self) -> None:
        """Another tile comes."""
        self._tokens.clear()
        self._results.clear()

    def token(self, ids: np.ndarray) -> object:
        """The name of an array that lives until `begin`."""
        return self._tokens.setdefault(id(ids), object())

    def once(self, *key: object, find: Callable[[], Result]) -> Result:
        """What `find` gives of that key, of tokens and what is asked of them; None as a token is no name."""
        if None in key:
            return find()
        if key not in self._results:
            self._results[key] = find()
        return self._results[key]


class Stitcher:
    """Takes the maps of a grid's tiles in their order; gives what each adds to the scene.

    shape: (height, width) of the result, where it differs from the grid's: each of its pixels is what the grid's pixel
    under its centre is, as `resize_ids` has it (tiles without overlap choose among their own). has_data: where a window
    of the result has data; elsewhere is no entity.
    """

    def __init__(
        self,
        grid: Grid,
        shape: tuple[int, int] | None = None,
        threshold: float = MATCH,
        has_data: Callable[[Window], np.ndarray] | None = None,
    ) -> None:
        self.grid, self.shape, self.threshold, self.has_data = grid, shape or grid.shape, threshold, has_data
        self.fragments = 0
        self.repeats: Repeats | None = None
        """Shared by the levels of a forest."""
        self._seen: dict[tuple[int, int], _Seen] = {}  # by row and column of the grid
        self._y = 0

    def add(self, index: int, entities: EntityMap) -> Placed:
        """Two entities of two tiles are one when their pieces in the shared area match (`linked`)."""
        window = self.grid.window(index)
        if entities.shape != (window.height, window.width):
            raise ValueError(f"the map of {window} has shape {entities.shape}")
        repeats = self.repeats or Repeats()
        token = repeats.token(entities.ids)
        links: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
        for neighbour in self._neighbours(window):
            pairs = repeats.once(
                "links", token, neighbour.token, find=partial(self._linked, window, entities.ids, neighbour)
            )
            links.append(pairs + [self.fragments, neighbour.offset])
        core, ids = repeats.once("core", token, find=partial(self._at, index, self.grid.core(index), entities.ids))
        sure = None
        if entities.pixel_scores is not None:
            sure = self._at(index, self.grid.core(index), entities.pixel_scores)[1]
        if self.has_data is not None and (sure is not None or (ids > 0).any()):
            tile, tile_ids = self._at(index, window, entities.ids)
            data = self.has_data(tile)
            holes = _holes(tile_ids, data)
            data = data[core.within(tile).slices]
            ids = np.where((ids > 0) & (~data | holes[ids.clip(0)]), BACKGROUND, ids)
            sure = None if sure is None else np.where(data, sure, np.float16(0))
        fragments = repeats.once("fragments", token, find=partial(_measured, ids, core, entities))
        numbers = np.where(ids > 0, ids.astype(np.int64) + self.fragments, ids)
        placed = Placed(core, numbers, fragments, np.concatenate(links), sure)
        self.remember(index, entities.ids, token)
        return placed

    def _linked(self, window: Window, ids: np.ndarray, neighbour: _Seen) -> np.ndarray:
        """(M, 2) ids of a tile and of its neighbour that are one entity."""
        return linked(*_shared((window, ids), (neighbour.window, neighbour.ids)), self.threshold)

    def remember(self, index: int, ids: np.ndarray, token: object = None) -> None:
        """Count a tile as seen, without a result: of tiles that were placed in an earlier run."""
        self._forget(self.grid.window(index).y)
        if ids.any():
            place = divmod(index, len(self.grid.axes[1].starts))
            self._seen[place] = _Seen(self.grid.window(index), ids, self.fragments, token)
        self.fragments += int(ids.max(initial=0))

    def _neighbours(self, window: Window) -> list[_Seen]:
        """Tiles before this one that share pixels with it."""
        self._forget(window.y)
        starts = self.grid.axes[1].starts
        columns = range(bisect_right(starts, window.x - window.width), bisect_left(starts, window.x + window.width))
        rows = sorted({row for row, _ in self._seen})
        candidates = [self._seen.get((row, column)) for row in rows for column in columns]
        return [seen for seen in candidates if seen is not None]

    def _forget(self, y: int) -> None:
        """Rows above y, where a new row of tiles begins: no later one touches them."""
        if y == self._y:
            return
        self._y = y
        kept = {place: seen for place, seen in self._seen.items() if seen.window.y + seen.window.height > y}
        self._seen = {place: _lower(seen, y) for place, seen in kept.items()}

    def needs(self, index: int, start: int) -> bool:
        """Must tile `index` be remembered for the tiles from `start` on?"""
        if start >= len(self.grid):
            return False
        seen, coming = self.grid.window(index), self.grid.window(start)
        return seen.y + seen.height > coming.y

    def in_core(self, index: int, values: np.ndarray) -> np.ndarray:
        """(h, w) what a tile's values are in its core of the result."""
        return self._at(index, self.grid.core(index), values)[1]

    def _at(self, index: int, area: Window, values: np.ndarray) -> tuple[Window, np.ndarray]:
        """Where an area of a tile lies in the result, and the tile's values there."""
        window = self.grid.window(index)
        corner, picks = [], []
        lines = ((area.y, area.height, window.y), (area.x, area.width, window.x))
        for (start, length, tile), size, old, new in zip(lines, values.shape, self.grid.shape, self.shape, strict=True):
            pixels = pixels_over(old, new, start, start + length)
            turns, sources = Picks.of(old, new, *pixels)
            corner.append(pixels[0])
            inside = np.clip(sources - tile, 0, size - 1)  # without overlap, a choice may lie outside
            picks.append(Picks(turns, inside))
        return Window(*corner, *(len(axis.turns) for axis in picks)), pick(values, *picks)


def _lower(seen: _Seen, y: int) -> _Seen:
    """Without the rows above y."""
    cut = max(0, y - seen.window.y)
    window = Window(seen.window.y + cut, seen.window.x, seen.window.height - cut, seen.window.width)
    return _Seen(window, seen.ids[cut:].copy(), seen.offset, seen.token)


def _holes(ids: np.ndarray, data: np.ndarray) -> np.ndarray:
    """(N + 1,) bool: entities most of whose pixels have no data; such a one is a hole, and what has data its rim."""
    every = ids.clip(0).ravel()
    areas, seen = np.bincount(every), np.bincount(every, weights=data.ravel())
    return 2 * seen < areas


def _measured(ids: np.ndarray, core: Window, entities: EntityMap) -> np.ndarray:
    """(P,) FRAGMENT of ids (h, w) in the core, every entity of the tile in turn."""
    fragments = np.zeros(entities.count, FRAGMENT)
    fragments["score"] = np.nan if entities.scores is None else entities.scores
    fragments["label"] = -1 if entities.labels is None else entities.labels
    starts, lengths = runs(ids[None])  # of rows: far fewer than pixels, and sums of whole numbers are exact
    number = ids.ravel()[starts]
    is_entity = number > 0
    number, lengths = number[is_entity], lengths[is_entity]
    y, x = np.divmod(starts[is_entity], ids.shape[1])
    y, x = y + core.y, x + core.x
    for name, weights in (
        ("area", lengths),
        ("sum_y", lengths * y),
        ("sum_x", lengths * x + lengths * (lengths - 1) // 2),
    ):
        fragments[name] = np.bincount(number, weights, entities.count + 1)[1:]
    for name, values in (("y0", y), ("x0", x)):
        least = np.full(entities.count + 1, np.iinfo(np.int32).max)
        np.minimum.at(least, number, values)
        fragments[name] = np.where(fragments["area"] > 0, least[1:], 0)
    for name, values in (("y1", y + 1), ("x1", x + lengths)):
        greatest = np.zeros(entities.count + 1, np.int64)
        np.maximum.at(greatest, number, values)
        fragments[name] = greatest[1:]
    return fragments


def joined(fragments: np.ndarray, links: np.ndarray) -> tuple[np.ndarray, Entities]:
    """(lookup, entities): the entity of every fragment, (P + 2,) int64: 0 at 0, gone fragments 0, -1 at -1.

    Linked fragments are one entity, and so on over any number of tiles; what owns no pixel is gone. Scores are means
    weighted by area, an entity's label is that of its largest fragment.
    """
    group = components(len(fragments), links - 1)  # (P,)
    visible = np.bincount(group, weights=fragments["area"]) > 0  # (G,)
    number = np.where(visible, np.cumsum(visible), 0)[group].astype(np.int64)  # (P,) 1..N, 0 for gone
    visible_fragments = fragments["area"] > 0
    entities = _table(fragments[visible_fragments], number[visible_fragments], int(visible.sum()))
    return np.concatenate([[BACKGROUND], number, [UNLABELLED]]), entities


def _table(fragments: np.ndarray, number: np.ndarray, count: int) -> Entities:
    area = fragments["area"]
    total = np.bincount(number, weights=area, minlength=count + 1)[1:]
    y, x = (
        np.bincount(number, weights=fragments[name], minlength=count + 1)[1:] / total for name in ("sum_y", "sum_x")
    )
    boxes = []
    for name in ("y0", "x0", "y1", "x1"):
        start, reduce = (np.iinfo(np.int32).max, np.minimum) if name.endswith("0") else (0, np.maximum)
        values = np.full(count, start, np.int32)
        reduce.at(values, number - 1, fragments[name])
        boxes.append(values)
    scores = labels = None
    if len(fragments) and not np.isnan(fragments["score"]).any():
        scores = (np.bincount(number, weights=area * fragments["score"], minlength=count + 1)[1:] / total).astype(
            np.float32
        )
    if len(fragments) and (fragments["label"] >= 0).all():
        order = np.argsort(area, kind="stable")  # the largest is written last
        labels = np.zeros(count, np.int32)
        labels[number[order] - 1] = fragments["label"][order]
    y0, x0, y1, x1 = boxes
    return Entities(total.astype(np.int64), y, x, y0=y0, x0=x0, y1=y1, x1=x1, scores=scores, labels=labels)


def _shared(tile: tuple[Window, np.ndarray], neighbour: tuple[Window, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What both maps say of the pixels that the tiles share."""
    shared = tile[0].shared(neighbour[0])
    a, b = (ids[shared.within(window).slices] for window, ids in (tile, neighbour))
    return a, b
