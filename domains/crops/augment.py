"""Augmentation that is safe for entities. The only module that imports albumentations.

Ids survive every transform: turns read them at the nearest pixel by numpy indexing (albumentations' own warps go
through float32 and keep ids to 2^24), and a pixel without truth, such as a corner rotated in, is unlabelled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else it asks the network for its newest version on import

import albumentations as A  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402
from albumentations.core.type_definitions import Targets  # noqa: E402

from domains.entities import UNLABELLED, EntitySample  # noqa: E402
from domains.entities.resize import by_few_channels  # noqa: E402


def augment(sample: EntitySample, augmentation: A.Compose, seed: int) -> EntitySample:
    """The sample through the transforms, as a function of `seed`; of several annotators the first is kept."""
    reseed(augmentation, np.random.SeedSequence(seed))
    truth = sample.truth
    if truth.pixel_scores is None:
        result = augmentation(image=sample.image, mask=truth.ids)
        return EntitySample(result["image"], (truth.replaced(result["mask"], None),), sample.place)
    sure = truth.pixel_scores.astype(np.float32)  # OpenCV has no float16
    result = augmentation(image=sample.image, mask=truth.ids, masks=[sure])
    pixel_scores = np.clip(result["masks"][0], 0, 1).astype(np.float16)  # where nothing is known masks are -1
    return EntitySample(result["image"], (truth.replaced(result["mask"], pixel_scores),), sample.place)


def reseed(transform: Any, seeds: np.random.SeedSequence) -> None:
    """Every transform, however deep, gets a seed of its own.

    `Compose.set_random_seed` gives one and the same to all of them, which then act together: one that comes in 20 %
    of cases would only come where one with 50 % does.
    """
    transform.set_random_seed(int(seeds.generate_state(1)[0]))
    inner = getattr(transform, "transforms", ())
    for nested, seed in zip(inner, seeds.spawn(len(inner)), strict=True):
        reseed(nested, seed)


# Transforms that the domains compose


def compose(*transforms: A.BasicTransform) -> A.Compose:
    """The transforms one after the other."""
    return A.Compose(list(transforms))


def without_colour(transforms: A.Compose) -> A.Compose:
    """The transforms without changes of colour that are made for red, green and blue."""
    inner: Any = transforms.transforms
    return compose(*(change for change in inner if not isinstance(change, Photometric) or change.every_channel))


def eight_symmetries() -> A.BasicTransform:
    """Flips and quarter turns: for whatever has no up and no left."""
    return A.D4(p=1.0)


def left_right(p: float = 0.5) -> A.BasicTransform:
    """A mirror image: for scenes with an up and a down."""
    return A.HorizontalFlip(p=p)


def defocus(p: float, sigma_px: tuple[float, float] = (0.3, 1.2)) -> A.BasicTransform:
    """Gaussian blur, as of a lens out of focus."""
    return A.GaussianBlur(sigma_limit=sigma_px, blur_limit=0, p=p)


def motion(p: float, length_px: int = 5) -> A.BasicTransform:
    """Blur along a line of 3 to `length_px` pixels, as of a camera or a part that moves."""
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
        """The image (H, W, C) with its colours changed; further channels stay unless the change is for all."""
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
        """An angle within the limit, in degrees, drawn anew for each image."""
        return {"angle_deg": self.py_random.uniform(-self.limit_deg, self.limit_deg)}

    def apply(self, img: np.ndarray, angle_deg: float, **params: Any) -> np.ndarray:
        """The image (H, W, C) turned about its centre, mirrored beyond its frame."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        height, width = img.shape[:2]
        matrix = rotation(angle_deg, (height, width))
        return by_few_channels(
            lambda bands: cv2.warpAffine(
                bands, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
            ),
            img,
        )

    def apply_to_mask(self, mask: np.ndarray, angle_deg: float, **params: Any) -> np.ndarray:
        """The ids (H, W) turned alike by the nearest pixel, unlabelled beyond the frame."""
        height, width = mask.shape
        matrix = rotation(angle_deg, (height, width))
        y, x = np.mgrid[:height, :width]
        source = np.rint(np.tensordot(matrix, np.stack([x, y, np.ones_like(x)]), axes=1)).astype(np.intp)  # (2, H, W)
        columns, rows = source
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        ids = mask[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        return np.where(inside, ids, UNLABELLED)


def rotation(angle_deg: float, shape: Sequence[int]) -> np.ndarray:
    """(2, 3) float64: from a pixel (x, y, 1) of the result to (x, y) of the source, about the centre."""
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    centre = (np.array([shape[1], shape[0]]) - 1) / 2
    return np.column_stack([turn, centre - turn @ centre])
