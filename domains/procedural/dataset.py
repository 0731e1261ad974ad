"""Generated scenes as a data set: nothing is stored, every item is drawn when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from domains.entities import EntitySample
from domains.errors import InputError, suggest
from domains.procedural import SCENES
from domains.procedural.scene import draw_scene


class ProceduralScenes:
    """`count` square scenes; item i depends on (seed, i) alone.

    families: names, each equally likely, or a mapping from name to weight.
    """

    def __init__(self, families: Sequence[str] | Mapping[str, float], count: int, seed: int, size_px: int) -> None:
        weights = dict(families) if isinstance(families, Mapping) else dict.fromkeys(families, 1.0)
        for family in weights:
            if family not in SCENES:
                raise InputError(f"procedural families must be known; got {family!r}; {suggest(family, SCENES)}")
        if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
            raise InputError(f"procedural families want at least one positive weight; got {families!r}")
        self.families = tuple(weights)
        self.shares = np.array(list(weights.values())) / sum(weights.values())
        self.count, self.seed, self.size_px = count, seed, size_px

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> EntitySample:
        if not 0 <= index < self.count:
            raise IndexError(f"scene {index} of {self.count}")
        family = np.random.default_rng((self.seed, index, 0)).choice(self.families, p=self.shares)
        return draw_scene(str(family), (self.seed, index), self.size_px, self.size_px)
