"""Weights after learning: updates of full rank cut to the nearest of their rank, and back to factors that learn."""

from __future__ import annotations

import pytest
import torch

from adapters.methods.decoder_update import FROZEN, LowRankConv2d
from adapters.network import EntitySegmenter
from adapters.training.rounding import full_rank_kernels
from adapters.training.strength import learning_weights, step_back
from tests.adapters.training.networks import adapted

RANK = 4


def layers(network: EntitySegmenter) -> dict[str, LowRankConv2d]:
    return {name: layer for name, layer in network.decoder.named_modules() if isinstance(layer, LowRankConv2d)}


def learn(network: EntitySegmenter, steps: int = 2) -> None:
    """A few steps, after which every weight that learns has moved."""
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    learning = [weights for weights in network.train().parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=1e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(x.square().mean() for x in network(images).values()).backward()
        assert all(weights.grad is not None for weights in learning)
        optimiser.step()


@pytest.fixture(scope="module")
def cut() -> tuple[EntitySegmenter, dict[str, torch.Tensor]]:
    """A network whose updates learnt whole, and these updates as they were before they were cut."""
    network = adapted("lora", scope="decoder", rank=RANK)
    frozen = {name: x.clone() for name, x in network.state_dict().items() if name.endswith(FROZEN)}
    with full_rank_kernels(network.decoder):
        learn(network)
        updates = {name: layer.full_rank.detach().clone() for name, layer in layers(network).items()}
    assert all(torch.equal(network.state_dict()[name], kernel) for name, kernel in frozen.items())
    return network, updates


def test_what_is_left_is_the_nearest_update_of_that_rank(cut):
    network, updates = cut
    for name, layer in layers(network).items():
        matrix = updates[name].flatten(1)
        left = (layer.kernel() - layer.base_layer.weight).flatten(1)
        values = torch.linalg.svdvals(matrix.double())
        assert values[RANK:].norm() > 0  # something was cut
        assert (left - matrix).norm().item() == pytest.approx(values[RANK:].norm().item(), rel=1e-3)
        assert torch.linalg.matrix_rank(left, rtol=1e-4) == RANK


def test_the_factors_learn_again_and_share_the_norm(cut):
    network, _ = cut
    assert not any("full_rank" in name for name in network.state_dict())
    for layer in layers(network).values():
        assert layer.lora_A.requires_grad and layer.lora_B.requires_grad
        assert layer.lora_A.norm().item() == pytest.approx(layer.lora_B.norm().item(), rel=1e-4)


def test_an_update_of_less_than_the_rank_stays_what_it_is():
    network = adapted("lora", scope="decoder", rank=RANK)
    learn(network)  # the factors
    kernels = {name: layer.kernel().detach() for name, layer in layers(network).items()}
    with full_rank_kernels(network.decoder):
        for name, layer in layers(network).items():
            torch.testing.assert_close(layer.kernel(), kernels[name], atol=1e-6, rtol=0)
    for name, layer in layers(network).items():
        torch.testing.assert_close(layer.kernel(), kernels[name], atol=1e-5, rtol=0)


def test_a_cut_update_goes_part_of_the_way_back():
    network = adapted("lora", scope="decoder", rank=RANK)
    start = learning_weights(network)
    with full_rank_kernels(network.decoder):
        learn(network)
    ends = {name: layer.kernel().detach() for name, layer in layers(network).items()}
    step_back(network, start, 0.5)
    for name, layer in layers(network).items():
        half = (layer.base_layer.weight + ends[name]) / 2
        torch.testing.assert_close(layer.kernel(), half, atol=1e-5, rtol=1e-4)
