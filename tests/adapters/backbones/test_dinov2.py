from __future__ import annotations

import pytest
import torch

from tests.adapters.backbones.tiny_models import VITS, tiny_backbone, tiny_images


@torch.no_grad()
def transformers_states(backbone, images):
    """transformers' own forward: every raw hidden state and the final one, each (B, D, h, w)."""
    pixels = (images - backbone.mean) / backbone.std
    extra = {"interpolate_pos_encoding": True} if backbone.model.config.model_type == "vit" else {}
    output = backbone.model(pixels, output_hidden_states=True, **extra)
    height, width = (side // backbone.stride for side in images.shape[-2:])

    def grid(tokens):
        return tokens[:, -height * width :].transpose(1, 2).reshape(len(images), -1, height, width)

    return [grid(state) for state in output.hidden_states], grid(output.last_hidden_state)


@pytest.mark.parametrize("rows, columns", [(4, 4), (7, 7), (3, 6)])
@pytest.mark.parametrize("model_type", VITS)
def test_features_equal_transformers_own_forward_at_every_size(model_type, rows, columns):
    backbone = tiny_backbone(model_type, taps=(1, 3, 4))
    images = tiny_images(backbone, rows, columns)
    states, last = transformers_states(backbone, images)
    with torch.no_grad():
        features = backbone(images)
    assert [tuple(feature.shape) for feature in features] == [(2, 32, rows, columns)] * 3
    for feature, expected in zip(features, [states[1], states[3], last], strict=True):
        torch.testing.assert_close(feature, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", VITS)
def test_only_the_blocks_up_to_the_last_tap_are_run(model_type):
    backbone = tiny_backbone(model_type, taps=(1, 2))
    expected = backbone(tiny_images(backbone))
    backbone.blocks[2] = torch.nn.Identity()
    torch.testing.assert_close(backbone(tiny_images(backbone)), expected)


def test_roles_name_the_linear_layers_of_every_layout():
    assert tiny_backbone("dinov2").targets(["q", "mlp_out"], [2]) == [
        "encoder.layer.1.attention.q_proj",
        "encoder.layer.1.mlp.fc2",
    ]
    assert tiny_backbone("dinov2_with_registers").targets(["mlp_in"], "last:1") == [
        "encoder.layer.3.mlp.gate_proj",
        "encoder.layer.3.mlp.up_proj",
    ]
    assert tiny_backbone("dinov3_vit").targets(["out"], "last:1") == ["model.layer.3.attention.o_proj"]
    assert tiny_backbone("vit").targets(["qkv", "q"], [1]) == [f"layers.0.attention.{x}_proj" for x in "qkv"]


@pytest.mark.parametrize("model_type", VITS)
def test_the_default_roles_are_all_linear_layers_of_the_blocks(model_type):
    backbone = tiny_backbone(model_type)
    linears = {
        f"{backbone.blocks_path}.{name}"
        for name, module in backbone.blocks.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert set(backbone.targets(backbone.default_roles)) == linears
