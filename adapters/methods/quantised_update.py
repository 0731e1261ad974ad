"""Updates of a kernel in a few bits a weight.

    W' = W + step (code + 1/2)      code from -2^(bits - 1) to 2^(bits - 1) - 1, a step for each output channel

The update learns in single precision, as if the kernel did, and is rounded at the end of a fit to the codes and the
step of the least squared error. What fine-tuning adds to a weight survives that (BitDelta: Liu et al.,
https://arxiv.org/abs/2402.10193, with one bit): with three bits a twenty-eighth of its energy is lost, where an update
of low rank in a file of the same size loses an eighth (benchmarks/compare.md).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from adapters.methods.updated_conv import UpdatedConv2d

STEPS = tuple(i / 40 for i in range(8, 41))
"""Tried, as shares of the step by which the largest weight keeps its value: of what is rounded already, that one."""


class QuantisedConv2d(UpdatedConv2d):
    """A convolution whose kernel is the frozen one and an update. (B, C, H, W) as the convolution takes it.

    update: (out, in, k, k), learns; step: (out,), 0 until `quantise` was called, and of an output that did not learn.
    """

    step: Tensor

    def __init__(self, base_layer: nn.Conv2d, bits: int) -> None:
        super().__init__(base_layer)
        self.bits = bits
        self.update = nn.Parameter(torch.zeros_like(base_layer.weight))
        self.register_buffer("step", base_layer.weight.new_zeros(len(base_layer.weight)))

    @property
    def half_range(self) -> int:
        """How many codes there are on either side of 0."""
        return 2 ** (self.bits - 1)

    @torch.no_grad()
    def quantise(self) -> None:
        """Round the update to codes, by the step in half precision that is nearest for each output. Twice is once."""
        matrix = self.update.flatten(1)
        whole = matrix.abs().amax(1) / (self.half_range - 0.5)
        best, self.step = torch.full_like(whole, torch.inf), torch.zeros_like(whole)
        for share in STEPS:
            step = (whole * share).half().to(whole)
            error = (self.on_grid(matrix, step) - matrix).square().sum(1)
            self.step = torch.where(error < best, step, self.step)
            best = torch.minimum(best, error)
        self.update.copy_(self.on_grid(matrix, self.step).view_as(self.update))

    def on_grid(self, matrix: Tensor, step: Tensor) -> Tensor:
        """(out, n) of a matrix (out, n), each row rounded to the middle of a step (out,)."""
        return (self.rounded_codes(matrix, step) + 0.5) * step[:, None]

    def rounded_codes(self, matrix: Tensor, step: Tensor) -> Tensor:
        """(out, n) whole numbers; 0 where the step is."""
        codes = torch.floor(matrix / step[:, None]).nan_to_num(0, 0, 0)
        return codes.clamp(-self.half_range, self.half_range - 1)

    def codes(self) -> Tensor:
        """The update as a file has it, (bytes,) uint8: codes from 0 on, row by row, the lowest bit of each first."""
        size = -(-self.update.numel() * self.bits // 8)
        if self.update.is_meta:
            return torch.empty(size, dtype=torch.uint8, device="meta")
        codes = self.rounded_codes(self.update.detach().flatten(1), self.step) + self.half_range
        values = codes.flatten().to("cpu", torch.uint8).numpy()
        bits = values[:, None] >> np.arange(self.bits, dtype=np.uint8) & 1
        return torch.from_numpy(np.packbits(bits))

    def decoded(self, codes: Tensor, step: Tensor) -> Tensor:
        """(out, in, k, k) of what `codes` gave, and a step (out,)."""
        count, weight = self.update.numel(), self.base_layer.weight
        bits = np.unpackbits(codes.cpu().numpy(), count=count * self.bits).reshape(count, self.bits)
        values = (bits << np.arange(self.bits, dtype=np.uint8)).sum(1, dtype=np.int64) - self.half_range
        rows = torch.from_numpy(values).to(weight).view(len(weight), -1)
        return ((rows + 0.5) * step.to(weight)[:, None]).view_as(weight)

    def updated(self, weight: Tensor) -> Tensor:
        """The kernel (out, in, k, k) with its update, of the frozen one."""
        return weight + self.update
