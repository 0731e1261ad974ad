"""What is done to weights that have learnt, so that what is measured is what is shared: a rank, and half precision.

An update of full rank learns more in the same time than the two factors of a low-rank one, whose product moves slowly
while both are small; nearly all of what it learns is of low rank all the same. So it can learn whole and be cut to its
best approximation of that rank at the end (Eckart and Young, Psychometrika 1936), in a file of the same size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from adapters.methods.decoder_update import FROZEN, LowRankConv2d
from adapters.network import EntitySegmenter


@contextmanager
def full_rank_kernels(decoder: nn.Module) -> Iterator[None]:
    """For the while, the updates of a decoder's kernels learn whole; at the end they are of their rank again."""
    layers = [layer for layer in decoder.modules() if isinstance(layer, LowRankConv2d)]
    for layer in layers:
        layer.begin_full_rank()
    try:
        yield
    finally:
        for layer in layers:
            layer.cut_to_rank()


def learnt_weights(network: EntitySegmenter) -> Iterator[nn.Parameter]:
    """What an adapter's file holds: what learns in the backbone, and the decoder but for kernels frozen underneath."""
    yield from (weights for weights in network.backbone.parameters() if weights.requires_grad)
    yield from (weights for name, weights in network.decoder.named_parameters() if not name.endswith(FROZEN))


def round_to_half(learnt: Iterable[nn.Parameter]) -> None:
    """Round weights to what half precision holds: half the file."""
    with torch.no_grad():
        for weights in learnt:
            weights.copy_(weights.to(torch.float16))
