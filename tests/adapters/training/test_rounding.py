"""Weights after learning: updates of few bits on their codes, all else in half precision."""

from __future__ import annotations

import torch

from adapters.methods.decoder_update import FROZEN, quantised_layers
from adapters.training.rounding import learnt_weights, round_learnt
from adapters.training.strength import learning_weights, step_back
from tests.adapters.training.networks import adapted


def test_what_learnt_survives_a_file_as_it_is():
    network = adapted("decoder_only", bits=3)
    with torch.no_grad():
        for weights in network.decoder.parameters():
            weights.add_(torch.randn(weights.shape, generator=torch.Generator().manual_seed(0)), alpha=0.01)
    round_learnt(network)
    halves = list(learnt_weights(network))
    assert halves and all(torch.equal(weights.half().float(), weights) for weights in halves)
    frozen = [name for name, _ in network.decoder.named_parameters() if name.endswith((FROZEN, ".update"))]
    assert len(halves) + len(frozen) == len(list(network.decoder.parameters()))
    for _, layer in quantised_layers(network.decoder):
        assert torch.equal(layer.decoded(layer.codes(), layer.step), layer.update)


def test_a_half_of_the_way_back_halves_the_steps():
    networks = [adapted("decoder_only", bits=3) for _ in range(2)]
    for network, strength in zip(networks, (1.0, 0.5), strict=True):
        start = learning_weights(network)
        with torch.no_grad():
            for _, layer in quantised_layers(network.decoder):
                layer.update.normal_(std=0.01, generator=torch.Generator().manual_seed(0))
        step_back(network, start, strength)
        round_learnt(network)
    for (_, whole), (_, half) in zip(*(quantised_layers(network.decoder) for network in networks), strict=True):
        torch.testing.assert_close(half.update, whole.update / 2, atol=1e-5, rtol=2e-2)
        assert (half.codes() == whole.codes()).float().mean() > 0.97  # of steps in half precision
