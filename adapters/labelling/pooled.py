"""What tells entities apart, in numbers: the backbone's features over each, its colours, and its shape."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from scipy.ndimage import find_objects
from scipy.sparse import coo_array

from adapters.network import EntitySegmenter, pad_to, to_tensor
from adapters.options.labels import SHAPE_NUMBERS

RING_PX = 4
"""What is beside an entity reaches so many pixels from its box, or half of its side, whichever is more."""
FAINTEST = 1e-3
"""A step between neighbouring pixels of [0, 1] that counts as none."""


class Blocks(NamedTuple):
    """How many numbers of an entity are of what: features, colours, shape."""

    features: int
    colours: int
    shape: int

    @classmethod
    def of(cls, segmenter: EntitySegmenter) -> Blocks:
        """Those of a network: the mean of each tap's features; spread and contrast of each channel; its shape."""
        backbone = segmenter.backbone
        return cls(backbone.dim * len(backbone.taps), 2 * segmenter.channels, SHAPE_NUMBERS)


def describe(segmenter: EntitySegmenter, image: np.ndarray, ids: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """(n, sum(Blocks)) float32 of entities of one tile.

    image: (h, w, C) uint8 as the network sees it; ids: (h, w) of its entities; numbers: (n,) those that are described,
    ascending, each with a pixel in the tile. Colours are spread and contrast, not brightness, which is the lamp's.
    """
    dense = np.searchsorted(numbers, ids).clip(max=len(numbers) - 1)
    dense = np.where(numbers[dense] == ids, dense + 1, 0).astype(np.int32)
    pooled = pooled_features(segmenter, image, dense, len(numbers))
    pixels = image.astype(np.float32) / 255
    outlined = [
        of_box(pixels, dense, number, box) for number, box in enumerate(find_objects(dense), start=1) if box is not None
    ]
    return np.hstack([pooled, np.array(outlined, np.float32).reshape(len(numbers), -1)])


@torch.inference_mode()
def pooled_features(segmenter: EntitySegmenter, image: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    """(count, taps * D) float32: the mean of the backbone's features over the pixels of entities 1..count."""
    stride = segmenter.backbone.stride
    images = pad_to(to_tensor(image), stride)[None].to(segmenter.device)
    with segmenter.runtime.autocast():
        images = images if segmenter.projection is None else segmenter.projection(images)
        taps = segmenter.backbone(images)
    features = torch.cat([tap[0].float() for tap in taps]).cpu()  # (taps * D, h / stride, w / stride)
    y, x = np.nonzero(ids)
    cell = y // stride * features.shape[2] + x // stride
    shares = coo_array((np.ones(len(y), np.float32), (ids[y, x] - 1, cell)), (count, features[0].numel())).tocsr()
    sums = shares @ features.flatten(1).mT.numpy()
    return sums / np.bincount(ids[y, x], minlength=count + 1)[1:, None].clip(1).astype(np.float32)


def of_box(pixels: np.ndarray, ids: np.ndarray, number: int, box: tuple[slice, ...]) -> np.ndarray:
    """(2 C + SHAPE_NUMBERS,) of one entity: spread of its channels, their contrast with what is beside it, shape."""
    rows, columns = (widened(side, length) for side, length in zip(box, ids.shape, strict=True))
    inside = ids[rows, columns] == number
    near = pixels[rows, columns]
    within, beside = near[inside], near[~inside]
    contrast = within.mean(0) - beside.mean(0) if len(beside) else np.zeros(pixels.shape[2])
    return np.hstack([within.std(0), contrast, shape_of(inside), np.log(roughness(near, inside) + FAINTEST)])


def widened(side: slice, length: int) -> slice:
    """A side of a box with what is beside it, within 0..length."""
    reach = max(RING_PX, (side.stop - side.start) // 2)
    return slice(max(0, side.start - reach), min(length, side.stop + reach))


def roughness(pixels: np.ndarray, inside: np.ndarray) -> float:
    """The mean step between neighbouring pixels inside a mask, in [0, 1]."""
    grey = pixels.mean(2)
    if min(grey.shape) < 2:
        return 0.0
    return float(np.hypot(*np.gradient(grey))[inside].mean())


def shape_of(inside: np.ndarray) -> np.ndarray:
    """(SHAPE_NUMBERS - 1,) of a mask (h, w): size, longest side, slimness, and how it fills boxes and its hull."""
    area = inside.sum()
    outlines, _ = cv2.findContours(np.pad(inside.astype(np.uint8), 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate(outlines)
    length = sum(cv2.arcLength(outline, True) for outline in outlines)
    sides = np.array(cv2.minAreaRect(points)[1]) + 1  # between the middles of pixels
    hull = cv2.contourArea(cv2.convexHull(points)) + length / 2 + 1
    height, width = (np.ptp(points[:, 0, axis]) + 1 for axis in (1, 0))
    return np.array(
        [
            np.log(area),
            np.log(sides.max()),
            np.log(sides.min() / sides.max()),
            np.log((length + 4) ** 2 / area),
            area / sides.prod(),
            area / (height * width),
            area / hull,
            len(outlines),
        ]
    )
