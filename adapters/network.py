"""The network: a frozen backbone with its adapter, and a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.backbones.projection import BandProjection
from adapters.decoders import Decoder
from domains.entities import EntityMap
from domains.errors import InputError

SYMMETRIES = ((False, 0), (True, 0), (False, 2), (True, 2), (False, 1), (True, 1), (False, 3), (True, 3))
"""The eight symmetries of a square as (flip, quarter turns); the first four keep landscape landscape."""


@dataclass(frozen=True)
class Views:
    """How often an image is looked at before its entities are cut out; the decoder's fields are averaged."""

    symmetries: int = 1
    """The first so many flips and turns of `SYMMETRIES`."""
    scales: tuple[float, ...] = (1.0,)
    """The image is resized by each: a smaller one shows the network more of the scene at a glance."""


ONE_VIEW = Views()


class Output(NamedTuple):
    """A batch's outputs, the place in it of one image, and that image's (height, width) before padding."""

    outputs: dict[str, Any]
    index: int
    size: tuple[int, int]


class EntitySegmenter(nn.Module):
    """forward: images (B, C, H, W) in [0, 1] -> the decoder's outputs, by name.

    C is 3, RGB, but where a projection takes more bands to these three. H and W must be multiples of the backbone's
    stride and of 8; `entities` pads for you.
    """

    backbone: Backbone
    decoder: Decoder
    projection: BandProjection | None

    def __init__(self, backbone: Backbone, decoder: Decoder, projection: BandProjection | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.projection = projection

    @property
    def channels(self) -> int:
        """Of the images that it takes."""
        return 3 if self.projection is None else self.projection.mix.in_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        learns = any(parameter.requires_grad for parameter in self.backbone.parameters())
        if self.projection is not None:
            images, learns = self.projection(images), True
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            features = self.backbone(images)
        return self.decoder(features, images)

    def entities(self, images: Sequence[np.ndarray], views: Views = ONE_VIEW) -> list[EntityMap]:
        """Images of any sizes, each (H, W, C) uint8, to their entities."""
        proposals = self.decoder.proposals
        return [proposals.entities(*output) for output in self.outputs(images, views)]

    @torch.inference_mode()
    def outputs(self, images: Sequence[np.ndarray], views: Views = ONE_VIEW) -> list[Output]:
        """What the decoder says of each image, before it becomes entities; images of one padded size go together."""
        multiple = int(np.lcm(self.backbone.stride, 8))
        padded = [pad_to(to_tensor(image), multiple) for image in images]
        results: dict[int, Output] = {}
        device = next(self.decoder.parameters()).device
        for size in sorted({x.shape[-2:] for x in padded}):
            members = [i for i, x in enumerate(padded) if x.shape[-2:] == size]
            outputs = self.averaged(torch.stack([padded[i] for i in members]).to(device), views)
            for position, i in enumerate(members):
                results[i] = Output(outputs, position, images[i].shape[:2])  # type: ignore[arg-type]
        return [results[i] for i in range(len(images))]

    def averaged(self, images: Tensor, views: Views) -> dict[str, Any]:
        """The decoder's fields, each the mean of its logits over the views.

        images: (B, C, H, W). With one view it is `forward`. Raises InputError for a decoder that gives no fields.
        """
        if views == ONE_VIEW:
            return self(images)
        if not self.decoder.fields:
            raise InputError(
                f"symmetries is {views.symmetries} and test_scales {list(views.scales)}: only decoder.name=dense can "
                "average; set them to 1 and [1]"
            )
        total: dict[str, Any] = dict.fromkeys(self.decoder.fields, 0.0)
        for scale in views.scales:
            resized = self._resized(images, scale)
            for flip, turns in SYMMETRIES[: views.symmetries]:
                outputs = self(torch.rot90(resized.flip(-1) if flip else resized, turns, (-2, -1)))
                for name in total:
                    back = torch.rot90(outputs[name], -turns, (-2, -1))
                    total[name] = total[name] + interpolated(back.flip(-1) if flip else back, images.shape[-2:])
        return {name: field / (len(views.scales) * views.symmetries) for name, field in total.items()}

    def _resized(self, images: Tensor, scale: float) -> Tensor:
        """To the nearest size that the network takes."""
        multiple = int(np.lcm(self.backbone.stride, 8))
        return interpolated(images, [max(1, round(side * scale / multiple)) * multiple for side in images.shape[-2:]])


def interpolated(x: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, H, W) to another size, without aliasing; as it is where it has that size."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=False, antialias=True)


def to_tensor(image: np.ndarray) -> Tensor:
    """(H, W, C) uint8 to (C, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255.0)


def pad_to(image: Tensor, multiple: int) -> Tensor:
    """Edge pixels repeated to the right and below until both sides are multiples."""
    height, width = image.shape[-2:]
    return F.pad(image[None], (0, -width % multiple, 0, -height % multiple), mode="replicate")[0]
