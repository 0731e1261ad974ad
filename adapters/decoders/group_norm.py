"""Group normalisation (Wu and He, https://arxiv.org/abs/1803.08494) that learns as fast as it predicts on a processor.

torch 2.13 walks through a group's few channels one number at a time where images lie channels-last: its gradient takes
9 times as long as this one at 2 channels to a group and full resolution, and crashes where the images need none. What a
batch norm in evaluation does, `(x - mean) * inverse deviation * weight + bias` by channel, is vectorised there, forward
and backward, so that both passes here are made of it, image by image, while an image is in the cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FEW_CHANNELS = 8
"""To a group; from 16 on torch's own gradient is the faster one."""


class GroupNorm(nn.GroupNorm):
    """torch's own in its options, weights and results; its gradient is exact, and is taken once only."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) of input (B, C, H, W), channels-last where that is."""
        if not (torch.is_grad_enabled() and self.affine and is_channels_last(input)):
            return super().forward(input)
        if input.requires_grad and self.num_channels > FEW_CHANNELS * self.num_groups:
            return super().forward(input)
        if input.stride(0) != input[0].numel():  # of one image any will do for torch's checks, not for its kernel
            input = input.clone(memory_format=torch.channels_last)
        return Normalised.apply(input, self.weight, self.bias, self.num_groups, self.eps)  # type: ignore[no-any-return]


def is_channels_last(x: Tensor) -> bool:
    """Whether x lies in a processor's memory pixel by pixel, and not also channel by channel."""
    return (
        x.device.type == "cpu"
        and x.ndim == 4
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_contiguous()
    )


class Normalised(torch.autograd.Function):
    """x (B, C, H, W) channels-last, weight and bias (C,) -> (B, C, H, W) of mean 0 and deviation 1 by image and group,
    times the weight, and the bias added.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        """The normalised x."""
        count, channels, height, width = x.shape
        options = (count, channels, height * width, groups, eps)
        normalised, mean, inverse = torch.ops.aten.native_group_norm(x, weight, bias, *options)
        ctx.save_for_backward(x, weight, mean, inverse)
        return normalised

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None, None]:
        """The gradients of x, weight and bias."""
        x, weight, *moments = ctx.saved_tensors
        mean, inverse = (moment.to(weight.dtype) for moment in moments)  # (B, groups) each; inverse: 1 / deviation
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        width, area = x.shape[1] // inverse.shape[1], x[0, 0].numel()
        means, variances = (m.repeat_interleave(width, 1) for m in (mean, inverse**-2))  # (B, C)
        learns = ctx.needs_input_grad[0]
        by_channel, weight_sums, bias_sums = zip(
            *(
                torch.ops.aten.native_batch_norm_backward(
                    *(image_gradient, image, weight, means[i], variances[i], None, None, False, 0.0),
                    output_mask=[learns, True, True],
                )
                for i, (image_gradient, image) in enumerate(zip(gradient.split(1), x.split(1), strict=True))
            ),
            strict=True,
        )
        sums = torch.stack([torch.stack(weight_sums), torch.stack(bias_sums)])  # (2, B, C)
        of_weight, of_bias = sums.sum(1)
        if not learns:
            return None, of_weight, of_bias, None, None
        of_groups = (-weight * sums).unflatten(2, (-1, width)).sum(3)  # (2, B, groups)
        slopes, shifts = (of_groups * inverse / (width * area)).repeat_interleave(width, 2)  # (B, C) each
        of_x = torch.empty_like(x)
        for i, image in enumerate(x.split(1)):
            shared = torch.batch_norm(
                *(image, slopes[i], shifts[i], means[i], variances[i]),
                training=False,
                momentum=0.0,
                eps=0.0,
                cudnn_enabled=False,
            )
            torch.add(by_channel[i], shared, out=of_x[i : i + 1])
        return of_x, of_weight, of_bias, None, None
