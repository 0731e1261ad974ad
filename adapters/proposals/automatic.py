"""Automatic masks: a grid of points prompts SAM, and what is unsure, unstable, cut by a crop or doubled goes.

Kirillov et al., https://arxiv.org/abs/2304.02643, appendix B, and `SamAutomaticMaskGenerator` of its authors, whose
steps and thresholds these are: predicted IoU, stability, boxes at the edges of a crop, boxes that overlap within a
crop, and, where there are crops, boxes that overlap between crops, of which the smaller crop's remain.

The same masks come out, in less time and memory: a mask whose predicted IoU is too low is never made, one is brought to
the size of the image at a time, and between the filters each waits as the network gave it, of 256 px.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor

from adapters.proposals.mask_set import Bits, MaskSet, box_nms

EDGE_PX = 20
STABILITY_OFFSET = 1.0


class Candidates(Protocol):
    """Masks of a batch of prompts: of which prompt and which of its masks each is, logits (M, h, w), predicted IoUs."""

    @property
    def prompts(self) -> Tensor:
        """(M,) numbers of the prompts."""
        ...

    @property
    def levels(self) -> Tensor:
        """(M,) which of the prompt's masks."""
        ...

    @property
    def logits(self) -> Tensor:
        """(M, h, w) of the padded input."""
        ...

    @property
    def ious(self) -> Tensor:
        """(M,) predicted."""
        ...


class Embedded(Protocol):
    """An image that takes prompts."""

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        ...

    def candidates(self, points: np.ndarray, *, least_iou: float) -> Iterator[Candidates]:
        """The masks of points (P, n, 2) whose predicted IoU is above the least."""
        ...

    def upsampled(self, logits: Tensor) -> Tensor:
        """(H, W) of the image, of logits (h, w)."""
        ...


class Embedder(Protocol):
    """What embeds images."""

    def set_image(self, image: np.ndarray) -> Embedded:
        """An image (H, W, 3) uint8, ready for prompts."""
        ...


@dataclass(frozen=True)
class AutomaticMasks:
    """How masks are made and which of them stay; by default as the authors have it.

    points_per_side: of the grid on the image; on the crops of layer i that over points_divisor ** i. least_iou,
    least_stability: in [0, 1], 0 for no such filter. most_overlap, most_crop_overlap: IoU of boxes above which the
    weaker mask goes, within a crop and between crops. crop_layers: the first has 2 x 2 crops, the second 4 x 4, and so
    on; crop_share: of the shorter side, that crops of the first layer share.
    """

    points_per_side: int = 32
    least_iou: float = 0.88
    least_stability: float = 0.95
    most_overlap: float = 0.7
    crop_layers: int = 0
    crop_share: float = 512 / 1500
    points_divisor: int = 1
    most_crop_overlap: float = 0.7

    def masks(self, embedder: Embedder, image: np.ndarray) -> MaskSet:
        """The masks of an image (H, W, 3) uint8, best first; where there are crops, those of smaller crops first."""
        height, width = image.shape[:2]
        crops = crops_of((height, width), self.crop_layers, self.crop_share)
        sets, extents = [], []
        for crop in crops:
            pixels = image[crop.y0 : crop.y1, crop.x0 : crop.x1]
            points = grid(int(self.points_per_side / self.points_divisor**crop.layer)) * pixels.shape[1::-1]
            masks = self.of_crop(embedder.set_image(np.ascontiguousarray(pixels)), points, crop, (height, width))
            sets.append(masks.placed(crop.y0, crop.x0, (height, width)))
            extents += [crop.area] * len(masks)
        masks = MaskSet.joined(sets)
        if len(crops) == 1:
            return masks
        return masks.take(box_nms(masks.boxes, 1 / np.array(extents, np.float32), self.most_crop_overlap))

    def of_crop(self, embedded: Embedded, points: np.ndarray, crop: Crop, shape: tuple[int, int]) -> MaskSet:
        """The masks of a crop's points (P, 2), in its own pixels. shape: (H, W) of the image."""
        waiting = [*self.stable(embedded, points, crop, shape)]
        boxes = np.array([mask.box for mask in waiting]).reshape(-1, 4)
        rows = box_nms(boxes, np.array([mask.iou for mask in waiting], np.float32), self.most_overlap)
        masks = [waiting[i] for i in rows.tolist()]
        bits = [Bits.of((embedded.upsampled(mask.logits) > 0).cpu().numpy()) for mask in masks]
        columns = ([getattr(mask, name) for mask in masks] for name in ("iou", "stability", "prompt", "level"))
        return MaskSet.of_bits((crop.y1 - crop.y0, crop.x1 - crop.x0), bits, *map(np.array, columns))

    def stable(self, embedded: Embedded, points: np.ndarray, crop: Crop, shape: tuple[int, int]) -> Iterator[Waiting]:
        """Those that pass the filters of single masks."""
        least = self.least_iou if self.least_iou > 0 else -math.inf
        for batch in embedded.candidates(points[:, None], least_iou=least):
            columns = (batch.ious.tolist(), batch.prompts.tolist(), batch.levels.tolist())
            for logits, iou, prompt, level in zip(batch.logits, *columns, strict=True):
                field = embedded.upsampled(logits)
                steadiness = stability(field)
                if self.least_stability > 0 and not steadiness >= self.least_stability:
                    continue
                box = box_of(field)
                if not crop.cuts(box, shape):
                    # a copy: a view would keep the whole batch
                    yield Waiting(logits.clone(), box, iou, steadiness, prompt, level)


