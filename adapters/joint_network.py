"""Networks of one backbone and several decoders: of pretraining, and of an adapter of several domains."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.backbones.backbone import Prefix
from adapters.decoders import Decoder
from adapters.decoders.branches import Branches
from adapters.network import EntitySegmenter


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


class BranchedSegmenter(EntitySegmenter):
    """Networks that share one frozen backbone as one module, whose weights are those of all; it predicts by one of
    `branches`, never by itself.

    branches: by name, on the same backbone, each with a decoder of its own, and of other bands than RGB the same
    projection.
    """

    def __init__(self, branches: Mapping[str, EntitySegmenter]) -> None:
        lead = next(iter(branches.values()))
        if any(network.backbone is not lead.backbone for network in branches.values()):
            raise ValueError("the branches have backbones of their own; wanted one for all")
        super().__init__(lead.backbone, Branches({name: x.decoder for name, x in branches.items()}), lead.projection)
        self.held = (dict(branches),)  # in a tuple, or their weights would be there twice

    @property
    def branches(self) -> dict[str, EntitySegmenter]:
        """The networks, by name."""
        return self.held[0]

    def forward(self, images: Tensor, prefix: Prefix | None = None) -> dict[str, Tensor]:
        """Refused, as by `Branches`."""
        raise TypeError("ask a branch of its own: branches[name]")
