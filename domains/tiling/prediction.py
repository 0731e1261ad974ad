"""The entities of a scene, read by windows: what every export is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from domains.entities import UNLABELLED, EntityMap, Place
from domains.entities.measures import Measure
from domains.entities.measures import measure as measured
from domains.entities.outlines import Polygon, outlines
from domains.tiling.canvas import CHUNK_PX, chunk_window, chunks_of
from domains.tiling.grid import Window
from domains.tiling.scene_forest import SceneForest
from domains.tiling.stitching import Entities

BLOCK_PX = 1024
NOWHERE = Place("")
LARGEST_PX = 1024
"""Entities with a longer side are outlined at a coarser step, each by itself."""


@dataclass(frozen=True)
class Prediction:
    """shape: (height, width). read: a window to its (h, w) int64 ids, 0 for none. entities: their table, by id.

    Of a scene that fits into memory the whole map is held too: it is outlined and measured at once, exact and by id.
    Any other is outlined block by block, in the memory of a block.
    """

    shape: tuple[int, int]
    read: Callable[[Window], np.ndarray]
    entities: Entities
    vocabulary: tuple[str, ...] = ()
    image: Callable[[Window], np.ndarray] | None = None
    """A window to its (h, w, 3) uint8 image, for what is measured on pixels and for pictures."""
    name: str = ""
    """Of its results, from `output_names`."""
    place: Place = NOWHERE
    """Where its scene lies; `place.scene` is what tables call it."""
    entity_map: EntityMap | None = None
    """The whole, where that is in memory."""
    forest: SceneForest | None = None
    """All nested entities of the scene, of which these are a cut, where they were asked for."""

    @classmethod
    def in_memory(cls, entities: EntityMap, table: Entities, forest: SceneForest | None = None) -> Prediction:
        """A prediction whose whole map, of `table`, is in memory."""

        def read(window: Window) -> np.ndarray:
            return entities.ids[window.slices].astype(np.int64)

        return cls(entities.shape, read, table, entities.vocabulary, entity_map=entities, forest=forest)

    @classmethod
    def of_map(
        cls, entities: EntityMap, name: str = "", place: Place = NOWHERE, image: np.ndarray | None = None
    ) -> Prediction:
        """A prediction in memory of a map by itself; numbers without pixels are closed. image: (H, W, 3) uint8."""
        measures = measured(entities)
        if len(measures) < entities.count:
            return cls.of_map(entities.crop(0, 0, *entities.shape), name, place, image)
        columns = list(zip(*measures, strict=True)) or [()] * len(Measure._fields)
        _, area, y, x, height, width, centroid_y, centroid_x, *_ = (np.asarray(column) for column in columns)
        box = y, x, y + height, x + width
        table = Entities(area, centroid_y, centroid_x, *box, entities.scores, entities.labels)
        picture = None if image is None else lambda window: image[window.slices]
        return replace(cls.in_memory(entities, table), name=name, place=place, image=picture)

    @property
    def whole_map(self) -> EntityMap:
        """The map of all of the scene; for predictions in memory alone."""
        assert self.entity_map is not None
        return self.entity_map

    def only(self, kept: np.ndarray) -> Prediction:
        """The prediction without some of its entities, the others numbered anew in their order. kept: (N,) bool."""
        if kept.all():
            return self
        number = np.where(kept, np.cumsum(kept), 0).astype(np.int64)
        lookup = np.concatenate([[0], number, [UNLABELLED]])
        table = self.entities.only(kept)
        if self.entity_map is None:
            return replace(self, read=lambda window: lookup[self.read(window)], entities=table)
        lookup, ids = lookup.astype(np.int32), np.empty_like(self.entity_map.ids)
        for row, former in zip(ids, self.entity_map.ids, strict=True):  # an index of 64 bits for all were large
            row[:] = lookup[former]
        parents = None if self.entity_map.parents is None else lookup[self.entity_map.parents[kept]]
        entities = replace(self.entity_map, ids=ids, scores=table.scores, labels=table.labels, parents=parents)
        smaller = Prediction.in_memory(entities, table, self.forest)
        return replace(smaller, image=self.image, name=self.name, place=self.place)

    @property
    def classes(self) -> tuple[str, ...]:
        """The vocabulary of a prediction whose entities were labelled; of any other none."""
        return () if self.entities.label_scores is None else self.vocabulary

    @property
    def count(self) -> int:
        """How many entities there are."""
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
            label_score=None if table.label_scores is None else round(float(table.label_scores[index]), 4),
            persistent_id=None if table.persistent_ids is None else int(table.persistent_ids[index]),
        )

    def measures(self) -> Iterator[Measure]:
        """All, by id."""
        return (self.measure(i) for i in range(self.count))

    def chunks(self) -> list[tuple[int, int]]:
        """Rows and columns of the chunks of `CHUNK_PX` that hold a box of an entity; all, where they are in memory."""
        if self.entity_map is not None:
            return chunks_of(Window(0, 0, *self.shape))
        table = self.entities
        touched: set[tuple[int, int]] = set()
        for start in range(0, self.count, 2**16):
            boxes = np.stack([values[start : start + 2**16] for values in (table.y0, table.x0, table.y1, table.x1)], 1)
            edges = np.unique(np.c_[boxes[:, :2] // CHUNK_PX, (boxes[:, 2:] - 1) // CHUNK_PX], axis=0).tolist()
            for y0, x0, y1, x1 in edges:
                touched.update((row, column) for row in range(y0, y1 + 1) for column in range(x0, x1 + 1))
        return sorted(touched)

    def outlined(self) -> Iterator[tuple[Measure, list[Polygon], int]]:
        """(measure, polygons, step) of every entity: by id where the map is in memory, else block by block of the
        scene, by id within a block.

        Outlines follow the pixels (step 1); those of an entity that is longer than LARGEST_PX follow every second,
        fourth, ... pixel (step 2, 4, ...), so that its box takes as little memory as a block; in memory all are exact.
        """
        if self.entity_map is not None:
            for entity, (_, polygons) in zip(self.measures(), outlines(self.entity_map.ids), strict=True):
                yield entity, polygons, 1
            return
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
            covered = self.read(shared)[at[0] :: step, at[1] :: step] == entity.id
            mask[y : y + covered.shape[0], x : x + covered.shape[1]] = covered
        polygons = [rings for _, rings in outlines(mask)]
        return entity, _moved(polygons[0] if polygons else [], entity.y, entity.x, step), step


def _moved(polygons: list[Polygon], y: int, x: int, step: int) -> list[Polygon]:
    return [[[[a * step + x, b * step + y] for a, b in ring] for ring in polygon] for polygon in polygons]
