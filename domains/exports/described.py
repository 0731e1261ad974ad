"""Measurements on the pixels of entities: of all at once, or of a scene that doesn't fit into memory by blocks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from domains.entities.measures import Measure
from domains.exports.destination import Describe
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction

BLOCK_PX = 1024
MARGIN_PX = 256  # beyond a block, for entities that begin in it
LARGEST_PX = 4096  # an entity with a longer side isn't measured, as its pixels would take too much memory


@dataclass
class Described:
    """`described(entity)`: what `describe` says of it, {} without `describe` or image. Quick for entities that come
    block by block, as `Prediction.outlined` gives them. A map in memory is measured whole, when it is first asked for.
    """

    prediction: Prediction
    describe: Describe | None
    pixel_size_m: float | None
    _window: Window = Window(0, 0, 0, 0)
    _values: dict[int, dict[str, float]] = field(default_factory=dict)

    def __call__(self, entity: Measure) -> dict[str, float]:
        too_large = self.prediction.entity_map is None and max(entity.height, entity.width) > LARGEST_PX
        if self.describe is None or self.prediction.image is None or too_large:
            return {}
        box = Window(entity.y, entity.x, entity.height, entity.width)
        if self._window.shared(box) != box:
            self._look(box)
        return self._values.get(entity.id, {})

    def _look(self, box: Window) -> None:
        """Measure all that lies in the block where the box begins."""
        assert self.describe is not None and self.prediction.image is not None
        if (entities := self.prediction.entity_map) is not None:
            self._window = Window(0, 0, *entities.shape)
            self._values = self.describe(entities.ids, self.prediction.image(self._window), self.pixel_size_m)
            return
        y, x = box.y // BLOCK_PX * BLOCK_PX, box.x // BLOCK_PX * BLOCK_PX
        height, width = self.prediction.shape
        bottom = min(max(y + BLOCK_PX + MARGIN_PX, box.y + box.height), height)
        right = min(max(x + BLOCK_PX + MARGIN_PX, box.x + box.width), width)
        self._window = Window(y, x, bottom - y, right - x)
        ids = self.prediction.read(self._window)
        present, local = np.unique(ids, return_inverse=True)  # 64-bit ids to small ones
        offset = int(present[0] != 0)  # a block without background has no 0 among them
        values = self.describe(
            (local.reshape(ids.shape) + offset).astype(np.int32), self.prediction.image(self._window), self.pixel_size_m
        )
        self._values = {int(present[number - offset]): measured for number, measured in values.items()}
