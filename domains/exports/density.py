"""Entities per square millimetre, as a small picture of the slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tifffile

from domains.errors import InputError
from domains.exports.destination import Destination
from domains.scenes.results import SOFTWARE
from domains.tiling.prediction import Prediction

CELL_UM = 100.0


@dataclass(frozen=True)
class DensityTiff:
    """`<name>.density.tif`: float32 entities per mm2, in cells of `CELL_UM`, whose size the resolution tags give.

    The first page is of all entities; where these were labelled a page of each class follows, which its description
    and its name say.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def files(self, name: str) -> tuple[str, ...]:
        """The density map of an image."""
        return (f"{name}.density.tif",)

    def stream(self, prediction: Prediction) -> None:
        """Write the density map of a scene. Raises InputError without pixel size."""
        place = prediction.place
        if place.pixel_size_m is None:
            raise InputError(
                f"{place.scene!r}: a density map wants the size of a pixel, the image does not say it; say it by "
                "--pixel-size, such as 0.25"
            )
        table = prediction.entities
        centroids = np.stack([table.centroid_y, table.centroid_x], 1).astype(float).reshape(-1, 2)
        chosen = {"": np.ones(len(centroids), bool)}
        if prediction.classes and table.labels is not None:
            chosen |= {name: table.labels == label for label, name in enumerate(prediction.classes)}
        with self.destination.writing(*self.files(prediction.name)) as path, tifffile.TiffWriter(path) as tiff:
            for label, kept in chosen.items():
                tiff.write(
                    density_map(centroids[kept], prediction.shape, place.pixel_size_m),
                    compression="zlib",
                    photometric="minisblack",
                    resolution=(1e4 / CELL_UM, 1e4 / CELL_UM),
                    resolutionunit="CENTIMETER",
                    description=described(label),
                    metadata=None,
                    software=SOFTWARE,
                )

    def close(self) -> None:
        """All is written."""


def described(label: str) -> str:
    """What a page shows, in the ASCII that TIFF's descriptions have; "": all entities."""
    of = f" of class {label.encode('ascii', 'backslashreplace').decode()}" if label else ""
    return f"entities{of} per square millimetre"


def density_map(
    centroids: np.ndarray, shape: tuple[int, int], pixel_size_m: float, cell_um: float = CELL_UM
) -> np.ndarray:
    """(h, w) float32 entities per mm2 in cells of `cell_um`; those at the right and lower border by what they hold.

    centroids: (N, 2) y, x in pixels of the scene of `shape` (height, width).
    """
    cell_px = cell_um * 1e-6 / pixel_size_m
    rows, columns = (max(1, int(np.ceil(length / cell_px - 1e-6))) for length in shape)
    where = np.minimum((np.asarray(centroids).reshape(-1, 2) / cell_px).astype(np.int64), [rows - 1, columns - 1])
    counts = np.bincount(where[:, 0] * columns + where[:, 1], minlength=rows * columns).reshape(rows, columns)
    tall, wide = (
        np.minimum(np.arange(1, n + 1) * cell_px, length) - np.arange(n) * cell_px
        for n, length in zip((rows, columns), shape, strict=True)
    )
    area_mm2 = tall[:, None] * wide * (pixel_size_m * 1e3) ** 2
    return (counts / area_mm2).astype(np.float32)
