"""A labelled image, where it comes from, and what gives many of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from domains.entities.map import EntityMap
from domains.scenes.georeference import Georeference


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
        """The map of the annotator who comes before the others."""
        return self.truths[0]


class Samples(Protocol):
    """A data set: anything indexable that gives samples, such as an `EntityDataset`, `ProceduralScenes`, a list."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> EntitySample: ...
