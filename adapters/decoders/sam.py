"""SAM's prompts: one embedding of an image, and masks of as many points and boxes as one likes.

Kirillov et al., https://arxiv.org/abs/2304.02643. The weights are those of the `SamModel` that the backbone keeps whole
around its encoder; an adapter of the encoder has its effect here too. The image is resized to 1,024 px on its longer
side and padded, prompts and masks go the same way and back, as in the original.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapters.backbones.sam import SamBackbone
from adapters.decoders.prompt_batch import Prompted
from adapters.decoders.promptable import Extent, PromptableImage, Sure, Table, fitted_size, no_granularity
from adapters.decoders.two_way import Affine, Decoded, TwoWay
from adapters.proposals.automatic import AutomaticMasks
from domains.errors import InputError

PARTS = ("prompt_encoder", "mask_decoder")


class SamPrompts:
    """SAM on a backbone: `set_image` embeds an image, whose `predict` takes prompts; on the backbone's own device.

    autocast: the context in which the encoder runs; masks are made in single precision, as their thresholds are fine.
    fitted_px: of the tiles that an adapter was fitted for; an image of no more is seen as it is, a larger one smaller.
    Raises InputError for files that lack the prompt encoder or the mask decoder.
    """

    takes_granularity: ClassVar[bool] = False
    sure: ClassVar[Sure] = Sure(AutomaticMasks.least_iou, AutomaticMasks.least_stability)

    def __init__(
        self,
        backbone: SamBackbone,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        fitted_px: int | None = None,
    ) -> None:
        check_complete(backbone)
        self.backbone = backbone.eval()
        self.autocast, self.fitted_px = autocast, fitted_px

    @property
    def name(self) -> str:
        """Of the backbone."""
        return self.backbone.name

    @property
    def side_px(self) -> int:
        """The longer side of the images that the network sees."""
        return self.fitted_px or self.backbone.vision_config.image_size

    @torch.no_grad()
    def set_image(self, image: np.ndarray) -> SamImage:
        """The embedding of an image (H, W, 3) uint8, ready for prompts."""
        backbone, (height, width) = self.backbone, image.shape[:2]
        side, size = self.side_px, (height, width)
        if self.fitted_px is None or max(size) > side:
            size = fitted_size(size, side)
            rows, columns = size
            image = np.array(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
        elif self.fitted_px:
            side = -(-max(size) // backbone.stride) * backbone.stride
        (rows, columns), pixels = size, image
        placed = backbone.mean.expand(-1, side, side).clone()  # zero once it is normalised
        placed[:, :rows, :columns] = torch.from_numpy(pixels).permute(2, 0, 1).to(placed) / 255
        with self.autocast():
            prefix = backbone.prefix(placed[None], backbone.depth)
            embedding = backbone.neck(backbone.spatial(prefix.tokens, 0, 0))
        extent = Extent((height, width), size, (side, side))
        return SamImage(backbone, extent, embedding.float(), (placed[None], prefix.features), self.autocast)


def check_complete(backbone: SamBackbone) -> None:
    """Raises InputError for a SAM whose files lacked what answers prompts."""
    if absent := [name for name in backbone.absent if name.startswith(PARTS)]:
        raise InputError(
            f"{backbone.name} lacks {len(absent)} tensors of SAM's prompt encoder and mask decoder, such as "
            f"{absent[0]}; give the complete model"
        )


class SamImage(PromptableImage):
    """An image that a SAM has embedded: its positions run from 0 to 1 along the longer side of what is padded.

    shown: what the network saw, (1, 3, h, w), and the backbone's features of that, for another decoder on them; None
    where nobody asks. layers: as `TwoWay` has them.
    """

    def __init__(
        self,
        backbone: SamBackbone,
        extent: Extent,
        embedding: Tensor,
        shown: tuple[Tensor, list[Tensor]] | None = None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        layers: Affine | None = None,
    ) -> None:
        self.name, self.shown, self.autocast = backbone.name, shown, autocast
        self.model: Any = backbone.model
        dense = self.model.prompt_encoder.no_mask_embed.weight[0]
        places = self.places(embedding.shape[-2], embedding.shape[-1])
        super().__init__(extent, embedding, TwoWay(self.model.mask_decoder, embedding, places, dense, (), layers))

    def places(self, height: int, width: int) -> Tensor:
        """(1, C, h, w) positions of the cells of a grid."""
        if height == width == self.model.config.prompt_encoder_config.image_embedding_size:
            return self.model.get_image_wide_positional_embeddings()
        device = self.model.prompt_encoder.no_mask_embed.weight.device
        y, x = ((torch.arange(side, device=device) + 0.5) / max(height, width) for side in (height, width))
        centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # (h, w, 2)
        return self.model.shared_image_embedding(centres).permute(2, 0, 1)[None]

    def in_frame(self, places: Tensor) -> Tensor:
        """Pixels that the network saw as those of the frame that SAM has its prompts in; centres stay centres."""
        larger = self.model.config.vision_config.image_size / max(self.extent.padded)
        return places if larger == 1 else (places + 0.5) * larger - 0.5

    def embedded(self, points: Table, labels: Table, boxes: Table) -> Tensor:
        """(P, n, C) of prompts: points (P, n, 2) with labels (P, n), and boxes (P, 4)."""
        scale = torch.from_numpy(self.scale)
        placed = None if points is None else torch.from_numpy(np.asarray(points, np.float64)) * scale
        marks = None if labels is None else torch.from_numpy(np.asarray(labels, np.int32))
        corners = None if boxes is None else torch.from_numpy(np.asarray(boxes, np.float64)) * scale.repeat(2)
        return self.tokens(Prompted(placed, marks, corners))

    def tokens(self, prompts: Prompted) -> Tensor:
        """(P, n, C) of prompts in pixels that the network saw."""
        prompts = prompts.to(self.embedding.device)
        points, boxes = prompts.points, prompts.boxes
        labels = prompts.labels
        if points is not None and labels is None:
            labels = torch.ones(points.shape[:2], dtype=torch.int32, device=points.device)
        tables = (
            None if points is None else self.in_frame(points)[None],
            None if labels is None else labels[None].int(),
            None if boxes is None else self.in_frame(boxes)[None],
        )
        return self.model.prompt_encoder(*tables, None)[0][0]

    def all_masks(self, groups: Sequence[Prompted]) -> tuple[Tensor, Tensor]:
        """Logits (P, 4, 4 h, 4 w) and predicted IoUs (P, 4): of the single mask, then of the three."""
        logits, predicted = self.decoder.all_masks(torch.cat([self.tokens(group) for group in groups]))
        return logits.float(), predicted.float()

    def answered(
        self, points: Table, labels: Table, boxes: Table, several: bool, least_iou: float, granularity: float | None
    ) -> Decoded:
        """The masks of a batch of prompts. Raises InputError for a granularity: a SAM has no such token."""
        if granularity is not None:
            raise no_granularity(self.name)
        return self.decoder(self.embedded(points, labels, boxes), several, least_iou)
