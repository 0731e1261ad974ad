"""The embedded base with its pretrained decoder of nuclei, adapted by a method."""

from __future__ import annotations

from typing import Any

import torch

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import folder_of
from adapters.decoders import DECODERS
from adapters.decoders.pretrained import warm_start
from adapters.methods import METHODS
from adapters.network import EntitySegmenter


def adapted(name: str, **options: Any) -> EntitySegmenter:
    """The network of a method, nothing learnt yet; what is drawn is drawn alike each time."""
    torch.manual_seed(0)
    backbone = build_backbone(BackboneOptions())
    method = METHODS[name](**options)
    method.attach(backbone)
    decoder = DECODERS["dense"]().build(backbone.dim, len(backbone.taps), backbone.stride)
    assert warm_start(decoder, folder_of(backbone.name), "nuclei")
    method.adapt_decoder(decoder)
    return EntitySegmenter(backbone, decoder)
