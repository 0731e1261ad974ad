"""Truth and prediction are one type: an integer map of entities.

One integer per pixel makes "entities never overlap" true by construction, so every metric, writer and
stitching step of the project speaks this type and none has to resolve overlaps again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from domains.scenes.georeference import Georeference

UNLABELLED = -1
BACKGROUND = 0


@dataclass(frozen=True)
class EntityMap:
    """Entities of one image.

    ids: (H, W) int32; 0 no entity, 1..N entities, -1 unlabelled (neither true nor false there).
    scores: (N,) float32 in [0, 1], entity i at index i - 1; None for truth.
    labels: (N,) int32 indices into `vocabulary`; None where entities have no class.
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
        return self.ids.shape  # type: ignore[return-value]

    @property
    def count(self) -> int:
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
        dense, kept = renumber(ids)
        return cls(dense, None if scores is None else np.asarray(scores, np.float32)[kept - 1])

    @classmethod
    def from_masks(cls, masks: Sequence[np.ndarray] | np.ndarray, shape: tuple[int, int]) -> EntityMap:
        """Overlapping annotations become one map by one rule: smaller on top; what is hidden whole is dropped."""
        ids = np.zeros(shape, np.int32)
        for i in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
            ids[masks[i]] = i + 1
        return cls.from_ids(ids)

    def crop(self, y: int, x: int, height: int, width: int) -> EntityMap:
        """A window of the map, renumbered; scores, labels follow, parents that leave the window become 0."""
        dense, kept = renumber(self.ids[y : y + height, x : x + width])
        position = np.zeros(self.count + 1, np.int32)
        position[kept] = np.arange(1, len(kept) + 1)

        def pick(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[kept - 1]

        parents = None if self.parents is None else position[self.parents[kept - 1]]
        pixels = None if self.pixel_scores is None else self.pixel_scores[y : y + height, x : x + width]
        scores, labels = pick(self.scores), pick(self.labels)
        return replace(self, ids=dense, scores=scores, labels=labels, parents=parents, pixel_scores=pixels)


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


@dataclass(frozen=True)
class Place:
    """Where a sample was cut: level-0 pixels of its scene."""

    scene: str
    y: int = 0
    x: int = 0
    level: int = 0
    pixel_size_m: float | None = None
    georeference: Georeference | None = None
    """Of level 0 of the scene."""
    cut_from: Path | None = None
    """The file that a tile is a part of; None for a picture of its own."""


@dataclass(frozen=True)
class EntitySample:
    """One labelled image or tile.

    image: (H, W, C) uint8: RGB, or the bands that a recipe names.
    truths: one map per annotator, at least one, each of the image's height and width.
    """

    image: np.ndarray
    truths: tuple[EntityMap, ...]
    place: Place

    @property
    def truth(self) -> EntityMap:
        return self.truths[0]


@dataclass(frozen=True)
class EntityBatch:
    """What the network trains on.

    images: (B, C, H, W) float32 in [0, 1], RGB unless a recipe names bands; the backbone normalises.
    ids: (B, H, W) int32 with the meaning of `EntityMap.ids`, each image numbered from 1 without gaps.
    """

    images: Tensor
    ids: Tensor
    places: tuple[Place, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labelled(self) -> Tensor:
        """(B, H, W) bool."""
        return self.ids != UNLABELLED

    @property
    def masks(self) -> list[Tensor]:
        """Per image (N_i, H, W) bool."""
        return [
            ids[None] == torch.arange(1, int(ids.max().clamp(min=0)) + 1, device=ids.device)[:, None, None]
            for ids in self.ids
        ]

    def to(self, device: torch.device | str) -> EntityBatch:
        return replace(self, images=self.images.to(device), ids=self.ids.to(device))


def collate(samples: Iterable[EntitySample]) -> EntityBatch:
    """Equal-sized samples to a batch; of several annotators the first one is taken."""
    samples = list(samples)
    images = np.stack([sample.image for sample in samples])  # (B, H, W, 3)
    ids = np.stack([renumber(sample.truth.ids)[0] for sample in samples])
    return EntityBatch(
        images=torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255.0),  # (B, 3, H, W)
        ids=torch.from_numpy(ids),
        places=tuple(sample.place for sample in samples),
    )
