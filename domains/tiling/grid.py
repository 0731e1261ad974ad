"""Tiles of a scene, read ahead of the network, predicted, and stitched.

`predict_tiles` is the one way from a scene to its entities, in evaluation and in prediction, of pictures and of slides,
so a metric is measured on what a user gets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import numpy as np

from domains.errors import InputError

OfTile = TypeVar("OfTile")
READERS = 2  # threads that decode; the decoders let go of the interpreter, so that processes gain nothing


class Window(NamedTuple):
    """A rectangle of a scene, in pixels; unpacks into `EntityMap.crop(*window)` and `scene.read(*window)`."""

    y: int
    x: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, columns) of the window as slices."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def shared(self, window: Window) -> Window:
        """The intersection; height or width is 0 or less where there is none."""
        y, x = max(self.y, window.y), max(self.x, window.x)
        bottom = min(self.y + self.height, window.y + window.height)
        right = min(self.x + self.width, window.x + window.width)
        return Window(y, x, bottom - y, right - x)

    def within(self, outer: Window) -> Window:
        """The same rectangle, counted from the corner of `outer`."""
        return Window(self.y - outer.y, self.x - outer.x, self.height, self.width)


@dataclass(frozen=True)
class Grid:
    """Tiles of one size that cover a scene of `shape` (height, width), row by row.

    The last of a row or column is moved inward to end at the border; a scene smaller than a tile is one tile of its
    size. Neighbours share `overlap_px` or more: from 1 px on, truth that was cut and stitched comes back as it was; a
    prediction needs about the diameter of a typical entity. origin_px: how far the second tile is moved back, for
    comparing tilings. evenly: tiles are as small as their number allows, so that the last, moved inward, is no nearer
    to its neighbour than the others are to theirs.

    Each pixel belongs to the tile whose centre is nearest, which cuts off what the network makes up at tile borders;
    these shares of the tiles, their cores, are rectangles.
    """

    shape: tuple[int, int]
    tile_px: int
    overlap_px: int
    origin_px: int = 0
    evenly: bool = False

    def __post_init__(self) -> None:
        height, width = self.shape
        fits = 0 <= self.overlap_px < self.tile_px and 0 <= self.origin_px < self.tile_px - self.overlap_px
        if min(height, width, self.tile_px) < 1 or not fits:
            raise InputError(
                "tiling wants a scene and tiles of 1 px or more and an overlap from 0 to below the tile; got a scene "
                f"of {height} x {width}, tile_px {self.tile_px!r}, overlap_px {self.overlap_px!r}"
            )

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """Down and across."""
        down, across = (_axis(length, self._side(length), self.overlap_px, self.origin_px) for length in self.shape)
        return down, across

    def _side(self, length: int) -> int:
        """Of the tiles along an axis of that many pixels."""
        shared = self.overlap_px
        if not self.evenly or length <= self.tile_px:
            return self.tile_px
        count = ceil((length - shared) / (self.tile_px - shared))
        return ceil((length - shared) / count) + shared

    def __len__(self) -> int:
        return len(self.axes[0].starts) * len(self.axes[1].starts)

    def window(self, index: int) -> Window:
        """Where a tile lies."""
        row, column = divmod(index, len(self.axes[1].starts))
        down, across = self.axes
        return Window(down.starts[row], across.starts[column], down.tile, across.tile)

    @property
    def windows(self) -> Windows:
        """Where all tiles lie."""
        down, across = ([(start, axis.tile) for start in axis.starts] for axis in self.axes)
        return Windows(down, across)

    def core(self, index: int) -> Window:
        """The pixels that belong to a tile."""
        row, column = divmod(index, len(self.axes[1].starts))
        (y0, y1), (x0, x1) = self.axes[0].cores[row], self.axes[1].cores[column]
        return Window(y0, x0, y1 - y0, x1 - x0)


@dataclass(frozen=True)
class Windows:
    """Windows in rows and columns, row by row, of which none is held: of a slide there are a million.

    down, across: (first pixel, length) of every row and of every column, rising.
    """

    down: Sequence[tuple[int, int]]
    across: Sequence[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.down) * len(self.across)

    def __iter__(self) -> Iterator[Window]:
        return (Window(y, x, height, width) for y, height in self.down for x, width in self.across)

    def holding(self, worth: Callable[[Window], bool]) -> Iterator[Window]:
        """Those of which `worth` says that they hold any of something, in order.

        It is asked of a row first, then of its halves, and so on, so that an empty scene costs next to nothing.
        """
        for y, height in self.down:
            yield from self._holding(worth, (y, height), 0, len(self.across))

    def _holding(self, worth: Callable[[Window], bool], row: tuple[int, int], start: int, end: int) -> Iterator[Window]:
        x, final = self.across[start][0], sum(self.across[end - 1])
        window = Window(row[0], x, row[1], final - x)
        if not worth(window):
            return
        if end - start == 1:
            yield window
            return
        middle = (start + end) // 2
        yield from self._holding(worth, row, start, middle)
        yield from self._holding(worth, row, middle, end)


class Axis(NamedTuple):
    """Tiles along one axis: their length, first pixels, and (first, end) of their cores."""

    tile: int
    starts: list[int]
    cores: list[tuple[int, int]]


def _axis(length: int, tile_px: int, overlap_px: int, origin_px: int) -> Axis:
    tile, step = min(tile_px, length), tile_px - overlap_px
    final = length - tile
    shifted = [0] if origin_px and final > 0 else []
    starts = [*shifted, *range(step - origin_px if shifted else 0, final, step), final]
    halves = [(a + b + tile - 1) // 2 + 1 for a, b in pairwise(starts)]  # as near to both: the earlier's
    edges = [0, *halves, length]
    return Axis(tile, starts, list(pairwise(edges)))


def windows(height: int, width: int, tile_px: int, overlap_px: int) -> list[Window]:
    """The tiles of a `Grid`, all at once."""
    grid = Grid((height, width), tile_px, overlap_px)
    return [grid.window(i) for i in range(len(grid))]


@dataclass
class Clock:
    """Where the time of a prediction went, in seconds: waiting for pixels, in the network, in all; and its tiles."""

    waiting: float = 0.0
    predicting: float = 0.0
    total: float = 0.0
    tiles: int = 0
    asked: int = 0
    """Tiles that the network was asked for; the others had one colour, which was asked for before."""

    @property
    def waiting_share(self) -> float:
        """Share of the time in which the network waited for tiles, in [0, 1]; 0 before there is any."""
        return self.waiting / self.total if self.total else 0.0


def single_colour(image: np.ndarray) -> bytes | None:
    """The colour of an image that has one, with its shape."""
    corner = image[:1, :1]
    return corner.tobytes() + bytes(str(image.shape), "ascii") if (image == corner).all() else None


def predict_tiles(
    read: Callable[[Window], Any],
    grid: Grid,
    predict: Callable[[list[Any]], list[OfTile]],
    batch: int,
    start: int = 0,
    *,
    worth: Callable[[Window], bool] = lambda window: True,
    readers: int = READERS,
    clock: Clock | None = None,
    colour: Callable[[Any], bytes | None] = single_colour,
    end: int | None = None,
    plain: dict[bytes, OfTile] | None = None,
) -> Iterator[tuple[int, OfTile]]:
    """(index, entities) of the tiles from `start` on in their order, `batch` at a time through the network.

    read: a window to its (h, w, C) image, called from `readers` threads, two batches ahead; 0 reads when asked.
    predict: images to their entity maps, or forests; they may be of any type whose `colour` can be told. worth: whether
    a tile is looked at; of others nothing comes out.
    end: the tile before which it stops. A tile of one single colour is asked for once per colour: what the
    network says of it is the same everywhere. plain: what it said before, by colour; more is added.
    """
    clock = clock or Clock()
    started = perf_counter()
    indices = [i for i in range(start, len(grid) if end is None else end) if worth(grid.window(i))]
    plain = {} if plain is None else plain

    def timed(images: list[Any]) -> list[OfTile]:
        before = perf_counter()
        predicted = predict(images)
        clock.predicting += perf_counter() - before
        clock.asked += len(images)
        return predicted

    for chunk in _batches(read_ahead(read, grid, indices, readers, 2 * batch, clock), batch):
        colours = [colour(image) for _, image in chunk]
        several = [image for (_, image), colour in zip(chunk, colours, strict=True) if colour is None]
        predicted = iter(timed(several) if several else [])
        for (i, image), plain_colour in zip(chunk, colours, strict=True):
            if plain_colour is None:
                entities = next(predicted)
            else:
                if plain_colour not in plain:
                    plain[plain_colour] = timed([image])[0]  # alone, so that no batch depends on what was seen before
                entities = plain[plain_colour]
            clock.tiles += 1
            clock.total = perf_counter() - started
            yield i, entities


def read_ahead(
    read: Callable[[Window], Any],
    grid: Grid,
    indices: Iterable[int],
    readers: int,
    ahead: int,
    clock: Clock | None = None,
) -> Iterator[tuple[int, Any]]:
    """(index, image) in order, up to `ahead` of them read before they are asked for."""
    clock = clock or Clock()
    if readers == 0:
        for i in indices:
            before = perf_counter()
            image = read(grid.window(i))
            clock.waiting += perf_counter() - before
            yield i, image
        return
    coming: deque = deque()
    todo = iter(indices)
    with ThreadPoolExecutor(readers, "read") as pool:
        try:
            for i in todo:
                coming.append((i, pool.submit(read, grid.window(i))))
                if len(coming) < ahead:
                    continue
                yield _next(coming, clock)
            while coming:
                yield _next(coming, clock)
        finally:
            for _, future in coming:
                future.cancel()


def _next(coming: deque, clock: Clock) -> tuple[int, Any]:
    i, future = coming.popleft()
    before = perf_counter()
    image = future.result()
    clock.waiting += perf_counter() - before
    return i, image


def _batches(tiles: Iterator[tuple[int, Any]], batch: int) -> Iterator[list[tuple[int, Any]]]:
    chunk: list[tuple[int, Any]] = []
    for tile in tiles:
        chunk.append(tile)
        if len(chunk) == batch:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
