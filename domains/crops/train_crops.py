"""The crops that training sees: cut, pasted onto, drawn on and augmented, each a function of (seed, epoch, index).

Entities survive every step with what is known of them: crops, scale jitter and turns read ids at the nearest pixel by
numpy indexing, rows follow (`EntityMap.replaced`), and a pixel without truth, such as a corner rotated in or the margin
around a small image, is unlabelled, never background.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset

from domains.crops.augment import augment
from domains.crops.crops import (
    CropOptions,
    Decoded,
    DecodedCache,
    NegativeWindow,
    Spots,
    balanced_turn,
    crop_place,
    cut_window,
    entity_area,
    random_entity_pixel,
    random_start,
    with_and_without,
)
from domains.crops.pasting import paste
from domains.entities import EntityMap, EntitySample, Samples
from domains.entities.resize import resize_image, resize_map

if TYPE_CHECKING:
    import albumentations as A

CACHE_BYTES = 512 * 2**20
TINY_PX = 100  # balanced crops show an entity of fewer pixels at its own size or larger: shrunk, it could vanish
DEFAULTS = CropOptions()


class TrainCrops(Dataset[EntitySample]):
    """Augmented crops of exactly `crop_px` x `crop_px`, each a function of (seed, epoch, index) alone.

    So worker processes, their number, and a resumed run give the same crops. Crop `index` shows image
    `order[index % len(dataset)]`, in an order drawn anew for every pass: batches need no shuffling sampler.

    length: crops per epoch; by default one per image.
    cache_bytes: decoded images kept; every worker process has its own.
    Of several annotators one is drawn per crop. Where the crop leaves the image, the image is mirrored and unlabelled.
    """

    def __init__(
        self,
        dataset: Samples,
        options: CropOptions = DEFAULTS,
        augmentation: A.Compose | None = None,
        seed: int = 0,
        *,
        epoch: int = 0,
        length: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.options, self.augmentation, self.seed = options, augmentation, seed
        nowhere = np.zeros(0, int)
        self._filled, self._empty = with_and_without(dataset) if options.asks_what_is_empty else (nowhere, nowhere)
        self.length = len(dataset) if length is None else length
        self._decoded = DecodedCache(dataset, options.scale, cache_bytes, options.pixel_size_m)
        self._spots = Spots()
        self._epoch = torch.tensor(epoch).share_memory_()  # shared, so that workers that outlive an epoch see the next

    @property
    def epoch(self) -> int:
        """The pass that crops are drawn for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """New crops: call it before the epoch's first batch is asked for."""
        self._epoch.fill_(epoch)

    @property
    def spots(self) -> np.ndarray:
        """(N, 3) int64: image, y and x of pixels of images without entity, at the training scale."""
        return self._spots.rows

    def set_spots(self, rows: np.ndarray) -> None:
        """Where `hard_share` of the crops without entity lie from now on."""
        self._spots.rows = rows

    def windows_without_entity(self, count: int) -> list[NegativeWindow]:
        """Windows of up to crop_px in images without entity, a function of (seed, epoch); none where all have some."""
        rng, side = np.random.default_rng((self.seed, self.epoch, count, 2)), self.options.crop_px
        windows = []
        for index in rng.choice(self._empty, count).tolist() if len(self._empty) else ():
            image = self._decoded[index].image
            y, x = (int(rng.integers(0, max(1, size - side + 1))) for size in image.shape[:2])
            windows.append(NegativeWindow(index, y, x, image[y : y + side, x : x + side]))
        return windows

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> EntitySample:
        if not 0 <= index < self.length:
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, self.epoch, index))
        sample = self._crop(*self._spot(*self._turn(index), index), rng)
        return sample if self.augmentation is None else augment(sample, self.augmentation, int(rng.integers(2**31)))

    def _spot(self, image: int, filled: bool | None, index: int) -> tuple[Decoded, bool | None, tuple[int, int] | None]:
        """The image of a crop, and the pixel that it must hold: of an image without entity perhaps a hard one."""
        spots = self.spots if self.options.hard_share and image in self._empty else ()
        rng = np.random.default_rng((self.seed, self.epoch, index, 3))  # its own: without spots crops are as ever
        if len(spots) and rng.random() < self.options.hard_share:
            image, y, x = spots[rng.integers(len(spots))].tolist()
            return self._decoded[image], filled, (y, x)
        return self._decoded[image], filled, None

    def _turn(self, index: int) -> tuple[int, bool | None]:
        """The image of a crop, and whether it is to hold an entity; None where a draw decides."""
        images, filled, balance = np.arange(len(self._decoded)), None, self.options.balance
        if balance is not None and len(self._filled):
            filled, index = balanced_turn(index, balance)
            images = self._filled if filled else self._empty if len(self._empty) else images
        repeat, position = divmod(index, len(images))
        return int(images[pass_order(len(images), self.seed, self.epoch, repeat)[position]]), filled

    def _crop(
        self, decoded: Decoded, filled: bool | None, anchor: tuple[int, int] | None, rng: np.random.Generator
    ) -> EntitySample:
        options = self.options
        annotator = int(rng.integers(len(decoded.truths)))
        if filled and not len(decoded.boxes[annotator]):
            annotator = next(i for i, boxes in enumerate(decoded.boxes) if len(boxes))
        truth, boxes = decoded.truths[annotator], decoded.boxes[annotator]
        low, high = np.log(options.scale_range)
        zoom = rng.uniform(low, high)
        if len(boxes) and (rng.random() < options.entity_share if filled is None else filled):
            anchor = random_entity_pixel(truth.ids, boxes, rng)
            if filled and entity_area(truth.ids, boxes, anchor) < TINY_PX:
                zoom = max(zoom, min(0.0, high))
        window_px = max(1, round(options.crop_px / float(np.exp(zoom))))
        y, x = (
            random_start(size, window_px, None if anchor is None else anchor[axis], rng)
            for axis, size in enumerate(truth.shape)
        )
        place = crop_place(decoded.place, y, x, decoded.scale, window_px / options.crop_px)
        image, truth = self._added(*cut_window(decoded.image, truth, y, x, window_px), rng)
        return EntitySample(image, (truth,), place)

    def _added(self, image: np.ndarray, truth: EntityMap, rng: np.random.Generator) -> tuple[np.ndarray, EntityMap]:
        """(image, truth) of a window at the side of a crop, with what is pasted onto it and drawn on it."""
        options = self.options
        if options.paste_share and not truth.count and rng.random() < options.paste_share and len(self._filled):
            donor = self._decoded[int(rng.choice(self._filled))]
            image, truth = paste(image, truth, donor.image, donor.truths[0], donor.boxes[0], rng)
        shape = (options.crop_px, options.crop_px)
        image, truth = resize_image(image, shape), resize_map(truth, shape)
        if options.draw is not None and options.drawn_share and rng.random() < options.drawn_share:
            image, truth = options.draw(image, truth, rng)
        return image, truth


