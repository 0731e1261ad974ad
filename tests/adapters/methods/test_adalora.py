"""AdaLoRA keeps as many singular values as were asked for, and their vectors nearly orthogonal."""

from __future__ import annotations

import torch
from peft.tuners.adalora.layer import AdaLoraLayer

from adapters.methods import METHODS
from adapters.methods.adalora import allocation_of
from tests.adapters.backbones.tiny_models import tiny_backbone, tiny_images


def trained(orthogonality: float, steps: int = 40):
    torch.manual_seed(0)
    backbone = tiny_backbone("dinov2")
    METHODS["adalora"](rank=2, start_rank=4, orthogonality=orthogonality).attach(backbone)
    allocation = allocation_of(backbone)
    weights = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=0.01)
    for step in range(steps):
        loss = sum(feature.square().mean() for feature in backbone(tiny_images(backbone))) + allocation.penalty()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        allocation.allocate((step + 1) / steps)
    layers = [module for module in backbone.model.modules() if isinstance(module, AdaLoraLayer)]
    return allocation, layers


def test_the_mean_rank_comes_down_to_what_was_asked_for_and_layers_share_it_unevenly():
    _, layers = trained(0.1)
    kept = [int(layer.lora_E["default"].count_nonzero()) for layer in layers]
    assert sum(kept) == 2 * len(layers)
    assert len(set(kept)) > 1


def test_the_penalty_keeps_singular_vectors_nearer_to_orthogonal():
    allocations = {weight: trained(weight)[0] for weight in (1e-6, 1.0)}
    gaps = {weight: allocation.penalty().item() / weight for weight, allocation in allocations.items()}
    assert gaps[1.0] < 0.9 * gaps[1e-6]


def test_other_methods_have_no_singular_values():
    backbone = tiny_backbone("dinov2")
    METHODS["lora"](rank=2).attach(backbone)
    assert allocation_of(backbone) is None
