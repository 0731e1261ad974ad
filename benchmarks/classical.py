"""What a user would do instead: three classical methods of scikit-image, tuned on the training images.

    tuned = tune(OtsuWatershed, train_samples, metric="aji", seconds_limit=120)
    prediction = tuned.method(image)

Each method is a frozen dataclass of its parameters with a literal grid of the values worth trying; applied to an image
it gives an `EntityMap`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from scipy import ndimage
from skimage.color import rgb2gray, rgb2hed, rgb2hsv
from skimage.filters import gaussian, sobel, threshold_otsu
from skimage.measure import label
from skimage.morphology import black_tophat, footprint_rectangle, h_maxima, white_tophat
from skimage.segmentation import felzenszwalb, find_boundaries, watershed

from domains.entities import EntityMap, EntitySample, renumber
from domains.metrics import MetricSet


class Classical(Protocol):
    """A method with its parameters set."""

    grid: ClassVar[Mapping[str, tuple]]

    def __call__(self, image: np.ndarray) -> EntityMap:
        """image (H, W, 3) uint8; every entity has a score."""
        ...


@dataclass(frozen=True)
class OtsuWatershed:
    """Nuclei: Otsu's threshold, then a watershed of the distance to the background, one basin per h-maximum of it.

    channel: the quantity that is high in a nucleus: `dark` or `bright` (grey values), `haematoxylin` (colour
    deconvolution after Ruifrok & Johnston, 2001), `saturation`.
    sigma_px: smoothing before the threshold. depth_px: how far the distance must fall between two nuclei.
    """

    channel: str = "dark"
    sigma_px: float = 1.0
    depth_px: float = 1.0
    min_area_px: int = 40

    grid: ClassVar[Mapping[str, tuple]] = {
        "channel": ("dark", "bright", "haematoxylin", "saturation"),
        "sigma_px": (0.5, 1.0, 2.0, 3.0),
        "depth_px": (0.5, 1.0, 2.0),
        "min_area_px": (20, 40, 80),
    }

    def __call__(self, image: np.ndarray) -> EntityMap:
        signal = gaussian(CHANNELS[self.channel](image), self.sigma_px)
        mask = ndimage.binary_fill_holes(signal > threshold_otsu(signal))
        distance = ndimage.distance_transform_edt(mask)
        markers = label(h_maxima(distance, self.depth_px))
        # A blob shallower than the depth has no maximum of its own: it is one nucleus.
        blobs, count = ndimage.label(mask)
        empty = ndimage.maximum(markers, blobs, np.arange(count + 1)) == 0
        markers = np.where(empty[blobs] & mask, blobs + markers.max(), markers)
        return _scored(_without_small(watershed(-distance, markers, mask=mask), self.min_area_px), signal)


@dataclass(frozen=True)
class TopHat:
    """Cracks and small defects: what differs from the grey-level closing (dark) or opening (bright) by a square.

    width_px: the square; anything narrower stands out. threshold: in grey values of [0, 1].
    """

    polarity: str = "dark"
    width_px: int = 15
    sigma_px: float = 1.0
    threshold: float = 0.1
    min_area_px: int = 100

    grid: ClassVar[Mapping[str, tuple]] = {
        "polarity": ("dark", "bright", "both"),
        "width_px": (7, 15, 31, 61),
        "sigma_px": (0.5, 1.0, 2.0),
        "threshold": (0.04, 0.07, 0.1, 0.15, 0.2, 0.3),
        "min_area_px": (20, 100, 300),
    }

    def __call__(self, image: np.ndarray) -> EntityMap:
        grey = gaussian(rgb2gray(image), self.sigma_px)
        square = footprint_rectangle((self.width_px, self.width_px), decomposition="separable")
        contrast = np.zeros_like(grey)
        if self.polarity in ("dark", "both"):
            contrast = black_tophat(grey, square)
        if self.polarity in ("bright", "both"):
            contrast = np.maximum(contrast, white_tophat(grey, square))
        return _scored(_without_small(label(contrast > self.threshold, connectivity=2), self.min_area_px), contrast)


@dataclass(frozen=True)
class Felzenszwalb:
    """Photographs: the graph-based partition of Felzenszwalb & Huttenlocher, IJCV 59, 2004; every pixel has an entity."""

    scale: float = 200.0
    sigma_px: float = 0.8
    min_area_px: int = 100

    grid: ClassVar[Mapping[str, tuple]] = {
        "scale": (50.0, 100.0, 200.0, 400.0, 800.0, 1600.0),
        "sigma_px": (0.5, 0.8, 1.5),
        "min_area_px": (50, 200, 500, 1000, 2000),
    }

    def __call__(self, image: np.ndarray) -> EntityMap:
        parts = felzenszwalb(image, scale=self.scale, sigma=self.sigma_px, min_size=self.min_area_px)
        return _scored(parts + 1, gaussian(rgb2gray(image), self.sigma_px))


METHODS: dict[str, type[Classical]] = {
    "otsu_watershed": OtsuWatershed,
    "black_tophat": TopHat,
    "felzenszwalb": Felzenszwalb,
}

CHANNELS = {
    "dark": lambda image: 1 - rgb2gray(image),
    "bright": rgb2gray,
    "haematoxylin": lambda image: rgb2hed(image)[..., 0],
    "saturation": lambda image: rgb2hsv(image)[..., 1],
}


class Tuned(NamedTuple):
    """The best setting found, its value on the training images, and how much of the grid was tried."""

    method: Classical
    value: float
    tried: int
    settings: int


def tune(
    method: type[Classical], samples: Sequence[EntitySample], metric: str, seconds_limit: float, seed: int = 0
) -> Tuned:
    """Random search without repetition over the method's grid, the defaults first, until the grid or the time ends.

    metric: a key of `METRICS`. Every setting that is tried sees every sample, so what the time buys is settings: give
    few samples where images are large. At least one setting is tried.
    """
    settings: list[dict[str, Any]] = [
        dict(zip(method.grid, values, strict=True)) for values in product(*method.grid.values())
    ]
    candidates = [method(), *(method(**settings[i]) for i in np.random.default_rng(seed).permutation(len(settings)))]
    start, best, best_value, tried = time.monotonic(), candidates[0], float("nan"), 0
    for candidate in candidates:
        if tried and time.monotonic() - start > seconds_limit:
            break
        value, tried = measure(candidate, samples, metric), tried + 1
        if value > best_value or np.isnan(best_value):
            best, best_value = candidate, value
    return Tuned(best, best_value, tried, len(candidates))


def measure(method: Classical, samples: Sequence[EntitySample], metric: str) -> float:
    """The metric of a method over samples."""
    metrics = MetricSet([metric])
    for sample in samples:
        metrics.update(method(sample.image), sample.truths, group=sample.place.scene)
    return metrics.compute()[metric]


def _without_small(ids: np.ndarray, min_area_px: int) -> np.ndarray:
    return np.where(np.bincount(ids.ravel())[ids] >= min_area_px, ids, 0)


def _scored(ids: np.ndarray, signal: np.ndarray) -> EntityMap:
    """A score in [0, 1] that ranks: the mean step of the signal along the entity's edge."""
    ids, kept = renumber(ids)
    edge = find_boundaries(ids, mode="inner")
    owner, step = ids[edge], sobel(signal)[edge]
    length = np.bincount(owner, minlength=len(kept) + 1)[1:]
    total = np.bincount(owner, step, minlength=len(kept) + 1)[1:]
    return EntityMap(ids, scores=np.clip(total / np.maximum(length, 1), 0, 1).astype(np.float32))
