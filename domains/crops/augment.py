"""Training crops, augmented and safe for entities. The only module that imports albumentations.

Ids survive every step: crops, scale jitter and turns read ids at the nearest pixel by numpy indexing (exact for any
int32; albumentations' own warps go through float32 and keep ids to 2^24), and a pixel without truth, such as a corner
rotated in or the margin around a small image, is unlabelled, never background.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else it asks the network for its newest version on import

import albumentations as A  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from albumentations.core.type_definitions import Targets  # noqa: E402
from torch.utils.data import Dataset  # noqa: E402

from domains.crops.crops import (  # noqa: E402
    Decoded,
    DecodedCache,
    NegativeWindow,
    Samples,
    Spots,
    balanced_turn,
    crop_place,
    cut_window,
    entity_area,
    random_entity_pixel,
    random_start,
    with_and_without,
)
from domains.crops.pasting import paste  # noqa: E402
from domains.entities import UNLABELLED, EntityMap, EntitySample  # noqa: E402
from domains.entities.resize import by_few_channels, resize_ids, resize_image  # noqa: E402

CACHE_BYTES = 512 * 2**20
TINY_PX = 100  # balanced crops show an entity of fewer pixels at its own size or larger: shrunk, it could vanish


class TrainCrops(Dataset[EntitySample]):
    """Augmented crops of exactly `crop_px` x `crop_px`, each a function of (seed, epoch, index) alone.

    So worker processes, their number, and a resumed run give the same crops. Crop `index` shows image
    `order[index % len(dataset)]`, in an order drawn anew for every pass: batches need no shuffling sampler.

    scale: constant resizing of the images before anything else (2.0 enlarges small nuclei). pixel_size_m: images that
        know their pixel size are brought to this one first.
    scale_range: the crop's own zoom, drawn log-uniformly; above 1 entities look larger.
    entity_share: share of crops placed to hold at least one pixel of an entity drawn at random (of an image that
        has any); the rest lie anywhere.
    balance: share of all crops that hold an entity, whatever share of the images has one; the others come from images
        without any (else they lie anywhere). Takes the place of `entity_share`. None: each image as often as another.
    paste_share: share of the crops without entity onto which another image's is pasted, see `domains.crops.pasting`.
    drawn_share: share of the crops on which `draw` draws an entity, see `domains.datasets.domain.Draw`; 0 without.
    hard_share: share of the crops of images without entity that hold a spot of `set_spots`; before any was set, none.
    length: crops per epoch; by default one per image.
    cache_bytes: decoded images kept; every worker process has its own.
    Of several annotators one is drawn per crop. Where the crop leaves the image, the image is mirrored and unlabelled.
    """

    def __init__(
        self,
        dataset: Samples,
        crop_px: int = 128,
        augmentation: A.Compose | None = None,
        seed: int = 0,
        *,
        epoch: int = 0,
        length: int | None = None,
        scale: float = 1.0,
        pixel_size_m: float | None = None,
        scale_range: tuple[float, float] = (0.7, 1.4),
        entity_share: float = 0.8,
        balance: float | None = None,
        paste_share: float = 0.0,
        drawn_share: float = 0.0,
        draw: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None,
        hard_share: float = 0.0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.crop_px, self.augmentation, self.seed = crop_px, augmentation, seed
        self.scale_range, self.entity_share = scale_range, entity_share
        self.balance, self.paste_share, self.hard_share = balance, paste_share, hard_share
        self.drawn_share, self.draw = drawn_share, draw
        looked = balance is not None or paste_share > 0 or hard_share > 0
        self._filled, self._empty = with_and_without(dataset) if looked else (np.zeros(0, int), np.zeros(0, int))
        self.length = len(dataset) if length is None else length
        self._decoded = DecodedCache(dataset, scale, cache_bytes, pixel_size_m)
        self._spots = Spots()
        self._epoch = torch.tensor(epoch).share_memory_()  # shared, so that workers that outlive an epoch see the next

    @property
    def epoch(self) -> int:
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
        rng = np.random.default_rng((self.seed, self.epoch, count, 2))
        found = []
        for index in rng.choice(self._empty, count).tolist() if len(self._empty) else ():
            decoded = self._decoded[index]
            y, x = (int(rng.integers(0, max(1, size - self.crop_px + 1))) for size in decoded.image.shape[:2])
            found.append(NegativeWindow(index, y, x, decoded.image[y : y + self.crop_px, x : x + self.crop_px]))
        return found

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> EntitySample:
        if not 0 <= index < self.length:
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, self.epoch, index))
        sample = self._crop(*self._spot(*self._turn(index), index), rng)
        return sample if self.augmentation is None else augment(sample, self.augmentation, int(rng.integers(2**31)))

    def _spot(self, image: int, wanted: bool | None, index: int) -> tuple[Decoded, bool | None, tuple[int, int] | None]:
        """The image of a crop, and the pixel that it must hold: of an image without entity perhaps a hard one."""
        spots = self.spots if self.hard_share and image in self._empty else ()
        rng = np.random.default_rng((self.seed, self.epoch, index, 3))  # its own: without spots crops are as ever
        if len(spots) and rng.random() < self.hard_share:
            image, y, x = spots[rng.integers(len(spots))].tolist()
            return self._decoded[image], wanted, (y, x)
        return self._decoded[image], wanted, None

    def _turn(self, index: int) -> tuple[int, bool | None]:
        """The image of a crop, and whether it is to hold an entity; None where a draw decides."""
        chosen, wanted = np.arange(len(self._decoded)), None
        if self.balance is not None and len(self._filled):
            wanted, index = balanced_turn(index, self.balance)
            chosen = self._filled if wanted else self._empty if len(self._empty) else chosen
        repeat, position = divmod(index, len(chosen))
        return int(chosen[pass_order(len(chosen), self.seed, self.epoch, repeat)[position]]), wanted

    def _crop(
        self, decoded: Decoded, wanted: bool | None, anchor: tuple[int, int] | None, rng: np.random.Generator
    ) -> EntitySample:
        annotator = int(rng.integers(len(decoded.ids)))
        if wanted and not len(decoded.boxes[annotator]):
            annotator = next(i for i, boxes in enumerate(decoded.boxes) if len(boxes))
        ids, boxes = decoded.ids[annotator], decoded.boxes[annotator]
        low, high = np.log(self.scale_range)
        zoom = rng.uniform(low, high)
        if len(boxes) and (rng.random() < self.entity_share if wanted is None else wanted):
            anchor = random_entity_pixel(ids, boxes, rng)
            if wanted and entity_area(ids, boxes, anchor) < TINY_PX:
                zoom = max(zoom, min(0.0, high))
        window_px = max(1, round(self.crop_px / float(np.exp(zoom))))
        y, x = (
            random_start(size, window_px, None if anchor is None else anchor[axis], rng)
            for axis, size in enumerate(ids.shape)
        )
        image, truth = cut_window(decoded.image, ids, y, x, window_px)
        if self.paste_share and truth.max() <= 0 and rng.random() < self.paste_share and len(self._filled):
            donor = self._decoded[int(rng.choice(self._filled))]
            image, truth = paste(image, truth, donor.image, donor.ids[0], donor.boxes[0], rng)
        shape = (self.crop_px, self.crop_px)
        place = crop_place(decoded.place, y, x, decoded.scale, window_px / self.crop_px)
        image, truth = resize_image(image, shape), resize_ids(truth, shape)
        if self.draw is not None and self.drawn_share and rng.random() < self.drawn_share:
            image, truth = self.draw(image, truth, rng)
        return EntitySample(image, (EntityMap(truth),), place)


class Mixture(Dataset[EntitySample]):
    """Crops of one source with a share of another's among them; item i is a function of (seed, epoch, i) alone.

    So that a network does not unlearn what it was pretrained on while it learns from a few images.
    """

    def __init__(self, main: TrainCrops, other: TrainCrops, share: float) -> None:
        self.main, self.other, self.share = main, other, share

    @property
    def epoch(self) -> int:
        return self.main.epoch

    def set_epoch(self, epoch: int) -> None:
        self.main.set_epoch(epoch)
        self.other.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.main)

    def __getitem__(self, index: int) -> EntitySample:
        drawn = np.random.default_rng((self.main.seed, self.epoch, index, 1)).random()
        return (self.other if drawn < self.share else self.main)[index]


def augment(sample: EntitySample, augmentation: A.Compose, seed: int) -> EntitySample:
    """The sample through the transforms, as a function of `seed`; of several annotators the first is kept."""
    reseed(augmentation, np.random.SeedSequence(seed))
    result = augmentation(image=sample.image, mask=sample.truth.ids)
    return EntitySample(result["image"], (EntityMap(result["mask"]),), sample.place)


def reseed(transform: Any, seeds: np.random.SeedSequence) -> None:
    """Every transform, however deep, gets a seed of its own.

    `Compose.set_random_seed` gives one and the same to all of them, which then act together: one that comes in 20 %
    of cases would only come where one with 50 % does.
    """
    transform.set_random_seed(int(seeds.generate_state(1)[0]))
    parts = getattr(transform, "transforms", ())
    for part, seed in zip(parts, seeds.spawn(len(parts)), strict=True):
        reseed(part, seed)


@lru_cache(maxsize=64)
def pass_order(images: int, seed: int, epoch: int, repeat: int) -> np.ndarray:
    """(images,) a permutation, drawn for every pass over the images."""
    return np.random.default_rng((seed, epoch, repeat, images)).permutation(images)


# Transforms that the domains compose


def compose(*transforms: A.BasicTransform) -> A.Compose:
    return A.Compose(list(transforms))


def without_colour(transforms: A.Compose) -> A.Compose:
    """The same without changes of colour that are made for red, green and blue."""
    parts: Any = transforms.transforms
    return compose(*(one for one in parts if not isinstance(one, Photometric) or one.every_channel))


def eight_symmetries() -> A.BasicTransform:
    """Flips and quarter turns: for whatever has no up and no left."""
    return A.D4(p=1.0)


def left_right(p: float = 0.5) -> A.BasicTransform:
    return A.HorizontalFlip(p=p)


def defocus(p: float, sigma_px: tuple[float, float] = (0.3, 1.2)) -> A.BasicTransform:
    return A.GaussianBlur(sigma_limit=sigma_px, blur_limit=0, p=p)


def motion(p: float, length_px: int = 5) -> A.BasicTransform:
    return A.MotionBlur(blur_limit=(3, length_px), p=p)


def sensor_noise(p: float, std: tuple[float, float] = (0.01, 0.03)) -> A.BasicTransform:
    """Gaussian noise; its standard deviation is a share of the full range."""
    return A.GaussNoise(std_range=std, p=p)


class Photometric(A.ImageOnlyTransform):
    """A change of colour or light as an albumentations transform: `change(image, rng) -> image`, both uint8.

    The physics files of the domains hold such changes as plain frozen dataclasses. They are made for RGB, so of an
    image of more channels they see the first three; `every_channel`: those that are made for any, such as shade.
    """

    def __init__(
        self,
        change: Callable[[np.ndarray, np.random.Generator], np.ndarray],
        p: float = 0.5,
        every_channel: bool = False,
    ) -> None:
        super().__init__(p=p)
        self.change, self.every_channel = change, every_channel

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        if img.shape[2] == 3 or self.every_channel:
            return self.change(img, self.random_generator)
        colours = self.change(np.ascontiguousarray(img[..., :3]), self.random_generator)
        return np.concatenate([colours, img[..., 3:]], axis=2)


class Turn(A.DualTransform):
    """Rotation about the centre by up to `limit_deg`: the image is mirrored into the corners, ids there unlabelled."""

    _targets = (Targets.IMAGE, Targets.MASK)

    def __init__(self, limit_deg: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.limit_deg = limit_deg

    def get_params(self) -> dict[str, Any]:
        return {"angle_deg": self.py_random.uniform(-self.limit_deg, self.limit_deg)}

    def apply(self, img: np.ndarray, angle_deg: float, **params: Any) -> np.ndarray:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        height, width = img.shape[:2]
        matrix = rotation(angle_deg, (height, width))
        return by_few_channels(
            lambda part: cv2.warpAffine(part, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101),
            img,
        )

    def apply_to_mask(self, mask: np.ndarray, angle_deg: float, **params: Any) -> np.ndarray:
        height, width = mask.shape
        matrix = rotation(angle_deg, (height, width))
        y, x = np.mgrid[:height, :width]
        source = np.rint(np.tensordot(matrix, np.stack([x, y, np.ones_like(x)]), axes=1)).astype(np.intp)  # (2, H, W)
        columns, rows = source
        known = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        ids = mask[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        return np.where(known, ids, UNLABELLED)


def rotation(angle_deg: float, shape: Sequence[int]) -> np.ndarray:
    """(2, 3) float64: from a pixel (x, y, 1) of the result to (x, y) of the source, about the centre."""
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    centre = (np.array([shape[1], shape[0]]) - 1) / 2
    return np.column_stack([turn, centre - turn @ centre])
