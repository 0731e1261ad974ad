"""Several decoders on one backbone."""

from __future__ import annotations

import pytest
import torch

from adapters.joint_network import BranchedSegmenter
from adapters.network import EntitySegmenter


def test_branches_share_their_backbone_and_have_its_weights_once(tiny_segmenter) -> None:
    first, _ = tiny_segmenter("decoder_only")
    second = EntitySegmenter(first.backbone, tiny_segmenter("decoder_only")[0].decoder)
    network = BranchedSegmenter({"a": first, "b": second})
    counts = [sum(weights.numel() for weights in module.parameters()) for module in (first, second.decoder, network)]
    assert counts[0] + counts[1] == counts[2] and network.branches["b"] is second
    with pytest.raises(TypeError, match="ask a branch"):
        network(torch.zeros(1, 3, 16, 16))


def test_branches_on_backbones_of_their_own_are_refused(tiny_segmenter) -> None:
    with pytest.raises(ValueError, match="backbones of their own"):
        BranchedSegmenter({name: tiny_segmenter("decoder_only")[0] for name in "ab"})
