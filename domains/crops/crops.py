"""Where a training crop lies, and the decoded images that crops are cut from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import find_objects

from domains.entities import EntityMap, Place, Samples, renumber
from domains.entities.resize import resize_sample

Draw = Callable[[np.ndarray, EntityMap, np.random.Generator], tuple[np.ndarray, EntityMap]]
"""(image (H, W, C) uint8, truth (H, W)) of a training crop to the same with an entity more, where ids were 0."""


@dataclass(frozen=True, kw_only=True)
class CropOptions:
    """Which crops are cut from a data set, and how large; what a recipe says of them travels in this one object."""

    crop_px: int = 128
    """Side of a crop: of the network's input, so a multiple of its stride."""
    scale: float = 1.0
    """Constant resizing of the images before anything else; 2.0 enlarges small nuclei."""
    pixel_size_m: float | None = None
    """Images that know their pixel size are brought to this one before `scale`."""
    scale_range: tuple[float, float] = (0.7, 1.4)
    """The crop's own zoom, drawn log-uniformly; above 1 entities look larger."""
    entity_share: float = 0.8
    """Share of crops placed to hold at least one pixel of an entity drawn at random (of an image that has any); the
    rest lie anywhere."""
    balance: float | None = None
    """Share of all crops that hold an entity, whatever share of the images has one; the others come from images without
    any (else they lie anywhere). Takes the place of `entity_share`. None: each image as often as another."""
    paste_share: float = 0.0
    """Share of the crops without entity onto which another image's is pasted, see `domains.crops.pasting`."""
    drawn_share: float = 0.0
    """Share of the crops on which `draw` draws an entity; none without."""
    draw: Draw | None = None
    """(image, truth, rng) -> (image, truth) with one more entity, as a domain has it."""
    hard_share: float = 0.0
    """Share of the crops of images without entity that hold a spot of `TrainCrops.set_spots`; before any was set,
    none."""

    @property
    def asks_what_is_empty(self) -> bool:
        """Whether crops depend on which images hold an entity, so that all of them are read before the start."""
        return self.balance is not None or self.paste_share > 0 or self.hard_share > 0


@dataclass(frozen=True)
class Decoded:
    """An image (H, W, C) uint8 at the training scale. Per annotator: a map (H, W) of entities, and their boxes (N, 5),
    see `entity_boxes`.
    """

    image: np.ndarray
    truths: tuple[EntityMap, ...]
    boxes: tuple[np.ndarray, ...]
    place: Place
    scale: float

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        maps = [array for truth in self.truths for array in vars(truth).values() if isinstance(array, np.ndarray)]
        return sum(array.nbytes for array in (self.image, *maps, *self.boxes))


class DecodedCache:
    """The images of a dataset, decoded and scaled once, and kept, first come first kept, until `limit` bytes are full.

    pixel_size_m: images of a known pixel size are brought to this one before `scale`.
    Every pass visits all images in another order: dropping the least recently used would drop what comes next.
    """

    def __init__(self, dataset: Samples, scale: float, limit: int, pixel_size_m: float | None = None) -> None:
        self.dataset, self.scale, self.limit, self.pixel_size_m = dataset, scale, limit, pixel_size_m
        self._kept: dict[int, Decoded] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Decoded:
        if index in self._kept:
            return self._kept[index]
        decoded = self._decode(index)
        if self._bytes + decoded.nbytes <= self.limit:
            self._kept[index] = decoded
            self._bytes += decoded.nbytes
        return decoded

    def __getstate__(self) -> dict[str, Any]:
        """Without the decoded images: a worker process fills its own."""
        return {**self.__dict__, "_kept": {}, "_bytes": 0}

    def _decode(self, index: int) -> Decoded:
        sample = self.dataset[index]
        size_m, scale = sample.place.pixel_size_m, self.scale
        if size_m is not None and self.pixel_size_m is not None:
            scale = self.scale * size_m / self.pixel_size_m
        sample = resize_sample(sample, scale)
        boxes = tuple(entity_boxes(truth.ids) for truth in sample.truths)
        return Decoded(sample.image, sample.truths, boxes, sample.place, scale)


class NegativeWindow(NamedTuple):
    """A window of a decoded image that has no entity: its index, first row and column, and (h, w, 3) pixels."""

    index: int
    y: int
    x: int
    image: np.ndarray


