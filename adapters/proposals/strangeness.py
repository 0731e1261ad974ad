"""Entities of a field of strangeness: connected pixels above a threshold, each scored by its strangest pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import ndimage

from adapters.proposals.proposals import Proposals
from domains.entities import EntityMap
from domains.entities.forest import EntityForest

STEPS = 14
"""Halvings of the range of scores."""
EIGHT = np.ones((3, 3), int)
"""Neighbours that touch at a corner are connected, as defects in the sets' masks are."""


class StrangenessOptions(Protocol):
    """What is read of a decoder's options; ranges and meanings stand there."""

    @property
    def strange(self) -> float:
        """The score from which on a pixel is strange, in [0, 1]."""
        ...

    @property
    def min_area_px(self) -> int:
        """The least area of an entity, in pixels."""
        ...


@dataclass(frozen=True)
class Strangeness(Proposals):
    """Entities at one threshold; nothing is nested."""

    options: StrangenessOptions

    @property
    def granularity(self) -> float:
        """Of all maps the same."""
        return 0.5

    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """Nothing: good images alone say where the threshold is."""
        return {}

    def prepared(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> np.ndarray:
        """(H, W) float32 scores in [0, 1]."""
        return outputs["foreground"][index, 0, : size[0], : size[1]].float().sigmoid().cpu().numpy()

    def forest(self, prepared: np.ndarray, nested: bool = True) -> EntityForest:
        """A forest of trees of one node."""
        ids, count = connected(prepared > self.options.strange)
        areas = np.bincount(ids.ravel(), minlength=count + 1)
        kept = np.flatnonzero(areas[1:] >= self.options.min_area_px) + 1
        number = np.zeros(count + 1, np.int32)
        number[kept] = np.arange(1, len(kept) + 1)
        scores = np.asarray(ndimage.maximum(prepared, ids, kept), np.float32) if len(kept) else np.zeros(0, np.float32)
        return EntityForest.flat(EntityMap(number[ids], scores, pixel_scores=prepared.astype(np.float16)))

    def critical(self, prepared: np.ndarray) -> float:
        """The score above which a map (H, W) has no entity of the least area, to 2^-14: where a threshold must lie for
        it to have none.
        """
        low, high = 0.0, 1.0
        for _ in range(STEPS):
            middle = (low + high) / 2
            ids, count = connected(prepared > middle)
            largest = int(np.bincount(ids.ravel())[1:].max()) if count else 0
            low, high = (middle, high) if largest >= self.options.min_area_px else (low, middle)
        return high


def connected(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """(ids (H, W) int32, how many) of the connected pixels of a mask."""
    labelled: Any = ndimage.label(mask, EIGHT)
    return labelled
