"""A convolution whose kernel is a frozen one and what a method adds to it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UpdatedConv2d(nn.Module):
    """(B, out, H', W') of x (B, in, H, W), as its convolution gives it by the kernel with its update."""

    def __init__(self, base_layer: nn.Conv2d) -> None:
        super().__init__()
        self.base_layer = base_layer

    def updated(self, weight: Tensor) -> Tensor:
        """The kernel (out, in, k, k) with its update, of the frozen one."""
        raise NotImplementedError

    def kernel(self) -> Tensor:
        """The kernel (out, in, k, k) with its update, in the precision of the weights, channels-last."""
        weight = self.base_layer.weight
        with torch.autocast(weight.device.type, enabled=False):
            return self.updated(weight).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def merge(self) -> None:
        """Fold the update into the kernel."""
        self.base_layer.weight.copy_(self.kernel())

    def forward(self, x: Tensor) -> Tensor:
        """(B, out, H', W') of x (B, in, H, W)."""
        base = self.base_layer
        return F.conv2d(x, self.kernel(), base.bias, base.stride, base.padding, base.dilation, base.groups)
