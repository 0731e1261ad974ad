"""Pseudo-clips of a labelled still in which its entities move: cut out, they cross, hide, enter and leave.

`still_clips` moves a camera over a still; here cut-outs of the still's own labelled entities lie over that and go ways
of their own (copy-paste of Ghiasi et al., CVPR 2021, https://arxiv.org/abs/2012.07177, on a path). Each passes at some
moment over a place where another entity is, or just over the ground, and lies over whatever it meets, so tracks are
exact through crossings and occlusions. What it was cut from stays where it was: a look-alike to be told apart by where
it is. Nothing divides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import find_objects

from domains.entities import EntitySample
from domains.procedural.still_clips import StillClip, clip_of_still, smooth_path
from domains.procedural.truth import MIN_AREA_PX

STILL = 0.25
"""Share of the clips in which nothing but the camera moves."""
MOST_CUTOUTS = 6
PACES_PX = (0.5, 1.5, 3.0, 5.0)
"""Of a clip's entities, a frame."""
MEETS = 0.7
"""Share of the cut-outs that pass over an entity; they are drawn large enough to hide it in every other case."""
LEAST_CUTOUT_PX = 12
LARGEST_CUTOUT = 0.5
"""Of a frame's side."""
SIZES = (0.6, 1.7)
"""Between which a cut-out's size lies, of what it has in the still."""


@dataclass(frozen=True)
class Cutout:
    """A labelled entity by itself, and its way. image: (h, w, C) uint8; mask: (h, w) bool; places: (F, 2) x, y of its
    middle in the frames; turns, sizes: (F,) radians, and pixels of a frame for each of its own.
    """

    track: int
    image: np.ndarray
    mask: np.ndarray
    places: np.ndarray
    turns: np.ndarray
    sizes: np.ndarray

    def to_frame(self, index: int) -> np.ndarray:
        """(2, 3) from its pixels (x, y, 1) to those of a frame."""
        cosine, sine = np.cos(self.turns[index]), np.sin(self.turns[index])
        turn = self.sizes[index] * np.array([[cosine, -sine], [sine, cosine]])
        middle = (np.array(self.mask.shape[::-1]) - 1) / 2
        return np.concatenate([turn, (self.places[index] - turn @ middle)[:, None]], 1)


@dataclass(frozen=True)
class PastedClip:
    """A clip of F frames. still: what lies below, see `StillClip`; cutouts: what moves over it, the last on top."""

    still: StillClip
    cutouts: tuple[Cutout, ...]

    def __len__(self) -> int:
        return len(self.still)

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, C) uint8 and map (H, W) int32 of track ids, 0 for none, -1 where nothing is known."""
        image, ids = self.still.frame(index)
        pixels, ids = image.astype(np.float32), ids.copy()
        width, height = ids.shape[::-1]
        for cutout in self.cutouts:
            way = cutout.to_frame(index)
            mask = cutout.mask.astype(np.float32)
            shares = cv2.warpAffine(mask, way, (width, height))[..., None]
            if not shares.any():
                continue
            colours = warped(cutout.image, way, (width, height)) * np.float32(self.still.light[index])
            pixels += shares * (colours - pixels)
            ids[shares[..., 0] > 0.5] = cutout.track
        areas = np.bincount(ids.clip(0).ravel())
        return np.clip(pixels, 0, 255).astype(np.uint8), np.where((areas < MIN_AREA_PX)[ids.clip(0)], 0, ids)


def warped(image: np.ndarray, way: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) float32 of an image (h, w, C) uint8; its border goes on. size: width, height."""
    bands = [
        cv2.warpAffine(image[..., i : i + 4].astype(np.float32), way, size, borderMode=cv2.BORDER_REPLICATE)
        for i in range(0, image.shape[2], 4)
    ]
    return np.concatenate([band.reshape(*size[::-1], -1) for band in bands], 2)


