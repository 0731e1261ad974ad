"""SAM's prompts: one embedding of an image, and masks of as many points and boxes as one likes.

Kirillov et al., https://arxiv.org/abs/2304.02643. The weights are those of the `SamModel` that the backbone keeps whole
around its encoder; an adapter of the encoder has its effect here too. The image is resized to 1,024 px on its longer
side and padded, prompts and masks go the same way and back, as in the original.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapters.backbones.sam import SamBackbone
from adapters.decoders.promptable import Extent, PromptableImage, Sure, Table, fitted_size, no_granularity
from adapters.decoders.two_way import Decoded, TwoWay
from adapters.proposals.automatic import AutomaticMasks
from domains.errors import InputError

PARTS = ("prompt_encoder", "mask_decoder")


class SamPrompts:
    """SAM on a backbone: `set_image` embeds an image, whose `predict` takes prompts; on the backbone's own device.

    autocast: the context in which the encoder runs; masks are made in single precision, as their thresholds are fine.
    Raises InputError for files that lack the prompt encoder or the mask decoder.
    """

    takes_granularity: ClassVar[bool] = False
    sure: ClassVar[Sure] = Sure(AutomaticMasks.least_iou, AutomaticMasks.least_stability)

    def __init__(
        self, backbone: SamBackbone, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        if absent := [name for name in backbone.absent if name.startswith(PARTS)]:
            raise InputError(
                f"{backbone.name} lacks {len(absent)} tensors of SAM's prompt encoder and mask decoder, such as "
                f"{absent[0]}; give the complete model"
            )
        self.backbone = backbone.eval()
        self.autocast = autocast

    @property
    def name(self) -> str:
        """Of the backbone."""
        return self.backbone.name

    @property
    def side_px(self) -> int:
        """The longer side of the images that the network sees."""
        return self.backbone.vision_config.image_size

    @torch.no_grad()
    def set_image(self, image: np.ndarray) -> SamImage:
        """The embedding of an image (H, W, 3) uint8, ready for prompts."""
        backbone, (height, width) = self.backbone, image.shape[:2]
        size = rows, columns = fitted_size((height, width), self.side_px)
        pixels = np.array(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
        placed = backbone.mean.expand(-1, self.side_px, self.side_px).clone()  # zero once it is normalised
        placed[:, :rows, :columns] = torch.from_numpy(pixels).permute(2, 0, 1).to(placed) / 255
        with self.autocast():
            prefix = backbone.prefix(placed[None], backbone.depth)
            embedding = backbone.neck(backbone.spatial(prefix.tokens, 0, 0))
        extent = Extent((height, width), size, (self.side_px, self.side_px))
        return SamImage(self, extent, embedding.float(), (placed[None], prefix.features))


class SamImage(PromptableImage):
    """An image that a SAM has embedded. shown: what the network saw, (1, 3, side, side), and the backbone's features of
    that, for another decoder on them.
    """

    def __init__(self, sam: SamPrompts, extent: Extent, embedding: Tensor, shown: tuple[Tensor, list[Tensor]]) -> None:
        self.sam, self.shown = sam, shown
        self.model: Any = sam.backbone.model
        dense = self.model.prompt_encoder.no_mask_embed.weight[0]
        with torch.no_grad():
            places = self.model.get_image_wide_positional_embeddings()
            super().__init__(extent, embedding, TwoWay(self.model.mask_decoder, embedding, places, dense))

    def embedded(self, points: Table, labels: Table, boxes: Table) -> Tensor:
        """(P, n, C) of prompts: points (P, n, 2) with labels (P, n), and boxes (P, 4)."""
        scale = torch.from_numpy(self.scale)
        tables: list[Tensor | None] = [None, None, None]
        device = self.embedding.device
        if points is not None:
            marks = np.ones(points.shape[:2]) if labels is None else labels
            tables[0] = (torch.from_numpy(np.asarray(points, np.float64)) * scale)[None].to(device)
            tables[1] = torch.from_numpy(np.asarray(marks, np.int32))[None].to(device)
        if boxes is not None:
            corners = torch.from_numpy(np.asarray(boxes, np.float64)) * scale.repeat(2)
            tables[2] = corners[None].to(device)
        return self.model.prompt_encoder(*tables, None)[0][0]

    def answered(
        self, points: Table, labels: Table, boxes: Table, several: bool, least_iou: float, granularity: float | None
    ) -> Decoded:
        """The masks of a batch of prompts. Raises InputError for a granularity: a SAM has no such token."""
        if granularity is not None:
            raise no_granularity(self.sam.name)
        return self.decoder(self.embedded(points, labels, boxes), several, least_iou)
