"""Linear layers of a frozen backbone in whole numbers of 8 bits, for prediction on a processor.

    y = (q(x) q(W)) s_x s_W + b      s_x for each token, when it comes; s_W for each output, once

A quarter of the memory; how fast and how far off, docs/devices.md says. torchao's layers do the same by tensors of a
class of its own, and took longer than bf16 on a processor; torch's own have one scale for a whole matrix, and are on
their way out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST = 127


class Int8Linear(nn.Module):
    """A linear layer that stays as it is: no gradient goes through it."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        scale = scales(weight)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.register_buffer("weight", whole(weight, scale).t().contiguous())  # (in, out) int8
        self.register_buffer("scale", scale[:, 0])
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        """(..., out) in the type of x (..., in)."""
        rows = x.reshape(-1, self.in_features).float()
        scale = scales(rows)
        product = torch.ops.aten._int_mm(whole(rows, scale), self.weight)  # (n, out) int32
        y = product.float().mul_(scale).mul_(self.scale)
        if self.bias is not None:
            y += self.bias
        return y.view(*x.shape[:-1], self.out_features).to(x.dtype)


def scales(rows: Tensor) -> Tensor:
    """(n, 1) what 1 stands for in each of rows (n, d), so that its largest number is `LARGEST`."""
    return rows.abs().amax(1, keepdim=True).clamp_min(1e-8) / LARGEST


def whole(rows: Tensor, scale: Tensor) -> Tensor:
    """Rows (n, d) as int8."""
    return (rows / scale).round_().to(torch.int8)
