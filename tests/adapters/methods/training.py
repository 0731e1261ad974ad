"""A few steps of training, to see who learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from adapters.backbones import Backbone
from adapters.methods import METHODS, adapter_state, detach, load_adapter_state, merge
from tests.adapters.backbones.tiny_models import tiny_images


def train(backbone: Backbone, steps: int = 3) -> float:
    """The largest change of a feature. Every trainable weight must receive a gradient."""
    images = tiny_images(backbone)
    weights = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    with torch.no_grad():
        before = backbone(images)
    optimiser = torch.optim.AdamW(weights, lr=0.01)
    for _ in range(steps):
        loss = sum(feature.square().mean() for feature in backbone(images))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        assert all(weight.grad is not None for weight in weights)
        optimiser.step()
    with torch.no_grad():
        after = backbone(images)
    return max((a - b).abs().max().item() for a, b in zip(after, before, strict=True))


SMALL = {
    "oft": {"block_size": 8},
    "road": {"group_size": 8},
    "vera": {"rank": 16},
    "fourierft": {"frequencies": 50},
    "peft": {"type": "DELORA", "settings": {"r": 2}},
}
"""Options for layers of 24 and 32 channels."""


def small(name: str, **options) -> Any:
    """A method of that name for layers of few channels."""
    return METHODS[name](name=name, **{**SMALL.get(name, {}), **options})


def assert_learns_and_comes_back(backbone: Backbone, method: Any, file: Path) -> None:
    """Attached, it learns and changes no frozen weight; merged, detached and read from its file again it is exact."""
    images = tiny_images(backbone)
    bare = {key: tensor.clone() for key, tensor in backbone.base_parameters().items()}
    fingerprint = backbone.fingerprint()
    with torch.no_grad():
        expected = backbone(images)
    method.attach(backbone)
    assert train(backbone) > 1e-3
    assert all(torch.equal(bare[key], tensor) for key, tensor in backbone.base_parameters().items())
    save_file(adapter_state(backbone, method), file)
    with torch.no_grad():
        learnt = backbone(images)
        merge(backbone)
        torch.testing.assert_close(backbone(images), learnt, atol=1e-4, rtol=1e-4)
    detach(backbone)
    assert all(torch.equal(bare[key], tensor) for key, tensor in backbone.base_parameters().items())
    assert backbone.fingerprint() == fingerprint
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), expected, atol=0, rtol=0)
    torch.manual_seed(99)
    method.attach(backbone)
    load_adapter_state(backbone, method, load_file(file))
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), learnt, atol=0, rtol=0)


def assert_starts_as_the_base(backbone: Backbone, method: Any) -> None:
    """Fresh, it changes no feature."""
    images = tiny_images(backbone)
    with torch.no_grad():
        expected = backbone(images)
        method.attach(backbone)
        torch.testing.assert_close(backbone(images), expected, atol=2e-5, rtol=1e-5)
    detach(backbone)
