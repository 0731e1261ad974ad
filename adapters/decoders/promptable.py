"""What takes prompts: one embedding of an image, and masks of as many points and boxes as one likes.

One interface for SAM (`sam`) and for a base with a prompt decoder of its own (`base_prompts`); they differ in how an
image is embedded, how prompts become tokens, and in whether a granularity may be said.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.decoders.prompt_batch import Prompted
from adapters.decoders.two_way import Decoded, TwoWay
from adapters.proposals.automatic import stability
from adapters.proposals.mask_set import Bits, MaskSet
from domains.errors import InputError

PROMPTS_AT_ONCE = 4
"""Some 40 MB each with SAM; on a processor more at once take longer, as they leave the cache."""
MASK_CELLS = 4
"""Cells of a mask along a side of one of the embedding."""
Table = np.ndarray | None


class Sure(NamedTuple):
    """From which predicted IoU and stability on a mask that nobody asked for is one."""

    least_iou: float
    least_stability: float


class Promptable(Protocol):
    """Embeds images on its own device."""

    takes_granularity: ClassVar[bool]
    sure: ClassVar[Sure]

    @property
    def name(self) -> str:
        """Of the backbone."""
        ...

    @property
    def side_px(self) -> int:
        """The side of the windows in which much larger images are prompted."""
        ...

    def set_image(self, image: np.ndarray) -> PromptableImage:
        """The embedding of an image (H, W, 3) uint8, ready for prompts."""
        ...


class Extent(NamedTuple):
    """(height, width) of an image in pixels: as it came, as the network saw it, and that with what is padded."""

    shape: tuple[int, int]
    size: tuple[int, int]
    padded: tuple[int, int]


class PromptableImage(ABC):
    """An image that was embedded. embedding: (1, C, h, w) of the padded image; decoder: answers tokens."""

    def __init__(self, extent: Extent, embedding: Tensor, decoder: TwoWay) -> None:
        self.extent = extent
        self.embedding = embedding
        self.decoder = decoder

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image as it came."""
        return self.extent.shape

    @property
    def scale(self) -> np.ndarray:
        """(2,) pixels of the network for one of the image, along x and y."""
        return np.array(self.extent.size[::-1]) / self.extent.shape[::-1]

    @property
    def mask_stride(self) -> int:
        """Pixels of the network along a side of a mask's cells."""
        return self.extent.padded[0] // (MASK_CELLS * self.embedding.shape[-2])

    @torch.no_grad()
    def candidates(
        self,
        points: Table = None,
        labels: Table = None,
        boxes: Table = None,
        several: bool = True,
        least_iou: float = float("-inf"),
        *,
        granularity: float | None = None,
    ) -> Iterator[Decoded]:
        """Masks as logits of the network's cells, batch by batch; of which prompt says `prompts`.

        As `predict`; without those whose predicted IoU is not above the least.
        """
        count = len(points if points is not None else boxes if boxes is not None else ())
        for start in range(0, count, PROMPTS_AT_ONCE):
            batch = slice(start, start + PROMPTS_AT_ONCE)
            at, marks, corners = (None if table is None else table[batch] for table in (points, labels, boxes))
            decoded = self.answered(at, marks, corners, several and granularity is None, least_iou, granularity)
            yield decoded._replace(prompts=decoded.prompts + start)

    @abstractmethod
    def answered(
        self, points: Table, labels: Table, boxes: Table, several: bool, least_iou: float, granularity: float | None
    ) -> Decoded:
        """The masks of a batch of prompts, three of each or one. Raises InputError where no granularity is known."""
        ...

    @abstractmethod
    def all_masks(self, groups: Sequence[Prompted]) -> tuple[Tensor, Tensor]:
        """Logits (P, 4, h, w) of the network's cells and predicted IoUs (P, 4) of groups of prompts, which all have as
        many tokens: of each the single mask, then the three. Gradients are kept.
        """
        ...

    def predict(
        self,
        points: Table = None,
        labels: Table = None,
        boxes: Table = None,
        several: bool = True,
        granularity: float | None = None,
    ) -> MaskSet:
        """The masks of P prompts, of the size of the image: three of each, finer and coarser; without `several`, and
        with a granularity, one.

        points: (P, n, 2) x and y in pixels, from the upper left; labels: (P, n), 1 inside the entity, 0 outside, -1 no
        point; all inside by default. boxes: (P, 4) x0, y0, x1, y1. With both, a prompt is a box and its points. Row i
        of the result is mask i % 3 of prompt i // 3. granularity: from 0, the whole that a point lies in, to 1, its
        finest part. Raises ValueError for other shapes, InputError where no granularity is known.
        """
        check_prompts(points, labels, boxes)
        bits, measures = [], []
        for decoded in self.candidates(points, labels, boxes, several, granularity=granularity):
            columns = (decoded.ious.tolist(), decoded.prompts.tolist(), decoded.levels.tolist())
            for logits, *row in zip(decoded.logits, *columns, strict=True):
                field = self.upsampled(logits)
                bits.append(Bits.of((field > 0).cpu().numpy()))
                measures.append((row[0], stability(field), *row[1:]))
        ious, stabilities, prompts, levels = np.array(measures).reshape(-1, 4).T
        return MaskSet.of_bits(self.shape, bits, ious, stabilities, prompts, levels)

    @torch.no_grad()
    def features(self, points: np.ndarray) -> np.ndarray:
        """(P, C) of the embedding at points (P, 2), x and y in pixels, between its cells bilinearly."""
        scale = self.scale / self.extent.padded[::-1]
        places = torch.from_numpy(2 * points * scale - 1).to(self.embedding)[None, None]  # in [-1, 1]
        sampled = F.grid_sample(self.embedding, places, padding_mode="border", align_corners=False)
        return sampled[0, :, 0].mT.cpu().numpy()

    @torch.no_grad()
    def upsampled(self, logits: Tensor) -> Tensor:
        """(H, W) logits of the image of logits (h, w) of the padded input, by two bilinear steps as in the original."""
        shape, size, padded = self.extent
        field = F.interpolate(logits[None, None], padded, mode="bilinear", align_corners=False)
        field = field[..., : size[0], : size[1]]
        if size == shape:  # a resize to the same size changes nothing
            return field[0, 0]
        return F.interpolate(field, shape, mode="bilinear", align_corners=False)[0, 0]