class Waiting(NamedTuple):
    """A mask between the filters. logits: (h, w) as the network gave it; box: x0, y0, x1, y1 in pixels of the crop."""

    logits: Tensor
    box: tuple[int, int, int, int]
    iou: float
    stability: float
    prompt: int
    level: int


class Crop(NamedTuple):
    """A rectangle of the image, in pixels; layer 0 is the image itself."""

    x0: int
    y0: int
    x1: int
    y1: int
    layer: int

    @property
    def area(self) -> int:
        """In pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def cuts(self, box: tuple[int, int, int, int], shape: tuple[int, int]) -> bool:
        """Whether a box of this crop ends near one of its edges that is not near the image's, (H, W) as `shape`."""
        ends = self.x0, self.y0, self.x1, self.y1
        image = 0, 0, shape[1], shape[0]
        place = [value + (self.x0, self.y0)[i % 2] for i, value in enumerate(box)]
        return any(
            abs(at - end) <= EDGE_PX < abs(at - border) for at, end, border in zip(place, ends, image, strict=True)
        )


def crops_of(shape: tuple[int, int], layers: int, share: float) -> list[Crop]:
    """The image (H, W) itself, then the crops of each layer, column by column."""
    height, width = shape
    crops = [Crop(0, 0, width, height, 0)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(share * min(shape) * (2 / count))
        across, down = (math.ceil((overlap * (count - 1) + side) / count) for side in (width, height))
        corners = product(*([(side - overlap) * i for i in range(count)] for side in (across, down)))
        crops += [Crop(x, y, min(x + across, width), min(y + down, height), layer) for x, y in corners]
    return crops


def grid(count: int) -> np.ndarray:
    """(count ** 2, 2) x and y in [0, 1], row by row: the centres of count x count cells."""
    centres = np.linspace(1 / (2 * count), 1 - 1 / (2 * count), count)
    return np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)


def stability(field: Tensor, offset: float = STABILITY_OFFSET) -> float:
    """The IoU of the masks of logits (H, W) above `offset` and above its negative; 0 where there are none."""
    return int((field > offset).count_nonzero()) / max(int((field > -offset).count_nonzero()), 1)


def box_of(field: Tensor) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the pixels of logits (H, W) above 0, the greatest included; zeros where there is none."""
    mask = (field > 0).cpu().numpy()
    down, across = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(down):
        return 0, 0, 0, 0
    return int(across[0]), int(down[0]), int(across[-1]), int(down[-1])
