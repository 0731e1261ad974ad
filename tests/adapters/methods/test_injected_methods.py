"""Methods by modules of ours: each starts as the base, learns, leaves the frozen alone, and comes back from a file."""

from __future__ import annotations

import pytest
import torch

from adapters.backbones import BackboneOptions, build_backbone
from adapters.methods import adapter_state, merge
from adapters.methods.injected_methods import imbalance_of
from domains.errors import InputError
from tests.adapters.backbones.tiny_models import ALL, tiny_backbone, tiny_images
from tests.adapters.methods.training import assert_learns_and_comes_back, assert_starts_as_the_base, small, train

OURS = ("ssf", "bottleneck", "conv_lora", "prompts")


def backbone_of(model_type: str):
    return build_backbone(BackboneOptions()).eval() if model_type == "embedded" else tiny_backbone(model_type)


@pytest.mark.parametrize("model_type", [*ALL, "embedded"])
@pytest.mark.parametrize("name", OURS)
def test_a_method_of_ours_starts_as_the_base_learns_and_comes_back(name, model_type, tmp_path):
    backbone = backbone_of(model_type)
    if name == "prompts" and model_type == "sam":
        with pytest.raises(InputError, match="tiny-sam has its tokens in a grid"):
            small(name).attach(backbone)
        return
    if name != "prompts":  # which are tokens more from the first step on
        assert_starts_as_the_base(backbone, small(name))
    assert_learns_and_comes_back(backbone, small(name), tmp_path / "state.safetensors")


def test_merged_scales_and_shifts_are_plain_layers():
    backbone, method = tiny_backbone("dinov2"), small("ssf")
    method.attach(backbone)
    train(backbone)
    merge(backbone)
    assert all(module.merged for module in backbone.model.modules() if hasattr(module, "merged"))


@pytest.mark.parametrize(
    "name, options, count",
    [
        ("ssf", {}, 4 * 2 * (4 * 32 + 64 + 32 + 2 * 32)),  # q k v out, MLP, two norms
        ("bottleneck", {"width": 5}, 4 * (2 * 5 * 32 + 5 + 32)),
        ("conv_lora", {"rank": 2, "experts": 3}, 4 * 3 * (2 * 2 * 32 + 3 * (2 + 1) + 3 * (9 * 4 + 2))),
        ("prompts", {"count": 7, "deep": False}, 7 * 32),
        ("prompts", {"count": 7}, 4 * 7 * 32),
    ],
)
def test_as_many_weights_learn_as_the_formula_says(name, options, count):
    backbone, method = tiny_backbone("dinov2"), small(name, **options)
    method.attach(backbone)
    assert sum(weights.numel() for weights in backbone.parameters() if weights.requires_grad) == count
    assert sum(tensor.numel() for tensor in adapter_state(backbone, method).values()) == count


def test_experts_see_the_patches_of_each_square_of_a_larger_image():
    backbone, method = build_backbone(BackboneOptions()).eval(), small("conv_lora")
    method.attach(backbone)
    train(backbone)
    with torch.no_grad():
        whole = backbone(tiny_images(backbone, 24, 36))
        assert [x.shape[-2:] for x in whole] == [(24, 36)] * len(whole)


def test_one_expert_is_never_out_of_balance_and_other_methods_have_none():
    backbone = tiny_backbone("dinov2")
    small("conv_lora", experts=1).attach(backbone)
    backbone(tiny_images(backbone))
    assert imbalance_of(backbone).item() == pytest.approx(0)
    small("conv_lora", experts=4, balance=2.0).attach(backbone)
    backbone(tiny_images(backbone))
    assert imbalance_of(backbone).item() > 0
    small("ssf").attach(backbone)
    assert imbalance_of(backbone) is None