class Spots:
    """Pixels of images, (N, 3) int64 of image index, y and x, in memory that worker processes share."""

    MOST = 1024

    def __init__(self) -> None:
        import torch  # here: who looks at a folder, by `domains check`, waits for no torch

        self._rows = torch.zeros((self.MOST, 3), dtype=torch.int64).share_memory_()
        self._count = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def rows(self) -> np.ndarray:
        """(N, 3) int64, N up to `MOST`; a copy."""
        return self._rows[: int(self._count)].numpy().copy()

    @rows.setter
    def rows(self, rows: np.ndarray) -> None:
        """Keeps the first `MOST` of them."""
        count = min(len(rows), self.MOST)
        self._rows.numpy()[:count] = rows[:count]
        self._count.fill_(count)


def entity_boxes(ids: np.ndarray) -> np.ndarray:
    """(N, 5) int64: id, y0, y1, x0, x1 of every entity, ends exclusive."""
    dense, kept = renumber(ids)
    slices = find_objects(np.maximum(dense, 0))
    rows = [(entity, y.start, y.stop, x.start, x.stop) for entity, (y, x) in zip(kept, slices, strict=True)]
    return np.array(rows, np.int64).reshape(-1, 5)


# Which image a crop shows, and where it lies


def balanced_turn(index: int, share: float) -> tuple[bool, int]:
    """(does crop `index` show an entity?, how many crops before it are of its kind), so that of any run of crops a
    `share` does, as nearly as whole crops can."""
    before, after = math.floor(index * share + 1e-9), math.floor((index + 1) * share + 1e-9)
    return (True, before) if after > before else (False, index - before)


def with_and_without(dataset: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the samples that have an entity, and of those that have none. Reads all of them."""
    filled = np.array([any(truth.count for truth in dataset[i].truths) for i in range(len(dataset))], bool)
    return np.flatnonzero(filled), np.flatnonzero(~filled)


def random_entity_pixel(ids: np.ndarray, boxes: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """A pixel of an entity, each entity being as likely; boxes: (N, 5) of id, y0, y1, x0, x1."""
    entity, y0, y1, x0, x1 = boxes[rng.integers(len(boxes))]
    inside = np.flatnonzero(ids[y0:y1, x0:x1] == entity)
    y, x = divmod(int(inside[rng.integers(len(inside))]), int(x1 - x0))
    return int(y0) + y, int(x0) + x


def entity_area(ids: np.ndarray, boxes: np.ndarray, pixel: tuple[int, int]) -> int:
    """Pixels of the entity that holds a pixel."""
    entity = ids[pixel]
    _, y0, y1, x0, x1 = boxes[np.searchsorted(boxes[:, 0], entity)]
    return int(np.count_nonzero(ids[y0:y1, x0:x1] == entity))


def random_start(size: int, window: int, anchor: int | None, rng: np.random.Generator) -> int:
    """First pixel of a window along one axis, holding `anchor`; inside the image, or around one that is smaller."""
    lowest, highest = min(0, size - window), max(0, size - window)
    if anchor is not None:
        lowest, highest = max(lowest, anchor - window + 1), min(highest, anchor)
    return int(rng.integers(lowest, highest + 1))


def cut_window(image: np.ndarray, truth: EntityMap, y: int, x: int, size: int) -> tuple[np.ndarray, EntityMap]:
    """A copy of a square window that may leave the image: there the image is mirrored and the map is unlabelled."""
    height, width = truth.shape
    if y >= 0 and x >= 0 and y + size <= height and x + size <= width:
        return image[y : y + size, x : x + size].copy(), truth.crop(y, x, size, size)
    rows, columns = np.arange(y, y + size), np.arange(x, x + size)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    at = np.ix_(mirrored(rows, height), mirrored(columns, width))
    return image[at], truth.moved(lambda pixels, outside: np.where(inside, pixels[at], outside))


def mirrored(positions: np.ndarray, size: int) -> np.ndarray:
    """Positions outside 0..size-1 folded back at the edges, as often as it takes; the edge itself is not repeated."""
    folded = np.abs(positions) % max(1, 2 * (size - 1))
    return np.minimum(folded, 2 * (size - 1) - folded)


def crop_place(place: Place, y: int, x: int, scale: float, pixels_each: float) -> Place:
    """Where the crop was cut, before the flips: `pixels_each` pixels of the scaled image became one."""
    size_m = None if place.pixel_size_m is None else place.pixel_size_m * pixels_each
    return replace(place, y=place.y + round(y / scale), x=place.x + round(x / scale), pixel_size_m=size_m)
