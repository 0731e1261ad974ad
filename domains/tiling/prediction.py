"""The entities of a scene, read by windows: what writers of large results are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from domains.entities import EntityMap
from domains.entities.measures import Measure
from domains.entities.measures import measure as measured
from domains.entities.outlines import Polygon, outlines
from domains.tiling.canvas import CHUNK_PX, chunk_window, chunks_of
from domains.tiling.grid import Window
from domains.tiling.stitching import Entities

BLOCK_PX = 1024
LARGEST_PX = 1024
"""Entities with a longer side are outlined at a coarser step, each by itself."""


@dataclass(frozen=True)
class Prediction:
    """shape: (height, width). read: a window to its (h, w) int64 ids, 0 for none. entities: their table, by id."""

    shape: tuple[int, int]
    read: Callable[[Window], np.ndarray]
    entities: Entities
    vocabulary: tuple[str, ...] = ()
    image: Callable[[Window], np.ndarray] | None = None
    """A window to its (h, w, 3) uint8 image, for what is measured on pixels."""

    @classmethod
    def of_map(cls, found: EntityMap) -> Prediction:
        """One that is in memory."""
        columns = list(zip(*measured(found), strict=True)) or [()] * len(Measure._fields)
        _, area, y, x, height, width, centroid_y, centroid_x, *_ = (np.asarray(one) for one in columns)
        table = Entities(area, centroid_y, centroid_x, y, x, y + height, x + width, found.scores, found.labels)
        return cls(found.shape, lambda window: found.ids[window.slices].astype(np.int64), table, found.vocabulary)

    @property
    def count(self) -> int:
        return len(self.entities.area_px)

    def measure(self, index: int) -> Measure:
        """Of entity index + 1."""
        table = self.entities
        y, x = int(table.y0[index]), int(table.x0[index])
        label = None if table.labels is None else self.vocabulary[int(table.labels[index])]
        return Measure(
            id=index + 1,
            area_px=int(table.area_px[index]),
            y=y,
            x=x,
            height=int(table.y1[index]) - y,
            width=int(table.x1[index]) - x,
            centroid_y=round(float(table.centroid_y[index]), 2),
            centroid_x=round(float(table.centroid_x[index]), 2),
            score=None if table.scores is None else round(float(table.scores[index]), 6),
            label=label,
        )

    def measures(self) -> Iterator[Measure]:
        """All, by id."""
        return (self.measure(i) for i in range(self.count))

    def chunks(self) -> list[tuple[int, int]]:
        """Rows and columns of the chunks of `CHUNK_PX` that hold a box of an entity."""
        table = self.entities
        found: set[tuple[int, int]] = set()
        for start in range(0, self.count, 2**16):
            boxes = np.stack([values[start : start + 2**16] for values in (table.y0, table.x0, table.y1, table.x1)], 1)
            edges = np.unique(np.c_[boxes[:, :2] // CHUNK_PX, (boxes[:, 2:] - 1) // CHUNK_PX], axis=0).tolist()
            for top, left, bottom, right in edges:
                found.update((row, column) for row in range(top, bottom + 1) for column in range(left, right + 1))
        return sorted(found)

    def outlined(self) -> Iterator[tuple[Measure, list[Polygon], int]]:
        """(measure, polygons, step) of every entity, block by block of the scene, by id within a block.

        Outlines follow the pixels (step 1); those of an entity that is longer than LARGEST_PX follow every second,
        fourth, ... pixel (step 2, 4, ...), so that its box takes as little memory as a block.
        """
        table = self.entities
        blocks = (table.y0 // BLOCK_PX).astype(np.int64) * (self.shape[1] // BLOCK_PX + 1) + table.x0 // BLOCK_PX
        order = np.argsort(blocks, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1):
            sides = np.maximum(table.y1 - table.y0, table.x1 - table.x0)[members]
            yield from self._outlined_together(members[sides <= LARGEST_PX])
            for index in members[sides > LARGEST_PX]:
                yield self._outlined_alone(int(index))

    def _outlined_together(self, members: np.ndarray) -> Iterator[tuple[Measure, list[Polygon], int]]:
        if not len(members):
            return
        table = self.entities
        y, x = int(table.y0[members].min()), int(table.x0[members].min())
        window = Window(y, x, int(table.y1[members].max()) - y, int(table.x1[members].max()) - x)
        ids = self.read(window)
        place = np.searchsorted(members + 1, ids).clip(max=len(members) - 1)
        local = np.where(members[place] + 1 == ids, place + 1, 0).astype(np.int32)
        for number, polygons in outlines(local):
            yield self.measure(int(members[number - 1])), _moved(polygons, y, x, 1), 1

    def _outlined_alone(self, index: int) -> tuple[Measure, list[Polygon], int]:
        entity = self.measure(index)
        step = 1
        while max(entity.height, entity.width) / step > LARGEST_PX:
            step *= 2
        rows, columns = -(-entity.height // step), -(-entity.width // step)
        mask = np.zeros((rows, columns), np.int32)
        for key in chunks_of(Window(entity.y, entity.x, entity.height, entity.width)):
            chunk = chunk_window(key, self.shape)
            shared = chunk.shared(Window(entity.y, entity.x, entity.height, entity.width))
            y, x = (-(-(a - b) // step) for a, b in ((shared.y, entity.y), (shared.x, entity.x)))
            at = entity.y + y * step - shared.y, entity.x + x * step - shared.x
            here = self.read(shared)[at[0] :: step, at[1] :: step] == entity.id
            mask[y : y + here.shape[0], x : x + here.shape[1]] = here
        polygons = [found for _, found in outlines(mask)]
        return entity, _moved(polygons[0] if polygons else [], entity.y, entity.x, step), step


def _moved(polygons: list[Polygon], y: int, x: int, step: int) -> list[Polygon]:
    return [[[[a * step + x, b * step + y] for a, b in ring] for ring in polygon] for polygon in polygons]
