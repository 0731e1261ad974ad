"""How alike neighbouring cells are, by a frozen backbone and by colour: what thresholds of merging mean.

A cell's vector is its features beside its colour, at equal weight: the cosine of two is the mean of that of their
features and of a Gaussian kernel of their distance in CIE Lab, which is a dot product by random Fourier features
(Rahimi and Recht, NeurIPS 2007). A small backbone tells textures apart better than colours.

A cosine of .6 says "the same thing" of one backbone and nothing of another, so thresholds are said as quantiles of the
cosines between neighbouring cells, measured on the images at hand. A backbone's folder may hold their percentiles in
`merging.json` instead.
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
COLOUR_SIGMA = 25.0
"""Distance in CIE Lab at which the kernel of colours has fallen to .61."""
FREQUENCIES = 64
"""Of the kernel."""


@dataclass(frozen=True)
class Neighbours:
    """percentiles: (101,) cosines of neighbouring cells, rising; tap: the number of the block, from 1, they are of;
    colour_sigma: of the kernel of colours in them.
    """

    tap: int
    percentiles: tuple[float, ...]
    colour_sigma: float = COLOUR_SIGMA

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
        """What a backbone's folder says, None where it does not, or of another kernel. Raises InputError for a damaged
        file.
        """
        path = folder / NAME
        if not path.is_file():
            return None
        try:
            if path.stat().st_size > MOST_BYTES:
                raise ValueError("too large")
            stored = json.loads(path.read_text("utf-8"))
            tap, percentiles = int(stored["tap"]), tuple(float(x) for x in stored["percentiles"])
            colour_sigma = float(stored.get("colour_sigma", 0))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{str(path)!r} is no table of similarities ({error}); remove it") from error
        rising = all(-1.001 <= a <= b <= 1.001 for a, b in zip(percentiles, percentiles[1:], strict=False))
        if tap < 1 or len(percentiles) != PERCENTS or not rising:
            raise InputError(f"{str(path)!r}: wanted a tap and {PERCENTS} rising cosines; remove it")
        return cls(tap, percentiles) if colour_sigma == COLOUR_SIGMA else None

    def write(self, folder: Path) -> None:
        """Put it into a backbone's folder."""
        with atomic_path(folder / NAME) as path:
            path.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")


def cells_of(network: EntitySegmenter, tap: int) -> Callable[[np.ndarray], np.ndarray]:
    """What gives the vectors (h, w, D + 64) of the cells of an image (H, W, 3) uint8: features behind block `tap`, one
    of the backbone's taps, and colour. The image is brought to the nearest sides that are whole cells.
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
        features = backbone(pixels.to(network.device))[position][0].permute(1, 2, 0).float().cpu().numpy()
        directions = unit(features.reshape(-1, features.shape[2])).reshape(features.shape)
        return np.concatenate([directions, colours_of(image, features.shape[:2])], 2)

    return cells


def colours_of(image: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(h, w, 64) float32 of length about 1, of the mean colours of the cells of an image (H, W, 3) uint8: their
    products are a Gaussian kernel of the distance in CIE Lab.
    """
    mean = cv2.resize(image.astype(np.float32) / 255, grid[::-1], interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(mean, cv2.COLOR_RGB2LAB) / COLOUR_SIGMA
    drawn = np.random.default_rng(0)
    directions, phases = drawn.normal(size=(3, FREQUENCIES)), drawn.uniform(0, 2 * np.pi, FREQUENCIES)
    return (np.cos(lab @ directions + phases) * np.sqrt(2 / FREQUENCIES)).astype(np.float32)
