"""Dense regression targets from an entity map, after micro-sam's AIS decoder.

Archit et al., Segment Anything for Microscopy, Nature Methods 2025: foreground, distance to the boundary and
distance to the centre. Departure: both distances are capped before they are normalised, so that the field of a
large entity has its slope where a small receptive field can see it, next to the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
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
        maps = [_one(image_ids) for image_ids in ids.cpu().numpy()]
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
    pixels = np.flatnonzero(ids)  # every step of a fit comes here: only entities' pixels are worked on
    pixels = pixels[ids.flat[pixels] > 0]
    entity, deep = ids.flat[pixels], depth.flat[pixels]

    deepest = largest_of(entity, deep, count)
    capped = np.minimum(deep, CAP_PX) / np.minimum(np.maximum(deepest, 1.0), CAP_PX)[entity]

    y, x = np.divmod(pixels, ids.shape[1])
    top = np.flatnonzero(deep == deepest[entity])[::-1]  # written backwards, so that the first of equals stays
    centres = np.zeros((2, count + 1), np.float32)
    centres[:, entity[top]] = y[top], x[top]
    reach = np.hypot(y - centres[0, entity], x - centres[1, entity])
    centred = reach / np.maximum(largest_of(entity, reach, count), 1.0)[entity]
    distances = np.zeros((2, *ids.shape), np.float32)
    distances.reshape(2, -1)[:, pixels] = capped, centred
    return labelled, foreground.astype(np.float32), distances[0], distances[1]


def largest_of(entity: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """(count + 1,) float32: by entity the largest of its values, all 0 or more; 0 where it has none."""
    largest = np.zeros(count + 1, np.float32)
    np.maximum.at(largest, entity, values.astype(np.float32))
    return largest


def depth_inside(ids: np.ndarray) -> np.ndarray:
    """(H, W) float32 pixels from each entity pixel to the nearest pixel that is not of its entity; 0 off entities.

    One distance transform for all entities: each one's own inner rim lies between it and any other rim. The frame of
    the image and unlabelled pixels are no boundary: what was cut by a crop goes on there.
    """
    rim = inner_rim(ids)
    if not rim.any():
        return np.where(ids > 0, np.float32(max(ids.shape)), np.float32(0))
    depth = cv2.distanceTransform((~rim).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) + 1.0
    return np.where(ids > 0, depth, 0).astype(np.float32)


def inner_rim(ids: np.ndarray) -> np.ndarray:
    """(H, W) bool: entity pixels with a labelled 4-neighbour that is not of the same entity."""
    rim = np.zeros(ids.shape, bool)
    for pixel, neighbour in (
        (np.s_[1:], np.s_[:-1]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:, :-1], np.s_[:, 1:]),
    ):
        rim[pixel] |= (ids[pixel] > 0) & (ids[neighbour] >= 0) & (ids[pixel] != ids[neighbour])
    return rim