def clip_of_labels(sample: EntitySample, seed: int | Sequence[int], frames: int, height: int, width: int) -> PastedClip:
    """A pseudo-clip of a labelled image, whose entities are its tracks and, cut out once more, further ones.

    Raises InputError for fewer than one frame.
    """
    key = (seed,) if isinstance(seed, int) else tuple(seed)
    still = clip_of_still(sample, (*key, 0), frames, height, width)
    rng = np.random.default_rng((*key, 1))
    boxes = [(number, box) for number, box in enumerate(find_objects(still.ids.clip(0)), start=1) if box is not None]
    zoom = 1 / np.abs(np.linalg.det(still.cameras[:, :, :2])).mean() ** 0.5  # pixels of a frame for one of the still
    uncut = [(number, box) for number, box in boxes if may_be_cut(still, number, box, zoom)]
    if not uncut or rng.random() < STILL:
        return PastedClip(still, ())
    count, pace = int(rng.integers(1, MOST_CUTOUTS + 1)), float(rng.choice(PACES_PX))
    cutouts: list[Cutout] = []
    for track in range(int(still.ids.max()) + 1, int(still.ids.max()) + 1 + count):
        number, box = uncut[int(rng.integers(len(uncut)))]
        met = boxes[int(rng.integers(len(boxes)))] if rng.random() < MEETS else None
        cutouts.append(cutout_of(still, track, (number, box), met, rng, zoom, pace))
    return PastedClip(still, tuple(cutouts))


def may_be_cut(still: StillClip, number: int, box: tuple[slice, ...], zoom: float) -> bool:
    """Whether an entity is large enough to be seen, small enough to leave ground, and not cut by the still's rim."""
    rows, columns = box
    sides = rows.stop - rows.start, columns.stop - columns.start
    inside = rows.start > 0 and columns.start > 0 and rows.stop < len(still.ids) and columns.stop < still.ids.shape[1]
    if not inside or max(sides) * zoom > LARGEST_CUTOUT * min(still.shape):
        return False
    return int((still.ids[box] == number).sum()) * zoom**2 >= LEAST_CUTOUT_PX


def cutout_of(
    still: StillClip,
    track: int,
    cut: tuple[int, tuple[slice, ...]],
    met: tuple[int, tuple[slice, ...]] | None,
    rng: np.random.Generator,
    zoom: float,
    pace: float,
) -> Cutout:
    """An entity cut out, on a way that leads over another at some moment. cut, met: (number, box) of both, of which the
    second may be none; zoom: pixels of a frame for one of the still; pace: pixels a frame.
    """
    number, (rows, columns) = cut
    around = np.s_[max(rows.start - 1, 0) : rows.stop + 1, max(columns.start - 1, 0) : columns.stop + 1]
    mask = still.ids[around] == number
    frames, (height, width) = len(still), still.shape
    moment, size = int(rng.integers(frames)), float(np.exp(rng.normal(0, 0.15)))
    spot = rng.uniform(0.05, 0.95, 2) * [width, height]
    if met is not None:
        hidden, (below, across) = met
        camera = still.cameras[moment]
        middle = np.array([across.start + across.stop - 1, below.start + below.stop - 1]) / 2
        spot = np.linalg.solve(camera[:, :2], middle - camera[:, 2])
        if rng.random() < 0.5:
            size = 1.25 * float(((still.ids[met[1]] == hidden).sum() / mask.sum()) ** 0.5)
    size = float(np.clip(size, *SIZES))
    size = min(size, LARGEST_CUTOUT * min(still.shape) / (max(mask.shape) * zoom) + 1e-6)
    time = np.arange(frames)[:, None] - moment
    wave = smooth_path(rng, frames, 4)
    sway = wave[:, :2] * pace
    places = spot + rng.normal(0, pace, 2) * time + sway - sway[moment]
    turns = rng.uniform(0, 2 * np.pi) + 0.3 * wave[:, 2]
    sizes = zoom * size * np.exp(0.08 * wave[:, 3])
    return Cutout(track, still.image[around], mask, places, turns, sizes)
