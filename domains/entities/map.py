"""Truth and prediction are one type: an integer map of entities.

One integer per pixel makes "entities never overlap" true by construction, so every metric, writer and
stitching step of the project speaks this type and none has to resolve overlaps again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

UNLABELLED = -1
BACKGROUND = 0
NO_CLASS = -1
UNKNOWN = "unknown"
"""The class of an entity that is none of those that were taught."""

Move = Callable[[np.ndarray, int], np.ndarray]
"""From (H, W) values of pixels, and the value of what lies outside of them, to (h, w): the same for whatever values."""


@dataclass(frozen=True)
class EntityMap:
    """Entities of one image.

    ids: (H, W) int32; 0 no entity, 1..N entities, -1 unlabelled (neither true nor false there). Numbers mean nothing
        outside of their map: what is known of entity i stands in its row, at index i - 1 of `scores`, `labels` and
        `parents`, and rows follow their entities wherever `moved`, `replaced` and `with_entity` take the pixels.
    scores: (N,) float32 in [0, 1], how sure an entity is; None for truth that is certain. Of truth that is not, such as
        pseudo-labels, they become `EntityBatch.weights`.
    labels: (N,) int32 indices into `vocabulary`, -1 for an entity without class; None where entities have no class.
    parents: (N,) int32 ids of the enclosing entity, 0 for none.
    pixel_scores: (H, W) float16 in [0, 1], how sure every pixel, also one of no entity, is to be in one; None where
        nobody said.
    """

    ids: np.ndarray
    scores: np.ndarray | None = None
    labels: np.ndarray | None = None
    vocabulary: tuple[str, ...] = ()
    parents: np.ndarray | None = None
    pixel_scores: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.ids.ndim != 2:
            raise ValueError(f"an entity map wants ids of shape (H, W); got {self.ids.shape}")
        object.__setattr__(self, "ids", np.ascontiguousarray(self.ids, dtype=np.int32))
        for name in ("scores", "labels", "parents"):
            values = getattr(self, name)
            if values is not None and len(values) != self.count:
                raise ValueError(f"{name} has {len(values)} values for {self.count} entities")
        if self.pixel_scores is not None and self.pixel_scores.shape != self.ids.shape:
            raise ValueError(f"pixel_scores have shape {self.pixel_scores.shape}, ids {self.ids.shape}")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        height, width = self.ids.shape
        return height, width

    @property
    def count(self) -> int:
        """The highest number, which is how many entities there are where the numbers have no gap."""
        return int(self.ids.max(initial=0))

    @property
    def labelled(self) -> np.ndarray:
        """(H, W) bool: where truth is known."""
        return self.ids != UNLABELLED

    @property
    def foreground(self) -> np.ndarray:
        """(H, W) bool: pixels of any entity."""
        return self.ids > 0

    @property
    def areas(self) -> np.ndarray:
        """(N,) int64 pixels per entity."""
        return np.bincount(self.ids[self.ids > 0], minlength=self.count + 1)[1:]

    def masks(self) -> np.ndarray:
        """(N, H, W) bool. Meant for tiles: N x H x W bytes."""
        return self.ids[None] == np.arange(1, self.count + 1, dtype=np.int32)[:, None, None]

    @classmethod
    def from_ids(cls, ids: np.ndarray, scores: np.ndarray | None = None) -> EntityMap:
        """Any integer map, gaps in its numbering closed; `scores` are indexed by the ids that came in."""
        dense, kept = renumber(ids)  # of any integers: an `EntityMap` of them would not hold ids beyond int32
        return cls(dense, None if scores is None else np.asarray(scores, np.float32)[kept - 1])

    @classmethod
    def from_masks(cls, masks: Sequence[np.ndarray] | np.ndarray, shape: tuple[int, int]) -> EntityMap:
        """Overlapping annotations become one map by one rule: smaller on top; what is hidden whole is dropped."""
        ids = np.zeros(shape, np.int32)
        for i in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
            ids[masks[i]] = i + 1
        return cls.from_ids(ids)

    def crop(self, y: int, x: int, height: int, width: int) -> EntityMap:
        """A window of the map, as `moved` leaves it."""
        return self.moved(lambda pixels, _: pixels[y : y + height, x : x + width])

    def moved(self, move: Move) -> EntityMap:
        """The map after a change of place, done alike to ids and to scores of pixels; see `replaced` for the rows.

        Outside of the map ids are -1, and scores of pixels 0.
        """
        pixel_scores = None if self.pixel_scores is None else move(self.pixel_scores, 0)
        return self.replaced(move(self.ids, UNLABELLED), pixel_scores)

    def renumbered(self) -> EntityMap:
        """The map with the gaps in its numbering closed, rows along."""
        return self.replaced(self.ids, self.pixel_scores)

    def replaced(self, ids: np.ndarray, pixel_scores: np.ndarray | None) -> EntityMap:
        """The entities of this map under other pixels, wherever a step has taken them.

        ids: (h, w), numbers of this map; pixel_scores: (h, w), None exactly where this map has none. An entity without
        a pixel loses its row, and those that are left are numbered 1..N in their order. A child whose parent is lost
        goes to the nearest ancestor that is left, to none (0) where there is no such. Raises ValueError for scores of
        pixels forgotten or made up, and for a number without a row.
        """
        if (pixel_scores is None) != (self.pixel_scores is None):
            raise ValueError(
                f"wanted pixel_scores {'as the map has them' if pixel_scores is None else 'only of a map that has any'}"
            )
        dense, kept = renumber(ids)
        table = next((rows for rows in (self.scores, self.labels, self.parents) if rows is not None), None)
        if table is not None and len(kept) and kept[-1] > len(table):
            raise ValueError(f"ids hold {kept[-1]}, which is none of the map's {len(table)} entities")
        return EntityMap(
            dense,
            scores=None if self.scores is None else self.scores[kept - 1],
            labels=None if self.labels is None else self.labels[kept - 1],
            vocabulary=self.vocabulary,
            parents=None if self.parents is None else ancestors_left(self.parents, kept),
            pixel_scores=pixel_scores,
        )

    def with_entity(self, mask: np.ndarray, source: EntityMap | None = None, number: int = 0) -> EntityMap:
        """The map with one more entity on top, under the next free number, where `mask` (H, W) bool says.

        Label and score are those of entity `number` of `source`, the label by its name; without source, or where that
        has none, they are -1 and 1. It has no parent, and its pixels are sure. No row of those below goes, not even
        of one that is covered whole: `renumbered` drops it.
        """
        donor = EntityMap(np.ones((1, 1), np.int32)) if source is None else source.alone(number)
        vocabulary = united([self, donor])
        base, donor = self.in_vocabulary(vocabulary), donor.in_vocabulary(vocabulary)
        parents = None if base.parents is None else np.append(base.parents, np.int32(0))
        pixel_scores = None if base.pixel_scores is None else np.where(mask, np.float16(1), base.pixel_scores)
        return EntityMap(
            np.where(mask, base.count + 1, base.ids),
            joined(base.scores, donor.scores, base.count, np.float32(1)),
            joined(base.labels, donor.labels, base.count, np.int32(NO_CLASS)),
            vocabulary,
            parents,
            pixel_scores,
        )

    def alone(self, number: int) -> EntityMap:
        """The row of one entity, on a map of a single pixel."""
        return replace(self, pixel_scores=None).replaced(np.full((1, 1), number), None)

    def in_vocabulary(self, vocabulary: tuple[str, ...]) -> EntityMap:
        """The map with its labels by name in another vocabulary; a class that has no name there becomes -1."""
        if self.labels is None or vocabulary == self.vocabulary:
            return self if vocabulary == self.vocabulary else replace(self, vocabulary=vocabulary)
        numbers = {self.vocabulary.index(name): i for i, name in enumerate(vocabulary) if name in self.vocabulary}
        labels = [numbers.get(label, NO_CLASS) for label in self.labels.tolist()]
        return replace(self, labels=np.array(labels, np.int32), vocabulary=vocabulary)


def united(maps: Iterable[EntityMap]) -> tuple[str, ...]:
    """The names of every class that the maps know, in order of appearance: the first map's keep their numbers."""
    return tuple(dict.fromkeys(name for entities in maps for name in entities.vocabulary))


