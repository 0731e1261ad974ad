"""A few steps of training, to see who learns."""

from __future__ import annotations

from typing import Any

import torch

from adapters.backbones import Backbone
from adapters.methods import METHODS
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
