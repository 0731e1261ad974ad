"""How much of what was learnt is kept: weights part of the way from where they began to where the fit ended.

    W = W_start + strength (W_fitted - W_start)

Fine-tuned weights are joined to those they began with by a line along which accuracy on the own images falls slowly and
what the base knew comes back fast (WiSE-FT: Wortsman et al., https://arxiv.org/abs/2109.01903).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from adapters.methods.decoder_update import LowRankConv2d
from adapters.methods.injected import Injected

MAGNITUDE = "magnitude"  # of DoRA: it began as the length of the frozen weights


def learning_weights(network: nn.Module) -> dict[str, Tensor]:
    """Copies of all weights that learn, by their names."""
    return {name: weights.detach().clone() for name, weights in network.named_parameters() if weights.requires_grad}


@torch.no_grad()
def step_back(network: nn.Module, start: dict[str, Tensor], strength: float) -> None:
    """Move what learns back towards `start`, which `learning_weights` gave before the fit. strength: 0 is the start, 1
    the end.

    Of a product that began as nothing, such as LoRA's, only the factor that began at zero moves, so that the update
    itself is scaled.
    """
    drawn = set(drawn_factors(network, start))
    for name, weights in network.named_parameters():
        if name in start and name not in drawn:
            weights.copy_(torch.lerp(start[name], weights, strength))


def drawn_factors(network: nn.Module, start: dict[str, Tensor]) -> Iterator[str]:
    """Names of the weights that were drawn at random, to be multiplied by such as began at zero."""
    for prefix, layer in network.named_modules():
        if isinstance(layer, BaseTunerLayer | Injected | LowRankConv2d):
            assert isinstance(layer, nn.Module)
            names = {f"{prefix}.{name}" for name, _ in layer.named_parameters() if not name.startswith("base_layer.")}
            tensors = {name: start[name] for name in names & start.keys()}
            if not all(tensor.any() for tensor in tensors.values()):
                yield from (name for name, x in tensors.items() if x.min() != x.max() and MAGNITUDE not in name)