def joined(rows: np.ndarray | None, row: np.ndarray | None, count: int, absent: np.generic) -> np.ndarray | None:
    """(count + 1,) values of a map's entities and of one more; `absent` for whichever has none, None if neither has."""
    if rows is None and row is None:
        return None
    rows = np.full(count, absent) if rows is None else rows
    return np.append(rows, np.full(1, absent) if row is None else row).astype(rows.dtype)


def ancestors_left(parents: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(N,) int32 parents of the entities `kept` (N,), in their new numbers 1..N: the nearest ancestor among them, 0 for
    none. parents: (M,) ids of all, 0 for none.
    """
    position = np.zeros(len(parents) + 1, np.int32)
    position[kept] = np.arange(1, len(kept) + 1)
    step = np.concatenate([[0], parents])  # from each id to its parent; one that is left, or none, stays where it is
    step[kept] = kept
    for _ in range(len(parents).bit_length()):  # every turn doubles the generations; a circle of the lost ends too
        step = step[step]
    return position[step[parents[kept - 1]]]


def renumber(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(dense, kept): ids renumbered 1..N in their order with 0 and -1 as they were; kept (N,) are the old ids."""
    positive = np.maximum(ids, 0)
    if positive.max(initial=0) > 2 * positive.size + 2**16:  # sparse numbers: a table of them would be the larger
        kept = np.unique(positive[positive > 0])
        dense = np.searchsorted(kept, ids) + 1
    else:
        present = np.bincount(positive.ravel(), minlength=1) > 0
        kept = np.flatnonzero(present[1:]) + 1
        table = np.zeros(len(present), np.int32)
        table[kept] = np.arange(1, len(kept) + 1)
        dense = table[positive]
    return np.where(ids > 0, dense, np.minimum(ids, 0)).astype(np.int32), kept