class Mixture(Dataset[EntitySample]):
    """Crops of one source with a share of another's among them; item i is a function of (seed, epoch, i) alone.

    So that a network does not unlearn what it was pretrained on while it learns from a few images.
    """

    def __init__(self, main: TrainCrops | Mixture, rehearsal: TrainCrops, share: float, salt: int = 1) -> None:
        """salt: tells the draws of a mixture within another from those of that."""
        self.main, self.rehearsal, self.share, self.salt = main, rehearsal, share, salt

    @property
    def seed(self) -> int:
        """Of the first source."""
        return self.main.seed

    @property
    def epoch(self) -> int:
        """The pass that crops are drawn for."""
        return self.main.epoch

    def set_epoch(self, epoch: int) -> None:
        """New crops of both sources: call it before the epoch's first batch is asked for."""
        self.main.set_epoch(epoch)
        self.rehearsal.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.main)

    def __getitem__(self, index: int) -> EntitySample:
        drawn = np.random.default_rng((self.seed, self.epoch, index, self.salt)).random()
        return (self.rehearsal if drawn < self.share else self.main)[index]


@lru_cache(maxsize=64)
def pass_order(images: int, seed: int, epoch: int, repeat: int) -> np.ndarray:
    """(images,) a permutation, drawn for every pass over the images."""
    return np.random.default_rng((seed, epoch, repeat, images)).permutation(images)
