"""Entities per square millimetre, as a small picture of the slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from domains.atomic import atomic_path
from domains.errors import InputError

CELL_UM = 100.0


def density_map(
    centroids: np.ndarray, shape: tuple[int, int], pixel_size_m: float, cell_um: float = CELL_UM
) -> np.ndarray:
    """(h, w) float32 entities per mm2 in cells of `cell_um`; those at the right and lower border by what they hold.

    centroids: (N, 2) y, x in pixels of the scene of `shape` (height, width).
    """
    cell_px = cell_um * 1e-6 / pixel_size_m
    rows, columns = (max(1, int(np.ceil(length / cell_px))) for length in shape)
    where = np.minimum((np.asarray(centroids).reshape(-1, 2) / cell_px).astype(np.int64), [rows - 1, columns - 1])
    counts = np.bincount(where[:, 0] * columns + where[:, 1], minlength=rows * columns).reshape(rows, columns)
    tall, wide = (
        np.minimum(np.arange(1, n + 1) * cell_px, length) - np.arange(n) * cell_px
        for n, length in zip((rows, columns), shape, strict=True)
    )
    area_mm2 = tall[:, None] * wide * (pixel_size_m * 1e3) ** 2
    return (counts / area_mm2).astype(np.float32)


def write_density(
    path: Path, centroids: np.ndarray, shape: tuple[int, int], pixel_size_m: float | None, cell_um: float = CELL_UM
) -> None:
    """The map as a float32 TIFF whose resolution tags give the size of a cell. Raises InputError without pixel size."""
    if pixel_size_m is None:
        raise InputError(
            "a density map wants the size of a pixel, the image does not say it; say it by --pixel-size, such as 0.25"
        )
    values = density_map(centroids, shape, pixel_size_m, cell_um)
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            values,
            compression="zlib",
            photometric="minisblack",
            resolution=(1e4 / cell_um, 1e4 / cell_um),
            resolutionunit="CENTIMETER",
            description="entities per square millimetre",
        )
