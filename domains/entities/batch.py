"""What a network trains on: images and the maps of their entities, with what is known of each entity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from domains.entities.map import NO_CLASS, UNLABELLED, united
from domains.entities.sample import EntitySample, Place


@dataclass(frozen=True)
class EntityBatch:
    """Images of one size, and what is known of their entities: entity i of image b has row [b, i - 1].

    N is the number of entities of the image that has most; rows that an image has none for are padding.

    images: (B, C, H, W) float32 in [0, 1], RGB unless a recipe names bands; the backbone normalises.
    ids: (B, H, W) int32 with the meaning of `EntityMap.ids`, each image numbered from 1 without gaps.
    labels: (B, N) int64 indices into `vocabulary`; -1 for an entity without class, and as padding.
    weights: (B, N) float32 in [0, 1], how much each entity counts in the loss; 1 unless its truth has scores, 0 as
        padding. Per entity, as one picture holds both what an annotator drew and what a network guessed; the mean over
        an image's entities weighs a map as a whole.
    parents: (B, N) int64 ids of the enclosing entity in the same image; 0 for none, and as padding.
    vocabulary: names of classes, of all the batch's maps together; their order may differ between batches whose maps
        differ in it.

    Of a batch made of images and ids alone the rest is filled in: no classes, no parents, every entity counts.
    """

    images: Tensor
    ids: Tensor
    places: tuple[Place, ...] = ()
    labels: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    parents: Tensor = field(default_factory=lambda: torch.empty(0))
    vocabulary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if all(rows.ndim == 2 for rows in (self.labels, self.weights, self.parents)):
            return
        counts = self.ids.flatten(1).amax(1).clamp(min=0)[:, None]  # (B, 1)
        numbers = torch.arange(1, int(counts.max()) + 1, device=self.ids.device)  # (N,)
        exist = numbers <= counts  # (B, N)
        absent = {
            "labels": torch.full_like(exist, NO_CLASS, dtype=torch.int64),
            "weights": exist.float(),
            "parents": torch.zeros_like(exist, dtype=torch.int64),
        }
        for name, rows in absent.items():
            if getattr(self, name).ndim != 2:
                object.__setattr__(self, name, rows)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labelled(self) -> Tensor:
        """(B, H, W) bool: where truth is known."""
        return self.ids != UNLABELLED

    @cached_property
    def pixel_weights(self) -> Tensor | None:
        """(B, H, W) float32: each pixel's weight, of its entity or 1; None where every entity counts whole."""
        counts = self.ids.flatten(1).amax(1).clamp(min=0)[:, None]  # (B, 1)
        exist = torch.arange(1, self.weights.shape[1] + 1, device=self.ids.device) <= counts
        if bool((self.weights[exist] == 1).all()):
            return None
        table = F.pad(self.weights, (1, 0), value=1.0)  # (B, 1 + N)
        return table.gather(1, self.ids.clamp(min=0).flatten(1).long()).view(self.ids.shape)

    @property
    def masks(self) -> list[Tensor]:
        """Per image (N_i, H, W) bool."""
        return [
            ids[None] == torch.arange(1, int(ids.max().clamp(min=0)) + 1, device=ids.device)[:, None, None]
            for ids in self.ids
        ]

    def to(self, device: torch.device | str) -> EntityBatch:
        """The batch with every tensor on a device."""
        tensors = {name: getattr(self, name).to(device) for name in ("images", "ids", "labels", "weights", "parents")}
        return replace(self, **tensors)


def collate(samples: Iterable[EntitySample]) -> EntityBatch:
    """Equal-sized samples to a batch; of several annotators the first one is taken."""
    samples = list(samples)
    images = np.stack([sample.image for sample in samples])  # (B, H, W, C)
    truths = [sample.truth.renumbered() for sample in samples]
    counts = [truth.count for truth in truths]
    vocabulary = united(truths)
    labels = [truth.in_vocabulary(vocabulary).labels for truth in truths]
    return EntityBatch(
        images=torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255.0),  # (B, C, H, W)
        ids=torch.from_numpy(np.stack([truth.ids for truth in truths])),
        places=tuple(sample.place for sample in samples),
        labels=torch.from_numpy(padded(labels, counts, np.int64(NO_CLASS), np.int64(NO_CLASS))),
        weights=torch.from_numpy(padded([truth.scores for truth in truths], counts, np.float32(1), np.float32(0))),
        parents=torch.from_numpy(padded([truth.parents for truth in truths], counts, np.int64(0), np.int64(0))),
        vocabulary=vocabulary,
    )


def padded(
    maps: Sequence[np.ndarray | None], counts: Sequence[int], absent: np.generic, padding: np.generic
) -> np.ndarray:
    """(B, N) of each map's rows, of the type of `padding`; `absent` for all entities of a map that has no such rows."""
    table = np.full((len(counts), max(counts)), padding)
    for line, rows, count in zip(table, maps, counts, strict=True):
        line[:count] = absent if rows is None else rows
    return table
