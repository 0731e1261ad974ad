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
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter, maximum_filter
from skimage.color import rgb2gray, rgb2hed, rgb2hsv
from skimage.filters import sobel, threshold_otsu
from skimage.morphology import black_tophat, footprint_rectangle, white_tophat
from skimage.segmentation import felzenszwalb, find_boundaries, watershed

from domains.entities import EntityMap, EntitySample, renumber
from domains.formats.drawing import components
from domains.metrics import MetricSet


class Classical(Protocol):
    """A method with its parameters set."""

    grid: ClassVar[Mapping[str, tuple]]

    def __call__(self, image: np.ndarray) -> EntityMap:
        """image (H, W, 3) uint8; every entity has a score."""
        ...


@dataclass(frozen=True)
class OtsuWatershed:
    """Nuclei: Otsu's threshold, then a watershed of the distance to the background, one basin per peak of it.

    channel: the quantity that is high in a nucleus: `dark` or `bright` (grey values), `haematoxylin` (colour
    deconvolution after Ruifrok & Johnston, 2001), `saturation`.
    sigma_px: smoothing before the threshold. spacing_px: a peak is the highest within so many pixels. (Peaks chosen by
    depth, h-maxima of the unsmoothed distance, took twice as long on 23 images of dsb2018_he, AJI .01 to .04 lower.)
    """

    channel: str = "dark"
    sigma_px: float = 1.0
    spacing_px: int = 5
    min_area_px: int = 40

    grid: ClassVar[Mapping[str, tuple]] = {
        "channel": ("dark", "bright", "haematoxylin", "saturation"),
        "sigma_px": (0.5, 1.0, 1.5, 2.0),
        "spacing_px": (3, 5, 8, 12),
        "min_area_px": (20, 40, 80),
    }

    def __call__(self, image: np.ndarray) -> EntityMap:
        signal = gaussian_filter(CHANNELS[self.channel](image), self.sigma_px)
        mask = np.asarray(binary_fill_holes(signal > threshold_otsu(signal)))
        depth = gaussian_filter(distance_transform_edt(mask), 1.0)
        peaks = mask & (depth == maximum_filter(depth, 2 * self.spacing_px + 1))
        blobs = components(mask)
        alone = np.bincount(blobs[peaks], minlength=blobs.max() + 1) == 0  # a higher one is near: still a nucleus
        markers = components(peaks | (mask & alone[blobs]))
        basins = watershed(-depth, markers, mask=mask)
        return _scored(np.where(np.bincount(basins.ravel())[basins] >= self.min_area_px, basins, 0), signal)


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
        grey = gaussian_filter(rgb2gray(image), self.sigma_px)
        square = footprint_rectangle((self.width_px, self.width_px), decomposition="separable")
        contrast = np.zeros_like(grey)
        if self.polarity in ("dark", "both"):
            contrast = np.asarray(black_tophat(grey, square))
        if self.polarity in ("bright", "both"):
            contrast = np.maximum(contrast, np.asarray(white_tophat(grey, square)))
        return _scored(components(contrast > self.threshold, self.min_area_px), contrast)


@dataclass(frozen=True)
class Felzenszwalb:
    """Photographs: the partition of Felzenszwalb & Huttenlocher, IJCV 59, 2004; every pixel has an entity."""

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
        return _scored(parts + 1, gaussian_filter(rgb2gray(image), self.sigma_px))


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
    """The best setting found, its value on all training images, and how much of the grid was tried."""

    method: Classical
    value: float
    tried: int
    settings: int


def tune(
    method: type[Classical], samples: Sequence[EntitySample], metric: str, seconds_limit: float, seed: int = 0
) -> Tuned:
    """Successive halving over the method's grid (Jamieson & Talwalkar, AISTATS 2016), in thirds.

    Every setting is tried on a ninth of the samples (eight at least), the best third of them on a third, the best third
    of those on all. Each round has a third of the time; one that runs out of it goes on with what it has seen, at
    least one setting. Time is CPU time of this process, so that other work on the machine costs no settings. Settings
    come in random order, the defaults first. metric: a key of `METRICS`.
    """
    rng = np.random.default_rng(seed)
    shuffled = [samples[i] for i in rng.permutation(len(samples))]
    grid = [dict(zip(method.grid, values, strict=True)) for values in product(*method.grid.values())]
    settings = [method(), *(method(**grid[i]) for i in rng.permutation(len(grid)))]

    start, alive, values, tried = time.process_time(), settings, [], 0
    for part in (1, 2, 3):
        subset = shuffled[: max(len(shuffled) // 3 ** (3 - part), 8)]
        values = []
        for candidate in alive:
            if values and time.process_time() - start > seconds_limit * part / 3:
                break
            values.append(measure(candidate, subset, metric))
        tried = max(tried, len(values))
        best = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")[: max(len(values) // 3, 1)]
        alive, values = [alive[i] for i in best], [values[i] for i in best]
    return Tuned(alive[0], values[0], tried, len(settings))


def measure(method: Classical, samples: Sequence[EntitySample], metric: str) -> float:
    """The metric of a method over samples."""
    metrics = MetricSet([metric])
    for sample in samples:
        metrics.update(method(sample.image), sample.truths, group=sample.place.scene)
    return metrics.compute()[metric]


def _scored(ids: np.ndarray, signal: np.ndarray) -> EntityMap:
    """A score in [0, 1] that ranks: the mean step of the signal along the entity's edge."""
    ids, kept = renumber(ids)
    edge = find_boundaries(ids, mode="inner")
    owner, step = ids[edge], sobel(signal)[edge]
    length = np.bincount(owner, minlength=len(kept) + 1)[1:]
    total = np.bincount(owner, step, minlength=len(kept) + 1)[1:]
    return EntityMap(ids, scores=np.clip(total / np.maximum(length, 1), 0, 1).astype(np.float32))
