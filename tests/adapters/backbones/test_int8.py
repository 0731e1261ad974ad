"""Linear layers in 8 bits: near the layer by a bound, a quarter of the memory, nearly the same features."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import Dinov2Config, SamConfig, SamVisionConfig

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.backbones.int8 import Int8Linear
from adapters.backbones.sam import SamBackbone
from adapters.decoders import DECODERS
from adapters.methods import METHODS, merge
from adapters.network import EntitySegmenter
from adapters.runtime import Runtime
from adapters.student import no_backbone
from domains.errors import InputError


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_off_by_less_than_its_roundings_allow(bias):
    torch.manual_seed(0)
    layer = nn.Linear(96, 40, bias=bias)
    x = torch.randn(3, 5, 96)
    y = Int8Linear(layer)(x)
    step_x = x.abs().amax(-1, keepdim=True) / 127
    step_w = layer.weight.abs().amax(1) / 127
    bound = (
        step_x / 2 * layer.weight.abs().sum(1) + x.abs().sum(-1, keepdim=True) * step_w / 2 + 96 * step_x * step_w / 4
    )
    assert y.shape == (3, 5, 40) and y.dtype == x.dtype
    assert ((y - layer(x)).abs() <= bound + 1e-5).all() and not torch.equal(y, layer(x))


def test_whole_numbers_come_out_exactly_and_zeros_are_no_fault():
    layer = nn.Linear(8, 8, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-127, 128, (8, 8)).float())
        layer.weight[:, 0] = 127
    x = torch.randint(-127, 128, (8, 8)).float()
    x[:, 0] = 127
    torch.testing.assert_close(Int8Linear(layer)(x), layer(x))
    assert not Int8Linear(layer)(torch.zeros(2, 8)).any()


def test_half_precision_comes_back_as_it_came_and_weights_take_a_quarter():
    layer = nn.Linear(64, 64)
    small = Int8Linear(layer)
    assert small(torch.randn(2, 64, dtype=torch.bfloat16)).dtype == torch.bfloat16
    sizes = [sum(x.nbytes for x in module.state_dict().values()) for module in (layer, small)]
    assert sizes[1] < 0.3 * sizes[0] and not [*small.parameters()]


def tiny(family: str):
    torch.manual_seed(0)
    if family == "sam":
        vision = SamVisionConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8, mlp_dim=64,
            window_size=4, global_attn_indexes=[1], output_channels=16,
        )  # fmt: skip
        return SamBackbone(SamBackbone.randomised(SamConfig(vision_config=vision.to_dict())), name="tiny SAM")
    config = Dinov2Config(hidden_size=48, num_hidden_layers=2, num_attention_heads=2, patch_size=8, image_size=64)
    return Dinov2Backbone(Dinov2Backbone.randomised(config), name="tiny DINOv2")


@pytest.mark.parametrize("family", ["dinov2", "sam", "embedded"])
def test_a_network_with_a_merged_adapter_gives_nearly_the_same_features(family):
    backbone = build_backbone(BackboneOptions()) if family == "embedded" else tiny(family)
    METHODS["lora"](rank=2).attach(backbone)
    merge(backbone)
    decoder = DECODERS["dense"](width=8).build(backbone.dim, len(backbone.taps), backbone.stride)
    network = EntitySegmenter(backbone, decoder).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = network.backbone(images)
        network.place(Runtime(precision="int8"))
        with network.runtime.autocast():
            after = network.backbone(images)
    assert any(isinstance(module, Int8Linear) for module in backbone.blocks.modules())
    for exact, near in zip(before, after, strict=True):
        assert 0 < (near.float() - exact).norm() / exact.norm() < 0.05
    assert network.predicted(images)


def test_what_has_no_linear_layer_is_refused():
    backbone = tiny("dinov2")
    backbone.blocks[0] = backbone.blocks[1] = nn.Identity()
    with pytest.raises(InputError, match="--precision int8: tiny DINOv2 has no linear layers"):
        backbone.to_int8()
    with pytest.raises(InputError, match="--precision int8 is for the layers of a backbone, and the student has none"):
        no_backbone("the student").to_int8()


def test_layers_of_a_method_that_is_not_merged_stay_as_they_are():
    backbone = tiny("dinov2")
    METHODS["bottleneck"](width=4).attach(backbone)
    backbone.to_int8()
    kinds = {name.split(".")[-1]: type(module) for name, module in backbone.blocks.named_modules()}
    assert kinds["down"] is nn.Linear and kinds["up"] is nn.Linear and kinds["fc1"] is Int8Linear
    backbone.to_int8()  # twice is once
