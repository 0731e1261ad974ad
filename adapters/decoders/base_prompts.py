"""Prompts of a base that is no SAM: its own pixels, its own prompt decoder, nothing to download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapters.backbones.backbone import Backbone
from adapters.decoders.pretrained_prompts import PromptParts
from adapters.decoders.prompt_batch import Origin, Prompted
from adapters.decoders.promptable import Extent, PromptableImage, Sure, Table, fitted_size
from adapters.decoders.prompts import STRIDE, PromptDecoder, Seen
from adapters.decoders.two_way import Decoded

SIDE_PX = 512
MOST_PX = 1024
"""Of the longer side: an image is seen as it is, a larger one smaller."""


class BasePrompts:
    """A base with a prompt decoder: `set_image` embeds an image, whose `predict` takes prompts.

    decoders: what answers, on the backbone's device. autocast: the context in which base and dense decoder run; masks
    are made in single precision.
    """

    takes_granularity: ClassVar[bool] = True
    sure: ClassVar[Sure] = Sure(0.4, 0.65)  # of most AP on generated scenes; SAM's thresholds leave nothing of these
    side_px = SIDE_PX

    def __init__(
        self,
        backbone: Backbone,
        decoders: PromptParts,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.backbone = backbone.eval()
        self.trunk, self.decoder = decoders
        self.autocast = autocast

    @property
    def name(self) -> str:
        """Of the backbone."""
        return self.backbone.name

    @torch.no_grad()
    def set_image(self, image: np.ndarray) -> BaseImage:
        """The embedding of an image (H, W, 3) uint8, ready for prompts."""
        shape = size = image.shape[0], image.shape[1]
        if max(shape) > MOST_PX:
            size = fitted_size(shape, MOST_PX)
            rows, columns = size
            image = np.array(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
        multiple = int(np.lcm(STRIDE, self.backbone.stride))
        beyond = [(0, -side % multiple) for side in size]
        pixels = torch.from_numpy(np.pad(image, [*beyond, (0, 0)], mode="edge"))
        images = pixels.permute(2, 0, 1)[None].to(self.backbone.mean) / 255
        padded = images.shape[-2], images.shape[-1]
        origin = -size[1] / 2, -size[0] / 2  # positions begin in the middle: so the most of them are near it
        with self.autocast():
            taps = self.backbone(images)
            pyramid = self.trunk.pyramid(taps, images)
        seen = self.decoder.look([tap.float() for tap in taps], [level.float() for level in pyramid], origin)
        return BaseImage(self.decoder, Extent(shape, size, padded), seen, origin)


class BaseImage(PromptableImage):
    """An image that a base has embedded. prompts: answers; origin: where its corner lies in the frame of positions."""

    def __init__(self, prompts: PromptDecoder, extent: Extent, seen: Seen, origin: Origin) -> None:
        super().__init__(extent, seen.embedding, seen.two_way)
        self.prompts = prompts
        self.seen, self.origin = seen, origin

    def prompted(self, points: Table, labels: Table, boxes: Table, granularity: float | None) -> Prompted:
        """Prompts in pixels that the network sees: points (P, n, 2) with labels (P, n), and boxes (P, 4)."""
        marks = np.ones(points.shape[:2]) if labels is None and points is not None else labels
        count = len(points if points is not None else boxes if boxes is not None else ())
        tables = (
            None if points is None else points * self.scale,
            marks,
            None if boxes is None else boxes * np.tile(self.scale, 2),
            None if granularity is None else np.full(count, granularity),
        )
        return Prompted(*(None if table is None else torch.from_numpy(table).to(self.embedding) for table in tables))

    def answered(
        self, points: Table, labels: Table, boxes: Table, several: bool, least_iou: float, granularity: float | None
    ) -> Decoded:
        """The masks of a batch of prompts, three of each or one."""
        prompts = self.prompted(points, labels, boxes, granularity)
        return self.prompts.decoded(self.seen, prompts, self.origin, several, least_iou)

    def all_masks(self, groups: Sequence[Prompted]) -> tuple[Tensor, Tensor]:
        """Logits (P, 4, h, w) and predicted IoUs (P, 4): of the single mask, then of the three."""
        prompts = [group.to(self.embedding.device) for group in groups]
        tokens = [self.prompts.tokens(self.seen, group, self.origin) for group in prompts]
        logits, predicted = self.seen.two_way.all_masks(torch.cat(tokens))
        near = [
            self.prompts.near_logits(self.seen, group, table[:, -1:])
            for group, table in zip(prompts, tokens, strict=True)
        ]
        return logits.float() + torch.cat(near).float(), predicted.float()
