"""What holds for every method: one backbone, and methods that come and go without a trace."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from adapters.methods import METHODS, adapter_state, detach, load_adapter_state
from domains.errors import InputError
from tests.adapters.backbones.tiny_models import tiny_backbone, tiny_images
from tests.adapters.methods.training import train

LEARNING = [name for name in METHODS if name != "decoder_only"]
NOT_ON_SAM = ("oft", "prompts")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_found_by_its_name(name):
    assert METHODS[name]().name == name
    assert dataclasses.is_dataclass(METHODS[name])


@pytest.mark.parametrize("model_type", ["dinov2", "sam"])
def test_methods_swapped_on_one_backbone_leave_no_trace(model_type):
    backbone = tiny_backbone(model_type)
    images = tiny_images(backbone)
    names = [name for name, _ in backbone.model.named_parameters()]
    with torch.no_grad():
        bare = backbone(images)
    saved = {}
    fitting = [name for name in LEARNING if model_type != "sam" or name not in NOT_ON_SAM]
    for name in fitting:
        METHODS[name]().attach(backbone)
        train(backbone)
        with torch.no_grad():
            saved[name] = adapter_state(backbone, METHODS[name]()), backbone(images)
    for name in reversed(fitting):
        state, expected = saved[name]
        METHODS[name]().attach(backbone)
        load_adapter_state(backbone, METHODS[name](), state)
        with torch.no_grad():  # with gradients, attention takes another kernel
            torch.testing.assert_close(backbone(images), expected, atol=0, rtol=0)
    detach(backbone)
    assert [name for name, _ in backbone.model.named_parameters()] == names
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), bare, atol=0, rtol=0)


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda state, key: state.pop(key), "1 of .* tensors missing, such as "),
        (lambda state, key: state.update({"stray": torch.zeros(1)}), "1 of .* tensors unexpected, such as stray"),
        (lambda state, key: state.update({key: state[key][..., 1:]}), "1 of .* tensors of another shape, such as "),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_changed(name, change, message):
    backbone, method = tiny_backbone("dinov2"), METHODS[name]()
    method.attach(backbone)
    before = adapter_state(backbone, method)
    state = {key: tensor + 1 for key, tensor in before.items()}
    change(state, sorted(state)[0])
    with pytest.raises(InputError, match=message):
        load_adapter_state(backbone, method, state)
    assert all(torch.equal(before[key], tensor) for key, tensor in adapter_state(backbone, method).items())


def test_a_state_is_a_copy_that_later_training_does_not_touch():
    backbone, method = tiny_backbone("dinov2"), METHODS["lora"]()
    method.attach(backbone)
    state = adapter_state(backbone, method)
    kept = {name: tensor.clone() for name, tensor in state.items()}
    train(backbone)
    assert all(torch.equal(kept[name], tensor) for name, tensor in state.items())
