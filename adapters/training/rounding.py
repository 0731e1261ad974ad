"""What is done to weights that have learnt, so that what is measured is what is shared: few bits, half precision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from adapters.methods.decoder_update import FROZEN, quantised_layers
from adapters.network import EntitySegmenter

UPDATE = ".update"  # how the name of an update of few bits ends


def round_learnt(network: EntitySegmenter) -> None:
    """Round updates of few bits to their codes, and all else that learnt to half precision."""
    for _, layer in quantised_layers(network.decoder):
        layer.quantise()
    round_to_half(learnt_weights(network))


def learnt_weights(network: EntitySegmenter) -> Iterator[nn.Parameter]:
    """What an adapter's file holds in half precision: what learns in the backbone, and the decoder but for kernels
    frozen underneath an update, and updates of few bits.
    """
    yield from (weights for weights in network.backbone.parameters() if weights.requires_grad)
    for name, weights in network.decoder.named_parameters():
        if not name.endswith((FROZEN, UPDATE)):
            yield weights


def round_to_half(learnt: Iterable[nn.Parameter]) -> None:
    """Round weights to what half precision holds: half the file."""
    with torch.no_grad():
        for weights in learnt:
            weights.copy_(weights.to(torch.float16))
