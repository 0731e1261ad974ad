"""Prompts alike, as tensors: what is asked of an image at once, whoever answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.decoders.near import Marks

Origin = tuple[float, float]


@dataclass(frozen=True)
class Prompted:
    """P prompts alike, in pixels of their image. points: (P, n, 2) x and y, with labels (P, n), 1 inside, 0 outside;
    boxes: (P, 4) x0, y0, x1, y1; granularity: (P,) in [0, 1]; each of them None where prompts have none.
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    boxes: Tensor | None = None
    granularity: Tensor | None = None

    def marks(self) -> Marks:
        """Where they are."""
        any_table = self.boxes if self.points is None else self.points
        assert any_table is not None
        points = any_table.new_zeros(len(any_table), 0, 2) if self.points is None else self.points
        inside = points.new_ones(points.shape[:2]) if self.labels is None else self.labels
        return Marks(points, inside, self.boxes)

    def to(self, device: torch.device) -> Prompted:
        """The prompts on a device."""
        tables = (self.points, self.labels, self.boxes, self.granularity)
        return Prompted(*(None if table is None else table.to(device) for table in tables))
