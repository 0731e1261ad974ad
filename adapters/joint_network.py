"""The network of pretraining: one backbone, and a decoder for each kind of scene."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.decoders import Decoder


class JointSegmenter(nn.Module):
    """forward: images by kind, each (B, 3, H, W) of one size -> the outputs of that kind's decoder, by kind."""

    projection = None

    def __init__(self, backbone: Backbone, decoders: Mapping[str, Decoder]) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = nn.ModuleDict(decoders)

    def forward(self, images: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """The outputs of each kind, (B, C, H, W) by name, as its decoder gives them."""
        learns = any(parameter.requires_grad for parameter in self.backbone.parameters())
        sizes = [len(pictures) for pictures in images.values()]
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            taps = [tap.split(sizes) for tap in self.backbone(torch.cat(list(images.values())))]
        features = zip(images, zip(*taps, strict=True), strict=True)  # each kind with its images' part of every tap
        return {kind: self.decoder[kind](list(levels), images[kind]) for kind, levels in features}
