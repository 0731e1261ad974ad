"""A small real network and small real data for the tests of training and saving."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import Dinov2Config

from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.decoders import DECODERS
from adapters.methods import Method
from adapters.network import EntitySegmenter
from domains.entities import EntityMap, EntitySample, Place
from tests.adapters.methods.training import small


@pytest.fixture
def tiny_segmenter() -> Callable[..., tuple[EntitySegmenter, Method]]:
    """build(method="lora", decoder="dense", seed=0, **method options): a two-block ViT of patch 8 with a decoder."""

    def build(method: str = "lora", decoder: str = "dense", seed: int = 0, **options: object):
        torch.manual_seed(seed)
        config = Dinov2Config(
            hidden_size=24, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=8, image_size=32
        )
        backbone = Dinov2Backbone(Dinov2Backbone.randomised(config), name="tiny", taps=(1, 2))
        attached = small(method, **options)
        attached.attach(backbone)
        sizes = {"width": 16, "detail": True} if decoder == "dense" else {"queries": 5, "dim": 16, "layers": 1}
        options_of_decoder = DECODERS[decoder](**sizes)
        return EntitySegmenter(backbone, options_of_decoder.build(backbone.dim, 2, backbone.stride)), attached

    return build


@pytest.fixture
def discs() -> list[EntitySample]:
    """Six images of 48 x 48 px with two bright discs each on a dark, noisy ground."""
    samples = []
    for i in range(6):
        rng = np.random.default_rng(i)
        y, x = np.mgrid[:48, :48]
        ids = np.zeros((48, 48), np.int32)
        for number, (cy, cx) in enumerate([(14, 14 + i), (34, 30 - i)], start=1):
            ids[(y - cy) ** 2 + (x - cx) ** 2 < 64] = number
        image = rng.normal(60, 8, (48, 48, 3)) + 120 * (ids > 0)[..., None]
        samples.append(EntitySample(image.clip(0, 255).astype(np.uint8), (EntityMap(ids),), Place(f"discs-{i}")))
    return samples
