"""Pseudo-clips of one labelled still: a camera that moves smoothly over it, and a picture that bends.

As EntitySAM trains its second stage (Ye et al., CVPR 2025: clips of eight frames augmented from single stills):
labels of images give labels of clips. Entities leave the frame and come back as the camera does; nothing passes before
anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from domains.entities import UNLABELLED, EntitySample
from domains.errors import InputError
from domains.procedural.paint import smooth_field
from domains.procedural.truth import MIN_AREA_PX


@dataclass(frozen=True)
class StillClip:
    """A clip of F frames, (H, W) pixels each, of a still (h, w).

    image: (h, w, C) uint8; ids: (h, w) int32, whose numbers are those of tracks. cameras: (F, 2, 3) from pixels of a
    frame to those of the still; bends: (F, 2) shares of two fields (2, h, w, 2) of x, y by which the still is bent;
    light: (F,) factors.
    """

    image: np.ndarray
    ids: np.ndarray
    shape: tuple[int, int]
    cameras: np.ndarray
    fields: np.ndarray
    bends: np.ndarray
    light: np.ndarray
    parents: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cameras)

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, C) uint8 and map (H, W) int32 of track ids, 0 for none, -1 beyond the still's rim."""
        height, width = self.shape
        y, x = np.mgrid[:height, :width]
        source = np.stack([x, y, np.ones_like(x)], 2) @ self.cameras[index].T  # (H, W, 2) of x, y
        source = source.astype(np.float32)
        for share, bend in zip(self.bends[index], self.fields, strict=True):
            away = cv2.remap(bend, source[..., 0], source[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
            source = source + np.float32(share) * away
        image = cv2.remap(self.image, source[..., 0], source[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT_101)
        image = image.reshape(height, width, -1) * self.light[index]
        column, row = np.round(source).astype(int).transpose(2, 0, 1)
        inside = (column >= 0) & (column < self.ids.shape[1]) & (row >= 0) & (row < self.ids.shape[0])
        ids = np.where(inside, self.ids[row.clip(0, len(self.ids) - 1), column.clip(0, self.ids.shape[1] - 1)], -1)
        areas = np.bincount(ids.clip(0).ravel())
        return np.clip(image, 0, 255).astype(np.uint8), np.where((areas < MIN_AREA_PX)[ids.clip(0)], 0, ids)

    def images(self) -> Iterator[np.ndarray]:
        """The pictures, one at a time."""
        return (self.frame(index)[0] for index in range(len(self)))

    def maps(self) -> Iterator[np.ndarray]:
        """The maps of track ids, one at a time."""
        return (self.frame(index)[1] for index in range(len(self)))


def clip_of_still(
    sample: EntitySample, seed: int | Sequence[int], frames: int, height: int, width: int, strength: float = 1.0
) -> StillClip:
    """A pseudo-clip of a labelled image: the first annotator's entities are its tracks.

    strength: of all motion; 0 stands still. Raises InputError for fewer than one frame.
    """
    if frames < 1 or strength < 0:
        raise InputError(f"a pseudo-clip wants frames >= 1 and strength >= 0; got {frames!r} and {strength!r}")
    rng = np.random.default_rng(seed)
    tall, wide = sample.truth.shape
    zoom = min(tall / height, wide / width)  # pixels of the still per pixel of a frame that shows as much as it can
    path = smooth_path(rng, frames, 7) * strength
    scales = zoom * (0.8 if strength else 1.0) * np.exp(0.12 * path[:, 0])
    turns, shears = 0.12 * path[:, 1], 0.06 * path[:, 2]
    middles = np.array([wide, tall]) / 2 + path[:, 3:5] * 0.16 * min(tall, wide)
    cameras = np.zeros((frames, 2, 3))
    for i in range(frames):
        cosine, sine = np.cos(turns[i]), np.sin(turns[i])
        turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1, shears[i]], [0, 1]]) * scales[i]
        cameras[i, :, :2], cameras[i, :, 2] = turn, middles[i] - turn @ ((np.array([width, height]) - 1) / 2)
    fields = np.stack([[smooth_field(rng, tall, wide, 4) for _ in range(2)] for _ in range(2)]).transpose(0, 2, 3, 1)
    bends = path[:, 5:7] * 0.012 * min(tall, wide)
    light = 1 + 0.15 * strength * smooth_path(rng, frames, 1)[:, 0]
    ids = np.where(sample.truth.ids < 0, UNLABELLED, sample.truth.ids)
    return StillClip(sample.image, ids, (height, width), cameras, np.ascontiguousarray(fields), bends, light)


def smooth_path(rng: np.random.Generator, frames: int, count: int) -> np.ndarray:
    """(F, count) float in about -1..1: a straight way and a slow wave, each its own."""
    time = np.linspace(-0.5, 0.5, frames)[:, None]
    wave = np.sin(2 * np.pi * (rng.uniform(0.3, 1, count) * time + rng.random(count)))
    return rng.normal(0, 0.7, count) * time + rng.uniform(0, 0.7, count) * wave