def fitted_size(shape: tuple[int, int], side_px: int) -> tuple[int, int]:
    """(h, w) to which an image (H, W) is resized: its longer side becomes side_px, halves are rounded up."""
    scale = side_px / max(shape)
    return int(shape[0] * scale + 0.5), int(shape[1] * scale + 0.5)


def check_prompts(points: Table, labels: Table, boxes: Table) -> None:
    """Raises ValueError for prompts of no or of different numbers, or of other shapes."""
    shapes: dict[str, tuple[int, ...]] = {
        name: table.shape
        for name, table in (("points", points), ("labels", labels), ("boxes", boxes))
        if table is not None
    }
    rows = shapes.get("points"), shapes.get("boxes")
    fits = any(rows) and len({shape[0] for shape in rows if shape}) == 1
    fits = fits and (rows[0] is None or rows[0][2:] == (2,)) and (rows[1] is None or rows[1][1:] == (4,))
    fits = fits and ("labels" not in shapes or (rows[0] is not None and shapes["labels"] == rows[0][:2]))
    if not fits:
        raise ValueError(f"wanted points (P, n, 2), labels (P, n) of them, boxes (P, 4), or some; got {shapes}")


def no_granularity(name: str) -> InputError:
    """The error of a base whose prompts have no granularity."""
    return InputError(
        f"{name} has no granularity among its prompts; leave out --granularity, or take a base that has one, such as "
        "entity-small"
    )
