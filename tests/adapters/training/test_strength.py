"""Part of the way back: the ends exact, updates of low rank scaled, of every method the start at nought."""

from __future__ import annotations

import pytest
import torch

from adapters.methods.decoder_update import LowRankConv2d
from adapters.network import EntitySegmenter
from adapters.training.strength import learning_weights, step_back
from tests.adapters.training.networks import adapted

CASES = [
    ("decoder_only", {}),
    ("lora", {"rank": 4, "scope": "both"}),
    ("lora", {"rank": 4, "dora": True}),
    ("ssf", {"scope": "both"}),
    ("ia3", {}),
    ("vera", {}),
    ("lokr", {}),
    ("bottleneck", {}),
    ("conv_lora", {}),
    ("ln_tuning", {}),
    ("norms", {}),
]


def fitted(name: str, options: dict) -> tuple[EntitySegmenter, dict[str, torch.Tensor]]:
    """A network after two steps of a large rate, and the weights that it began with."""
    network = adapted(name, **options)
    start = learning_weights(network)
    optimiser = torch.optim.AdamW([x for x in network.train().parameters() if x.requires_grad], lr=2e-4)
    for _ in range(2):
        optimiser.zero_grad()
        sum(x.square().mean() for x in network(images()).values()).backward()
        optimiser.step()
    return network, start


def images() -> torch.Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def fields(network: EntitySegmenter) -> torch.Tensor:
    return torch.cat([*network.eval()(images()).values()], 1)


def state(network: EntitySegmenter) -> dict[str, torch.Tensor]:
    return {name: x.clone() for name, x in network.state_dict().items()}


@pytest.mark.parametrize("name,options", CASES, ids=[f"{name}{len(options)}" for name, options in CASES])
def test_at_nought_it_is_the_base_at_one_the_fit_and_between_nearer(name, options):
    network, start = fitted(name, options)
    end, far = state(network), fields(network)
    step_back(network, start, 1.0)
    assert all(torch.equal(end[key], x) for key, x in network.state_dict().items())
    step_back(network, start, 0.5)
    half = fields(network)
    network.load_state_dict(end)
    step_back(network, start, 0.0)
    base = fields(network)
    bare = adapted("decoder_only")
    torch.testing.assert_close(base, fields(bare), atol=1e-4, rtol=1e-4)
    assert 0 < (half - base).norm() < (far - base).norm()


def test_an_update_of_low_rank_is_scaled_as_a_whole_and_norms_go_half_way():
    network, start = fitted("lora", {"rank": 4, "scope": "decoder"})
    kernels = {n: (m, m.kernel() - m.base_layer.weight) for n, m in named_kernels(network)}
    norms = {n: x.clone() for n, x in network.decoder.named_parameters() if x.ndim == 1 and x.requires_grad}
    assert len(kernels) > 20 and all(update.any() for _, update in kernels.values())
    step_back(network, start, 0.5)
    for layer, update in kernels.values():
        torch.testing.assert_close(layer.kernel() - layer.base_layer.weight, update / 2, atol=1e-6, rtol=1e-3)
    moved = dict(network.decoder.named_parameters())
    for name, end in norms.items():
        torch.testing.assert_close(moved[name], (start[f"decoder.{name}"] + end) / 2)


def named_kernels(network: EntitySegmenter):
    return [(name, module) for name, module in network.named_modules() if isinstance(module, LowRankConv2d)]
