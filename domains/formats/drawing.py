"""Entity maps from what annotators left: overlapping regions, binary masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from domains.entities import EntityMap
from domains.errors import InputError


def components(mask: np.ndarray, smallest_px: int = 1) -> np.ndarray:
    """(H, W) int32 ids of the 8-connected components of a boolean mask that have at least `smallest_px` pixels."""
    ids = np.empty(mask.shape, np.int32)
    ndimage.label(mask, np.ones((3, 3), bool), output=ids)
    areas = np.bincount(ids.ravel())
    return _numbered(areas >= smallest_px)[ids]


def paint(
    regions: Sequence[np.ndarray],
    shape: tuple[int, int],
    levels: Sequence[float] | None = None,
    entities: Sequence[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(ids, kept): regions, flat pixel indices, become one map, numbered 1..N; kept (N,) says which entities they are.

    levels: the region of the highest lies on top. entities: 0..E-1, the entity of each region; else each is one. Of one
    level the smaller entity of two that overlap lies on top, by the rule of `EntityMap.from_masks` without N x H x W
    bytes; what is hidden whole is dropped.
    """
    owners = range(len(regions)) if entities is None else entities
    heights = [0.0] * len(regions) if levels is None else levels
    sizes: Counter[int] = Counter()
    for owner, region in zip(owners, regions, strict=True):
        sizes[owner] += len(region)
    ids = np.zeros(shape, np.int32)
    for i in sorted(range(len(regions)), key=lambda i: (heights[i], -sizes[owners[i]])):
        ids.flat[regions[i]] = owners[i] + 1
    seen = np.bincount(ids.ravel(), minlength=len(sizes) + 1) > 0
    return _numbered(seen)[ids], np.flatnonzero(seen[1:])


def painted(
    regions: Sequence[np.ndarray], labels: Sequence[int], vocabulary: tuple[str, ...], shape: tuple[int, int]
) -> EntityMap:
    """The map of `paint` with the class of every region, an index into the vocabulary."""
    ids, kept = paint(regions, shape)
    return EntityMap(ids, labels=np.array(labels, np.int32)[kept], vocabulary=vocabulary)


def of_class(ids: np.ndarray, label: int, vocabulary: tuple[str, ...]) -> EntityMap:
    """A map numbered 1..N whose entities are all of one class."""
    truth = EntityMap(ids)
    return EntityMap(ids, labels=np.full(truth.count, label, np.int32), vocabulary=vocabulary)


def _numbered(chosen: np.ndarray) -> np.ndarray:
    """The new id of each old one, int32: 1..N for the chosen ones, 0 for the rest and for 0."""
    chosen = chosen & (np.arange(len(chosen)) > 0)
    return np.where(chosen, np.cumsum(chosen), 0).astype(np.int32)


def same_size(image: Path, shape: tuple[int, int], truth: Path, truth_shape: tuple[int, ...]) -> None:
    """Raises InputError naming both files and sizes, as width x height."""
    if tuple(shape) != tuple(truth_shape):
        turned = "; one of the two is turned by 90 degrees" if tuple(shape) == tuple(truth_shape)[::-1] else ""
        raise InputError(
            f"{str(truth)!r}: wanted the size of its image {str(image)!r}, {shape[1]} x {shape[0]}, "
            f"got {truth_shape[1]} x {truth_shape[0]}{turned}; export the pair again"
        )
