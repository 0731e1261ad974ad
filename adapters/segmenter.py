"""The network: a frozen backbone with its adapter, and a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.decoders import Decoder
from domains.entities import EntityMap


class Output(NamedTuple):
    """A batch's outputs, the place in it of one image, and that image's (height, width) before padding."""

    outputs: dict[str, Any]
    index: int
    size: tuple[int, int]


class EntitySegmenter(nn.Module):
    """forward: images (B, 3, H, W) RGB in [0, 1] -> the decoder's outputs, by name.

    H and W must be multiples of the backbone's stride and of 8; `entities` pads for you.
    """

    backbone: Backbone
    decoder: Decoder

    def __init__(self, backbone: Backbone, decoder: Decoder) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        learns = any(parameter.requires_grad for parameter in self.backbone.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            features = self.backbone(images)
        return self.decoder(features, images)

    def entities(self, images: Sequence[np.ndarray]) -> list[EntityMap]:
        """Images of any sizes, each (H, W, 3) uint8, to their entities."""
        return [self.decoder.entities(found.outputs, found.index, found.size) for found in self.outputs(images)]

    @torch.inference_mode()
    def outputs(self, images: Sequence[np.ndarray]) -> list[Output]:
        """What the decoder says of each image, before it becomes entities; images of one padded size go together."""
        multiple = int(np.lcm(self.backbone.stride, 8))
        padded = [pad_to(to_tensor(image), multiple) for image in images]
        results: dict[int, Output] = {}
        device = next(self.decoder.parameters()).device
        for size in sorted({x.shape[-2:] for x in padded}):
            members = [i for i, x in enumerate(padded) if x.shape[-2:] == size]
            outputs = self(torch.stack([padded[i] for i in members]).to(device))
            for position, i in enumerate(members):
                results[i] = Output(outputs, position, images[i].shape[:2])  # type: ignore[arg-type]
        return [results[i] for i in range(len(images))]


def to_tensor(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 to (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255.0)


def pad_to(image: Tensor, multiple: int) -> Tensor:
    """Edge pixels repeated to the right and below until both sides are multiples."""
    height, width = image.shape[-2:]
    return F.pad(image[None], (0, -width % multiple, 0, -height % multiple), mode="replicate")[0]
