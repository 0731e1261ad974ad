"""Images and maps at another size: images area-averaged or linear, ids by the nearest pixel and never mixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from domains.entities import EntityMap, EntitySample, renumber


def resize_sample(sample: EntitySample, factor: float) -> EntitySample:
    """The sample `factor` times as large (2.0: every pixel becomes 2 x 2), its pixel size divided by as much."""
    if factor == 1.0:
        return sample
    height, width = sample.image.shape[:2]
    shape = (max(1, round(height * factor)), max(1, round(width * factor)))
    size_m = sample.place.pixel_size_m
    return EntitySample(
        image=resize_image(sample.image, shape),
        truths=tuple(resize_map(truth, shape) for truth in sample.truths),
        place=replace(sample.place, pixel_size_m=None if size_m is None else size_m / factor),
    )


def resize_image(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W, C) uint8 to `shape` (height, width): area-averaged when it shrinks, linear when it grows."""
    if image.shape[:2] == shape:
        return image
    shrinks = shape[0] * shape[1] < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return by_few_channels(lambda part: cv2.resize(part, (shape[1], shape[0]), interpolation=how), image)


def by_few_channels(change: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """(H, W, C) through one of OpenCV's functions for up to four channels."""
    channels = image.shape[2]
    if channels <= 4:
        return change(image)
    parts = [change(np.ascontiguousarray(image[..., i : i + 4])) for i in range(0, channels, 4)]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)  # OpenCV drops a single one


def resize_map(entities: EntityMap, shape: tuple[int, int]) -> EntityMap:
    """The map at `shape` (height, width) by the nearest pixel; an entity that no pixel hits is gone with its score.

    Takes truth to the network's scale, and a prediction back to the size of the image it was made for.
    """
    if entities.shape == shape:
        return entities
    dense, kept = renumber(resize_ids(entities.ids, shape))
    position = np.zeros(entities.count + 1, np.int32)
    position[kept] = np.arange(1, len(kept) + 1)

    def pick(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[kept - 1]

    parents = None if entities.parents is None else position[entities.parents[kept - 1]]
    scores, labels = pick(entities.scores), pick(entities.labels)
    pixels = None if entities.pixel_scores is None else resize_ids(entities.pixel_scores, shape)
    return replace(entities, ids=dense, scores=scores, labels=labels, parents=parents, pixel_scores=pixels)


def resize_ids(ids: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) of any numbers to `shape`: the pixel under each new pixel's centre. Exact for every id."""
    rows, columns = (
        np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(np.intp)
        for old, new in zip(ids.shape, shape, strict=True)
    )
    return ids[rows][:, columns]
