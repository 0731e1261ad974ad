"""How alike neighbouring cells of a frozen backbone are: what thresholds of merging mean for it.

A cosine of .6 says "the same thing" of one backbone and nothing of another, so thresholds are said as quantiles of the
cosines between neighbouring cells. A backbone's folder may hold their percentiles in `merging.json`, as that of the
embedded base does; of others they are measured on the images at hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from adapters.network import EntitySegmenter
from domains.atomic import atomic_path
from domains.entities.merging import grid_pairs, unit
from domains.errors import InputError

NAME = "merging.json"
PERCENTS = 101
QUANTILES = (0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.07, 0.05)
"""Of the snapshots, where nobody says others: falling, from many small regions to few large ones."""
MOST_BYTES = 2**16


@dataclass(frozen=True)
class Neighbours:
    """percentiles: (101,) cosines of neighbouring cells, rising; tap: the number of the block, from 1, they are of."""

    tap: int
    percentiles: tuple[float, ...]

    def thresholds(self, quantiles: Sequence[float]) -> tuple[float, ...]:
        """The cosines at quantiles in [0, 1]."""
        return tuple(float(x) for x in np.interp(quantiles, np.linspace(0, 1, PERCENTS), self.percentiles))

    @classmethod
    def measured(cls, tap: int, cells: Iterable[np.ndarray]) -> Neighbours:
        """Of images by their cells (h, w, D), all pairs alike. Raises InputError where there is no pair."""
        cosines = [np.zeros(0, np.float32)]
        for grid in cells:
            vectors = unit(grid.reshape(-1, grid.shape[2]))
            pairs = grid_pairs(np.ones(grid.shape[:2], bool))
            cosines.append(np.einsum("ed,ed->e", vectors[pairs[:, 0]], vectors[pairs[:, 1]]))
        if not len(every := np.concatenate(cosines)):
            raise InputError("the images are of one cell each, too small to be merged; wanted larger ones")
        return cls(tap, tuple(round(float(x), 6) for x in np.percentile(every, np.arange(PERCENTS))))

    @classmethod
    def read(cls, folder: Path) -> Neighbours | None:
        """What a backbone's folder says, None where it does not. Raises InputError for a damaged file."""
        path = folder / NAME
        if not path.is_file():
            return None
        try:
            if path.stat().st_size > MOST_BYTES:
                raise ValueError("too large")
            stored = json.loads(path.read_text("utf-8"))
            tap, percentiles = int(stored["tap"]), tuple(float(x) for x in stored["percentiles"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{str(path)!r} is no table of similarities ({error}); remove it") from error
        rising = all(-1.001 <= a <= b <= 1.001 for a, b in zip(percentiles, percentiles[1:], strict=False))
        if tap < 1 or len(percentiles) != PERCENTS or not rising:
            raise InputError(f"{str(path)!r}: wanted a tap and {PERCENTS} rising cosines; remove it")
        return cls(tap, percentiles)

    def write(self, folder: Path) -> None:
        """Put it into a backbone's folder."""
        with atomic_path(folder / NAME) as path:
            path.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")


def cells_of(network: EntitySegmenter, tap: int) -> Callable[[np.ndarray], np.ndarray]:
    """What gives the vectors (h, w, D) of an image's cells, (H, W, 3) uint8, behind block `tap`, one of its backbone's
    taps; the image is brought to the nearest sides that are whole cells.
    """
    backbone = network.backbone
    position = backbone.taps.index(tap)

    @torch.inference_mode()
    def cells(image: np.ndarray) -> np.ndarray:
        stride = backbone.stride
        height, width = (max(1, round(side / stride)) * stride for side in image.shape[:2])
        if (height, width) != image.shape[:2]:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float().div_(255)
        return backbone(pixels.to(network.device))[position][0].permute(1, 2, 0).float().cpu().numpy()

    return cells
