from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from transformers import SamModel

from adapters.backbones.sam import SamBackbone
from tests.adapters.backbones.tiny_models import tiny_backbone, tiny_config, tiny_images


@torch.no_grad()
def test_features_and_neck_equal_transformers_own_encoder_at_the_native_size():
    backbone = tiny_backbone("sam", taps=(1, 2, 3, 4))
    images = tiny_images(backbone, 8, 8)
    output = backbone.model.vision_encoder((images - backbone.mean) / backbone.std, output_hidden_states=True)
    features = backbone(images)
    for tap, feature in zip(backbone.taps, features, strict=True):
        torch.testing.assert_close(feature, output.hidden_states[tap].permute(0, 3, 1, 2), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(backbone.neck(features[-1]), output.last_hidden_state, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rows, columns", [(8, 8), (6, 9)])
def test_gradients_of_every_weight_equal_those_through_transformers_own_blocks(rows, columns):
    backbone = tiny_backbone("sam")
    images = tiny_images(backbone, rows, columns)
    weights = [weight for name, weight in backbone.model.vision_encoder.named_parameters() if "neck" not in name]

    def gradients() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(backbone(images)[-1].square().mean(), weights)

    ours = gradients()
    backbone.through = lambda block, tokens: block(tokens)
    for gradient, expected in zip(ours, gradients(), strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-5 * float(expected.abs().max()) + 1e-8, rtol=1e-3)


@torch.no_grad()
def test_another_size_equals_a_sam_built_for_it_with_interpolated_positions():
    backbone = tiny_backbone("sam")
    config = copy.deepcopy(tiny_config("sam"))
    config.vision_config.image_size = 96
    larger = SamModel(config).eval()
    state = backbone.model.state_dict()
    for name, tensor in larger.state_dict().items():
        if name.endswith("pos_embed"):
            positions = F.interpolate(state[name].permute(0, 3, 1, 2), (12, 12), mode="bicubic", align_corners=False)
            tensor.copy_(positions.permute(0, 2, 3, 1))
        elif tensor.shape != state[name].shape:  # relative positions of global attention
            tensor.copy_(F.interpolate(state[name].T[None], len(tensor), mode="linear")[0].T)
        else:
            tensor.copy_(state[name])
    images = tiny_images(backbone, 12, 12)
    expected = larger.vision_encoder((images - backbone.mean) / backbone.std).last_hidden_state
    torch.testing.assert_close(backbone.neck(backbone(images)[-1]), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rows, columns", [(2, 2), (5, 9)])
def test_sides_need_not_be_equal_nor_as_large_as_a_window(rows, columns):
    backbone = tiny_backbone("sam")
    features = backbone(tiny_images(backbone, rows, columns))
    assert [tuple(feature.shape) for feature in features] == [(2, 32, rows, columns)] * 2


def test_taps_are_after_the_blocks_with_global_attention():
    assert tiny_backbone("sam").taps == (2, 4)


def test_q_k_and_v_are_one_fused_layer():
    backbone = tiny_backbone("sam")
    assert backbone.targets(["q", "v"], [1]) == ["vision_encoder.layers.0.attn.qkv"]
    assert backbone.targets(["out", "mlp_in", "mlp_out"], "last:1") == [
        f"vision_encoder.layers.3.{name}" for name in ("attn.proj", "mlp.lin1", "mlp.lin2")
    ]


def test_random_weights_carry_signal():
    torch.manual_seed(0)
    backbone = SamBackbone(SamBackbone.randomised(tiny_config("sam")), name="random")
    assert backbone(tiny_images(backbone))[-1].std() > 0.1
