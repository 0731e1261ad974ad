"""Images and maps at another size: images area-averaged or linear, ids by the nearest pixel and never mixed.

Both lie over each other: new pixel i of an axis stands for i..i + 1 times old / new of the old pixels, its centre is
at i + 1/2 times old / new. At 1/2 and 1/4 that is the edge between two pixels. Always the right one of them would shift
every map by half a pixel of its image, and the nearest does so over long stretches where old / new is nearly whole
(1001 to 500). So the choice goes by turns: two rows look a little to the left of the centres, the next two to the
right, and likewise the columns up and down (`TURNS`). A row or a column by itself keeps its even steps, so no line of
two pixels is stepped over at 1/2; two at a time, because a thin slanted line may break where the turn changes. Turns
count from the borders inwards and face each other in the middle, so that a mirrored map gives the mirrored result (but
for the middle line of an odd size whose centre is an edge).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from domains.entities import EntityMap, EntitySample


def resize_sample(sample: EntitySample, factor: float) -> EntitySample:
    """The sample `factor` times as large (2.0: every pixel becomes 2 x 2), its pixel size divided by as much."""
    if factor == 1.0:
        return sample
    height, width = sample.image.shape[:2]
    shape = (max(1, round(height * factor)), max(1, round(width * factor)))
    size_m = sample.place.pixel_size_m
    return EntitySample(
        image=resize_image(sample.image, shape),
        truths=tuple(resize_map(truth, shape) for truth in sample.truths),
        place=replace(sample.place, pixel_size_m=None if size_m is None else size_m / factor),
    )


def resize_image(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W, C) uint8 to `shape` (height, width): an axis that shrinks is area-averaged, one that grows is linear."""
    inner = (min(shape[0], image.shape[0]), min(shape[1], image.shape[1]))
    for size, how in (
        (inner, cv2.INTER_AREA),
        (shape, cv2.INTER_LINEAR),
    ):  # AREA shifts what shrinks along one that grows
        if image.shape[:2] != size:
            image = by_few_channels(lambda bands: cv2.resize(bands, size[::-1], interpolation=how), image)  # noqa: B023
    return image


def by_few_channels(change: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """(H, W, C) through one of OpenCV's functions for up to four channels."""
    channels = image.shape[2]
    if channels <= 4:
        return change(image)
    groups = [change(np.ascontiguousarray(image[..., i : i + 4])) for i in range(0, channels, 4)]
    return np.concatenate([bands.reshape(*bands.shape[:2], -1) for bands in groups], axis=2)  # OpenCV drops a lone axis


def resize_map(entities: EntityMap, shape: tuple[int, int]) -> EntityMap:
    """The map at `shape` (height, width) by the nearest pixel; an entity that no pixel hits is gone with its row.

    Takes truth to the network's scale, and a prediction back to the size of the image it was made for.
    """
    if entities.shape == shape:
        return entities
    return entities.moved(lambda pixels, _: resize_ids(pixels, shape))


def resize_ids(ids: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) of any numbers to `shape`: each new pixel is the one under its centre, by turns where that is an edge."""
    down, across = (Picks.of(old, new) for old, new in zip(ids.shape, shape, strict=True))
    return pick(ids, down, across)


TURNS = (-1, 3, -3, 1)  # eighths of a pixel: evenly spread about the centre, left and right in turn


class Picks(NamedTuple):
    """A run of new pixels along one axis.

    turns: (n,) the turn of each, which the pixels of the other axis go by. sources: (4, n) the old pixel of each, when
    it is the turn of 0..3.
    """

    turns: np.ndarray
    sources: np.ndarray

    @classmethod
    def of(cls, old: int, new: int, start: int = 0, stop: int | None = None) -> Picks:
        """The new pixels start..stop of an axis of `old` pixels made `new` long."""
        pixels = np.arange(start, new if stop is None else stop, dtype=np.int64)
        reach = np.array(TURNS)[:, None] * _reach(old, new)
        sources = (4 * (2 * pixels + 1) * old + np.where(2 * pixels >= new, -reach, reach)) // (8 * new)
        return cls(np.minimum(pixels, new - 1 - pixels) // 2 % len(TURNS), sources)


def pixels_over(old: int, new: int, start: int, end: int) -> tuple[int, int]:
    """(begin, stop) of the new pixels whose last choice is one of the old pixels start..end, the others within one of
    it. Stretches that part the old pixels part the new ones."""
    shift = 4 * old + max(TURNS) * _reach(old, new)
    begin, stop = (max(0, -((shift - 8 * new * edge) // (8 * old))) for edge in (start, end))
    return begin, min(stop, new)


def _reach(old: int, new: int) -> int:
    """Of 8 * new parts of a pixel, what an eighth is: less than tells any two centres apart, so that only ties take
    turns, or an eighth indeed where several pixels stand for one, and all of them should be heard."""
    return new if 2 * old >= 3 * new else 1


def pick(values: np.ndarray, down: Picks, across: Picks) -> np.ndarray:
    """(h, w): of values (H, W) what each new pixel chooses."""
    if all((picks.sources == picks.sources[0]).all() for picks in (down, across)):
        return values[down.sources[0]][:, across.sources[0]]
    result = np.empty((len(down.turns), len(across.turns)), values.dtype)
    for row_turn, column_turn in np.ndindex(len(TURNS), len(TURNS)):
        rows, columns = np.flatnonzero(down.turns == row_turn), np.flatnonzero(across.turns == column_turn)
        chosen = values[down.sources[column_turn, rows]][:, across.sources[row_turn, columns]]
        result[np.ix_(rows, columns)] = chosen
    return result
