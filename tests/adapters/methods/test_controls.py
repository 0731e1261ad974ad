from __future__ import annotations

import pytest
import torch

from adapters.methods import METHODS, adapter_state, detach, peft_config
from tests.adapters.backbones.tiny_models import ALL, tiny_backbone
from tests.adapters.methods.training import train


def learning(backbone):
    return {name for name, parameter in backbone.model.named_parameters() if parameter.requires_grad}


def attached(name, model_type="dinov2", **settings):
    backbone = tiny_backbone(model_type, **settings)
    METHODS[name]().attach(backbone)
    return backbone


def test_decoder_only_leaves_nothing_to_learn():
    backbone = attached("decoder_only")
    assert not learning(backbone) and adapter_state(backbone, METHODS["decoder_only"]()) == {}


def test_norms_are_the_scales_and_shifts_of_the_blocks_that_are_run():
    inner = {f"encoder.layer.{i}.norm{j}.{kind}" for i in range(2) for j in (1, 2) for kind in ("weight", "bias")}
    assert learning(attached("norms", taps=(1, 2))) == inner
    assert learning(attached("norms", taps=(4,))) > {"layernorm.weight", "layernorm.bias"} | inner


def test_biases_are_all_biases_and_nothing_else():
    backbone = attached("biases")
    assert learning(backbone) == {name for name in backbone.used_parameters() if name.endswith(".bias")}


@pytest.mark.parametrize("model_type", ALL)
def test_full_trains_all_that_the_features_need_and_no_more(model_type):
    backbone = attached("full", model_type)
    assert learning(backbone) == set(backbone.used_parameters())
    assert not any("mask_" in name or "pooler" in name or "prompt" in name for name in learning(backbone))


@pytest.mark.parametrize("name", ["norms", "biases", "full"])
@pytest.mark.parametrize("model_type", ALL)
def test_training_changes_the_chosen_tensors_only_and_the_fingerprint_remains(model_type, name):
    backbone = tiny_backbone(model_type)
    fingerprint = backbone.fingerprint()
    METHODS[name]().attach(backbone)
    before = {name: parameter.clone() for name, parameter in backbone.model.named_parameters()}
    assert train(backbone) > 1e-3
    changed = {name for name, p in backbone.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed <= set(adapter_state(backbone, METHODS[name]())) and changed
    assert backbone.fingerprint() == fingerprint
    detach(backbone)
    assert all(torch.equal(p, before[name]) for name, p in backbone.model.named_parameters())


def test_peft_knows_no_controls():
    for name in ("decoder_only", "norms", "biases", "full"):
        assert peft_config(attached(name), METHODS[name](), "base") is None
