from __future__ import annotations

import pytest
import torch

from domains.errors import InputError
from tests.adapters.backbones.tiny_models import ALL, tiny_backbone, tiny_images


@pytest.mark.parametrize("model_type", ALL)
def test_gradient_checkpointing_changes_no_feature_and_no_gradient(model_type):
    backbone = tiny_backbone(model_type)
    images = tiny_images(backbone)
    gradients = []
    for backbone.gradient_checkpointing in (False, True):
        backbone.zero_grad()
        sum(feature.square().sum() for feature in backbone(images)).backward()
        gradients.append({name: p.grad.clone() for name, p in backbone.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == {f"model.{name}" for name in backbone.used_parameters()}
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_size_that_the_stride_does_not_divide_is_refused_with_the_nearest_that_fit():
    backbone = tiny_backbone("dinov2")
    with pytest.raises(InputError, match="got 100 x 28: nearest are 98 x 28 and 112 x 28"):
        backbone(torch.rand(1, 3, 100, 28))
    with pytest.raises(InputError, match="got 5 x 28: nearest are 14 x 28 and 14 x 28"):
        backbone(torch.rand(1, 3, 5, 28))


@pytest.mark.parametrize("taps", [(0, 2), (5,), (2, 2), (1.0,)])
def test_taps_outside_the_blocks_are_refused(taps):
    with pytest.raises(InputError, match="backbone.taps .* from 1 to 4"):
        tiny_backbone("dinov2", taps=taps)


def test_taps_are_sorted_and_evenly_spaced_by_default():
    assert tiny_backbone("dinov2", taps=(3, 1)).taps == (1, 3)
    backbone = tiny_backbone("dinov2")
    defaults = {}
    for depth in (1, 2, 4, 6, 12, 24, 40):
        backbone.model.config.num_hidden_layers = depth
        defaults[depth] = backbone.default_taps()
    assert defaults == {
        1: (1,),
        2: (1, 2),
        4: (1, 3, 4),
        6: (2, 4, 6),
        12: (3, 6, 9, 12),
        24: (6, 12, 18, 24),
        40: (10, 20, 30, 40),
    }


@pytest.mark.parametrize("layers", ["last:0", "last:4", "last:x", "first:2", [], [0], [4], [1.0]])
def test_layers_that_are_not_run_are_refused(layers):
    backbone = tiny_backbone("dinov2", taps=(1, 3))
    with pytest.raises(InputError, match="runs 3 of its 4 blocks"):
        backbone.targets(["q"], layers)


def test_layers_count_from_one_up_to_the_last_tap():
    backbone = tiny_backbone("dinov2", taps=(1, 3))
    assert (backbone.numbers("all"), backbone.numbers("last:2"), backbone.numbers([3, 1])) == (
        [1, 2, 3],
        [2, 3],
        [1, 3],
    )


def test_an_unknown_role_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match="'mlp_inn'; known: .*did you mean 'mlp_in'"):
        tiny_backbone("dinov2").targets(["mlp_inn"])
    with pytest.raises(InputError, match="names no layer"):
        tiny_backbone("dinov2").targets([])


@pytest.mark.parametrize("model_type", ALL)
def test_the_fingerprint_is_the_same_in_half_precision_and_another_after_the_smallest_change(model_type):
    backbone = tiny_backbone(model_type)
    fingerprint = backbone.fingerprint()
    assert backbone.half().fingerprint() == fingerprint
    backbone.float()
    with torch.no_grad():
        next(iter(backbone.used_parameters().values())).view(-1)[0] += 0.01
    assert backbone.fingerprint() != fingerprint


def test_an_unused_tensor_has_no_part_in_the_fingerprint():
    backbone = tiny_backbone("dinov2")
    fingerprint = backbone.fingerprint()
    with torch.no_grad():
        backbone.model.embeddings.mask_token += 1
    assert backbone.fingerprint() == fingerprint


@torch.no_grad()
@pytest.mark.parametrize("model_type", ALL)
def test_features_under_bfloat16_autocast_stay_close(model_type):
    backbone = tiny_backbone(model_type)
    images = tiny_images(backbone)
    with torch.autocast("cpu", torch.bfloat16):
        features = backbone(images)
    assert len(features) == len(backbone.taps)
    for feature, expected in zip(features, backbone(images), strict=True):
        assert (feature.float() - expected).abs().mean() < 0.05 * expected.abs().mean()
