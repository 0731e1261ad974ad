"""How an entity looks, in a way that outlasts lamps, codecs, crops and networks: by thumbnails.

Features of a backbone's cells move by half a cell with the crop, and entities are often no larger than a cell: between
two crops of a slide, among 324 nuclei, they were most alike of the same one in 4 of 100 cases. Thumbnails that are
centred on the entity and free of brightness and contrast were so in 91, and they need no network (`docs/ids.md`).
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 12
"""Cells down and across the thumbnail of an entity with what is beside it,"""
AROUND, BESIDE_PX = 3.0, 6.0
"""which shows so many sides of it (the root of its area), and so many pixels more."""
ALONE_SIDE = 8
"""Cells down and across the thumbnail of its own pixels,"""
ALONE_AROUND = 1.8
"""which shows so many sides of it."""
SURROUNDED, LENGTH = SIDE**2, SIDE**2 + ALONE_SIDE**2
FLAT = 1e-3
"""A thumbnail of a smaller contrast (norm of [0, 1] values) shows nothing."""
FINEST = 4
"""Samples down and across a cell, of which the mean is taken, at most."""


def looks_of(
    image: np.ndarray, ids: np.ndarray, numbers: np.ndarray, centres: np.ndarray, areas: np.ndarray
) -> np.ndarray:
    """(N, LENGTH) float32: `SURROUNDED` numbers of each entity with its ground, the others of its own pixels alone, as
    `unit` has them.

    image: (H, W, 3) uint8; ids: (H, W) in which the entities are `numbers` (N,); centres: (N, 2) y and x; areas: (N,)
    pixels. The border is mirrored beyond the image.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    looks = np.zeros((len(areas), LENGTH), np.float32)
    for row, (number, (y, x), area) in enumerate(zip(numbers.tolist(), centres, areas, strict=True)):
        side = np.sqrt(area)
        looks[row, :SURROUNDED] = normal(cells_of(grey, places(y, x, AROUND * side + BESIDE_PX, SIDE), SIDE))
        at = places(y, x, ALONE_AROUND * side + 1, ALONE_SIDE)
        inside = mask_at(ids, number, at)
        values = cells_of(grey, at, ALONE_SIDE, inside)
        fine = len(inside) // ALONE_SIDE
        covered = np.asarray(inside.reshape(ALONE_SIDE, fine, ALONE_SIDE, fine).any((1, 3)))
        looks[row, SURROUNDED:] = normal(values, covered)
    return unit(looks)


def unit(looks: np.ndarray) -> np.ndarray:
    """(N, LENGTH) with each kind of length sqrt(1/2), or 0 where there is nothing to see, so that the product of two
    looks is the mean of two cosines.
    """
    kinds = looks[:, :SURROUNDED], looks[:, SURROUNDED:]
    norms = [np.linalg.norm(kind, axis=1, keepdims=True) for kind in kinds]
    scaled = [kind * np.sqrt(0.5) / np.where(norm > 0, norm, 1) for kind, norm in zip(kinds, norms, strict=True)]
    return np.hstack(scaled).astype(np.float32)


def with_ground(looks: np.ndarray) -> np.ndarray:
    """(N, SURROUNDED) of entities with what is beside them, of length 1 or 0."""
    return looks[:, :SURROUNDED] * np.float32(np.sqrt(2))


def without_ground(looks: np.ndarray) -> np.ndarray:
    """(N, ALONE_SIDE**2) of entities without their ground, of length 1 or 0."""
    return looks[:, SURROUNDED:] * np.float32(np.sqrt(2))


def places(y: float, x: float, side_px: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, n) float32 rows and columns of the samples of a square around a point, whose cells have equally many."""
    count = cells * int(np.clip(side_px / cells, 1, FINEST))
    at = (np.arange(count) + 0.5) * side_px / count - side_px / 2
    columns, rows = np.meshgrid((x + at).astype(np.float32), (y + at).astype(np.float32))
    return rows, columns


def cells_of(
    grey: np.ndarray, at: tuple[np.ndarray, np.ndarray], cells: int, inside: np.ndarray | None = None
) -> np.ndarray:
    """(cells, cells) float32 in [0, 1]: the mean of the samples of each cell, of those inside alone; 0 without any."""
    samples = cv2.remap(grey, at[1], at[0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT).astype(np.float32) / 255
    weights = np.ones_like(samples) if inside is None else inside.astype(np.float32)
    shape = cells, len(samples) // cells, cells, len(samples) // cells
    sums, counts = (values.reshape(shape).sum((1, 3)) for values in (samples * weights, weights))
    return sums / np.maximum(counts, 1)


def mask_at(ids: np.ndarray, number: int, at: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(n, n) bool: whether the nearest pixel of each sample is one of the entity's; False beyond the map."""
    rows, columns = (np.rint(axis).astype(np.intp) for axis in at)
    within = (rows >= 0) & (columns >= 0) & (rows < ids.shape[0]) & (columns < ids.shape[1])
    nearest = ids[rows.clip(0, ids.shape[0] - 1), columns.clip(0, ids.shape[1] - 1)]
    return within & (nearest == number)


def normal(cells: np.ndarray, covered: np.ndarray | None = None) -> np.ndarray:
    """(n,) of mean 0 and length 1 over the cells that are covered; 0 elsewhere, and where there is no contrast."""
    covered = np.full(cells.shape, True) if covered is None else covered
    values = np.where(covered, cells - cells[covered].mean() if covered.any() else 0, 0)
    norm = np.linalg.norm(values)
    return (values / norm if norm >= FLAT else np.zeros_like(values)).ravel()
