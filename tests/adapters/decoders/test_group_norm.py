"""Group norm: its gradient is torch's, at every layout and number of channels to a group."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.decoders.group_norm import GroupNorm, Normalised


def images(channels: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    drawn = torch.randn(3, channels, 6, 5) * 2 + torch.randn(3, channels, 1, 1)
    return drawn.to(dtype).contiguous(memory_format=torch.channels_last)


def norm(channels: int, groups: int) -> GroupNorm:
    module = GroupNorm(groups, channels)
    nn.init.normal_(module.weight)
    nn.init.normal_(module.bias)
    return module


def results(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, and gradients of x, weight and bias, of a loss that weighs every value differently."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    output = module(x)
    torch.manual_seed(1)
    weights = torch.randn(output.shape).bfloat16().to(output.dtype)
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), [x, *module.parameters()])]


@pytest.mark.parametrize(("channels", "groups"), [(8, 8), (16, 8), (32, 8), (12, 3), (64, 8), (6, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_is_that_of_torch(channels: int, groups: int, dtype: torch.dtype) -> None:
    ours, x = norm(channels, groups), images(channels, dtype)
    torchs = nn.GroupNorm(groups, channels)
    torchs.load_state_dict(ours.state_dict())
    exact = results(torchs, x.float())
    tolerance = 1e-5 if dtype == torch.float32 else 2**-7
    for value, expected in zip(results(ours, x), exact, strict=True):
        largest = float(expected.abs().max())
        torch.testing.assert_close(value.float(), expected, rtol=tolerance, atol=tolerance * largest)


def test_the_gradient_is_that_of_finite_differences() -> None:
    x = images(4, torch.float64).requires_grad_()
    weight, bias = (torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *inputs: Normalised.apply(*inputs, 2, 1e-5), (x, weight, bias))


def test_images_that_do_not_learn_crash_nothing() -> None:
    ours, x = norm(192, 1), images(192)
    assert not x.requires_grad
    ours(x).square().sum().backward()
    weight, bias = (parameter.detach().clone().requires_grad_() for parameter in ours.parameters())
    F.group_norm(x.contiguous(), 1, weight, bias).square().sum().backward()
    assert weight.grad is not None and bias.grad is not None
    torch.testing.assert_close(ours.weight.grad, weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.bias.grad, bias.grad, rtol=1e-4, atol=1e-4)


def test_only_few_channels_to_a_group_take_another_way_than_torch() -> None:
    for channels in (16, 64):
        assert type(norm(channels, 8)(images(channels).requires_grad_()).grad_fn).__name__ == "NormalisedBackward"
    for x in (images(128).requires_grad_(), images(128).contiguous().requires_grad_()):
        assert type(norm(128, 8)(x).grad_fn).__name__ == "NativeGroupNormBackward0"
    assert type(norm(16, 8)(images(16).contiguous().requires_grad_()).grad_fn).__name__ == "NativeGroupNormBackward0"


def test_one_image_that_was_cut_out_of_others_is_normalised_too():
    tokens = torch.rand(1, 17, 24)
    image = tokens.transpose(1, 2)[..., 1:].unflatten(2, (4, 4))  # (1, 24, 4, 4), as a backbone gives it
    norm = GroupNorm(1, 24)
    normalised = norm(image)
    normalised.square().sum().backward()
    assert norm.weight.grad is not None
    assert torch.allclose(normalised, nn.functional.group_norm(image.contiguous(), 1), atol=1e-5)
