"""Rasters that lie side by side on the ground, and which of them a split must keep together.

Rasters that overlap are one group. Those that only touch are one too, as long as three groups or more remain; a mosaic
of tiles, of which all touch, is cut into `PER_SIDE` by `PER_SIDE` cells instead, and of a tile that one of another cell
lies beside a rim is left out, as between the blocks of one raster (`domains.formats.blocks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from domains.errors import InputError
from domains.formats.blocks import GAP_PX, LEAST_RASTERS, PER_SIDE
from domains.scenes.georeference import Georeference
from domains.scenes.ground import WGS84, moved, transformer

STEPS = 5  # points of a side that is brought to another CRS
ONE_GROUP = (
    "all rasters overlap, so they are one group and fill one split; merge them into one raster (gdal_merge.py), which "
    "is split by blocks, or name groups in groups.csv"
)


class Raster(NamedTuple):
    """georeference: None where a file does not say its place; then it has no neighbour. shape: (height, width).
    group: those of one name are a group wherever they lie, "" for none. split: whether it has a split of its own, which
    neighbours do not change.
    """

    georeference: Georeference | None
    shape: tuple[int, int]
    group: str = ""
    split: bool = False


class Placed(NamedTuple):
    """groups: (R,) the first raster of each one's group. rims_px: (R,) of each raster, what is left out all around."""

    groups: np.ndarray
    rims_px: np.ndarray


def placed(rasters: Sequence[Raster]) -> Placed:
    """The groups of rasters that touch or overlap, and how broad a rim of each is left out."""
    if all(raster.split for raster in rasters):
        return Placed(np.arange(len(rasters)), np.zeros(len(rasters), int))
    margins = np.array([min(GAP_PX // 2, min(raster.shape) // 8) for raster in rasters])
    wide, narrow = boxes(rasters, margins), boxes(rasters, -margins)
    touching, overlapping, named = shared(wide), shared(narrow), same_names(rasters)
    groups = joined(len(rasters), touching, named)
    if len({*groups}) < LEAST_RASTERS <= len(rasters) and np.isfinite(wide).any():
        groups = cells(narrow, joined(len(rasters), overlapping, named))
    foreign = touching[groups[touching[:, 0]] != groups[touching[:, 1]]]
    rims = np.zeros(len(rasters), int)
    rims[foreign.ravel()] = margins[foreign.ravel()]
    return Placed(groups, rims)


def boxes(rasters: Sequence[Raster], margins_px: np.ndarray) -> np.ndarray:
    """(R, 4) least x, y and largest x, y on the map, each made larger by its margin; NaN where no place is said.

    In the CRS of all, or in degrees where there are several and pyproj brings them there.
    """
    several = len({raster.georeference.crs for raster in rasters if raster.georeference}) > 1
    corners = np.full((len(rasters), 4), np.nan)
    along, middle = np.linspace(0, 1, STEPS), None
    rim = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    for i, (georeference, (height, width), *_) in enumerate(rasters):
        if georeference is None:
            continue
        points = georeference.to_map(rim * (width + 2 * margins_px[i], height + 2 * margins_px[i]) - margins_px[i])
        if several:
            try:
                points = moved(transformer(georeference.crs, WGS84), points)
            except InputError:  # without pyproj, or a CRS without a place on the Earth
                continue
            middle = points[0, 0] if middle is None else middle  # across 180 degrees longitudes go on
            points[:, 0] = middle + (points[:, 0] - middle + 180) % 360 - 180
        corners[i] = *points.min(axis=0), *points.max(axis=0)
    return corners


def shared(boxes: np.ndarray) -> np.ndarray:
    """(P, 2) pairs of boxes that share some area."""
    pairs = [np.zeros((0, 2), int)]
    for i in range(len(boxes) - 1):
        box, later = boxes[i], boxes[i + 1 :]
        meets = (box[:2] < later[:, 2:]).all(axis=1) & (later[:, :2] < box[2:]).all(axis=1)
        pairs.append(np.stack([np.full(meets.sum(), i), i + 1 + np.flatnonzero(meets)], axis=1))
    return np.concatenate(pairs)


def same_names(rasters: Sequence[Raster]) -> np.ndarray:
    """(P, 2) each raster whose group has a name, and the first of that name."""
    leaders: dict[str, int] = {}
    pairs = [(leaders.setdefault(raster.group, i), i) for i, raster in enumerate(rasters) if raster.group]
    return np.array(pairs, int).reshape(-1, 2)


def joined(count: int, *pairs: np.ndarray) -> np.ndarray:
    """(count,) the first member of each one's group."""
    every = np.concatenate(pairs)
    graph = coo_array((np.ones(len(every), bool), every.T), shape=(count, count))
    labels = connected_components(graph, directed=False)[1] if count else np.zeros(0, int)
    return np.unique(labels, return_index=True)[1][labels]


def cells(boxes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(R,) groups, of which those whose first members lie in one cell of the whole are one."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    low, high = np.nanmin(boxes[:, :2], axis=0), np.nanmax(boxes[:, 2:], axis=0)
    cell = np.nan_to_num((middle - low) / (high - low) * PER_SIDE).astype(int)[groups]
    number = np.where(np.isnan(middle[groups, 0]), -1 - groups, cell @ (PER_SIDE, 1))
    return np.unique(number, return_index=True)[1][np.unique(number, return_inverse=True)[1]]
