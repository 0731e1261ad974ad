"""Dense regression targets from an entity map, after micro-sam's AIS decoder.

Archit et al., Segment Anything for Microscopy, Nature Methods 2025: foreground, distance to the boundary and
distance to the centre. Departure: both distances are capped before they are normalised, so that the field of a
large entity has its slope where a small receptive field can see it, next to the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

CAP_PX = 16.0  # beyond this depth every pixel counts as core


@dataclass(frozen=True)
class DenseTargets:
    """All (B, H, W) float32 in [0, 1]; `labelled` and `foreground` are 0 or 1.

    boundary_distance: depth inside the entity over the entity's greatest depth; 1 at the core, 0 off entities.
    centre_distance: distance to the entity's deepest point over the greatest such distance; 0 at the centre.
    """

    labelled: Tensor
    foreground: Tensor
    boundary_distance: Tensor
    centre_distance: Tensor

    @classmethod
    def of(cls, ids: Tensor) -> DenseTargets:
        """Targets of a batch of maps (B, H, W); computed on the CPU, returned on the maps' device."""
        maps = [_one(one) for one in ids.cpu().numpy()]
        stacked = [torch.from_numpy(np.stack(field)).to(ids.device) for field in zip(*maps, strict=True)]
        return cls(**{field.name: value for field, value in zip(fields(cls), stacked, strict=True)})


def _one(ids: np.ndarray) -> tuple[np.ndarray, ...]:
    foreground = ids > 0
    labelled = (ids >= 0).astype(np.float32)
    count = int(ids.max(initial=0))
    if count == 0:
        empty = np.zeros(ids.shape, np.float32)
        return labelled, empty, empty, empty
    depth = depth_inside(ids)
    index = np.arange(1, count + 1)
    entity = np.maximum(ids, 0)

    deepest = np.concatenate([[1.0], ndimage.maximum(depth, entity, index)])
    capped = np.minimum(depth, CAP_PX) / np.minimum(np.maximum(deepest, 1.0), CAP_PX)[entity]

    centres = np.array(ndimage.maximum_position(depth, entity, index), np.float32)  # (N, 2)
    centres = np.concatenate([np.zeros((1, 2), np.float32), centres])[entity]  # (H, W, 2)
    grid = np.moveaxis(np.mgrid[: ids.shape[0], : ids.shape[1]], 0, -1).astype(np.float32)
    reach = np.linalg.norm(grid - centres, axis=-1)
    farthest = np.concatenate([[1.0], ndimage.maximum(reach, entity, index)])
    centred = reach / np.maximum(farthest, 1.0)[entity]
    return (
        labelled,
        foreground.astype(np.float32),
        np.where(foreground, capped, 0).astype(np.float32),
        np.where(foreground, centred, 0).astype(np.float32),
    )


def depth_inside(ids: np.ndarray) -> np.ndarray:
    """(H, W) float32 pixels from each entity pixel to the nearest pixel that is not of its entity; 0 off entities.

    One distance transform for all entities: each one's own inner rim lies between it and any other rim. The frame of
    the image and unlabelled pixels are no boundary: what was cut by a crop goes on there.
    """
    rim = inner_rim(ids)
    if not rim.any():
        return np.where(ids > 0, np.float32(max(ids.shape)), np.float32(0))
    depth = np.asarray(ndimage.distance_transform_edt(~rim)) + 1.0
    return np.where(ids > 0, depth, 0).astype(np.float32)


def inner_rim(ids: np.ndarray) -> np.ndarray:
    """(H, W) bool: entity pixels with a labelled 4-neighbour that is not of the same entity."""
    rim = np.zeros(ids.shape, bool)
    for here, there in (
        (np.s_[1:], np.s_[:-1]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:, :-1], np.s_[:, 1:]),
    ):
        rim[here] |= (ids[here] > 0) & (ids[there] >= 0) & (ids[here] != ids[there])
    return rim
