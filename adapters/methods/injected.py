"""Modules of ours around layers of a frozen network, which peft has not for vision, and how they are put there.

scale and shift    y = base(x) * scale + shift                          Lian et al., https://arxiv.org/abs/2210.08823
bottleneck         y = mlp(x) + s up(relu(down(x)))                     AdaptFormer: Chen et al., 2205.13535
Conv-LoRA          y = W x + s B (A x + expert(A x)), on the patches    Zhong et al., https://arxiv.org/abs/2401.17868
prompts            y = block([class token, prompts, others])            Jia et al., https://arxiv.org/abs/2203.12119
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.backbones.backbone import Patches


class Injected(nn.Module):
    """A layer of the base, frozen, and what learns around it: all parameters but those of `base_layer`."""

    base_layer: Any
    mergeable: ClassVar[bool] = False

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.merged = False

    def __getattr__(self, name: str) -> Any:
        """What this module has not, its base layer may: others ask a block for its parts, a layer for its width."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base_layer"), name)

    def get_base_layer(self) -> nn.Module:
        """The layer inside, as peft calls it."""
        return self.base_layer

    def merge(self) -> None:
        """Fold what learnt into the base layer's weights, where that gives the same; else nothing happens."""

    def learnt(self) -> dict[str, nn.Parameter]:
        """What learns, by its name in this module."""
        return {name: x for name, x in self.named_parameters() if not name.startswith("base_layer.")}


class ScaledShifted(Injected):
    """A scale and a shift for each output of a linear layer, a layer norm or a convolution."""

    mergeable = True

    def __init__(self, base_layer: Any) -> None:
        super().__init__(base_layer)
        weight = base_layer.weight
        self.scale = nn.Parameter(weight.new_ones(len(weight)))
        self.shift = nn.Parameter(weight.new_zeros(len(weight)))
        self.axes = (1, 1) if isinstance(base_layer, nn.Conv2d) else ()

    def forward(self, x: Tensor) -> Tensor:
        """The base layer's output, each channel scaled and shifted."""
        y = self.base_layer(x)
        if self.merged:
            return y
        return y * self.scale.view(-1, *self.axes).to(y.dtype) + self.shift.view(-1, *self.axes).to(y.dtype)

    @torch.no_grad()
    def merge(self) -> None:
        """Into weight and bias. A layer without a bias gets one only if it is a convolution, which no base has."""
        base = self.base_layer
        if self.merged or (base.bias is None and not self.axes):
            return
        base.weight.mul_(self.scale.view(-1, *[1] * (base.weight.ndim - 1)))
        if base.bias is None:
            base.bias = nn.Parameter(self.shift.detach().clone(), requires_grad=False)
        else:
            base.bias.copy_(base.bias * self.scale + self.shift)
        self.merged = True


class Bottleneck(Injected):
    """Two narrow linear layers beside an MLP of tokens (..., D)."""

    def __init__(self, base_layer: nn.Module, dim: int, width: int, scale: float) -> None:
        super().__init__(base_layer)
        like = next(base_layer.parameters())
        self.down = nn.Linear(dim, width, device=like.device)
        self.up = nn.Linear(width, dim, device=like.device)
        self.scale = scale
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) of tokens x (..., D)."""
        return self.base_layer(x) + self.scale * self.up(F.relu(self.down(x)))


class ConvLora(Injected):
    """A low-rank update of a linear layer's tokens, convolved in the bottleneck by the expert that a gate chooses.

    Expert k sees the patches k times enlarged, so that the kernels are of several sizes; class and register tokens,
    which stand before the patches, have the plain update.
    """

    def __init__(
        self, base_layer: nn.Linear, rank: int, experts: int, scale: float, balance: float, patches: Patches
    ) -> None:
        super().__init__(base_layer)
        device = base_layer.weight.device
        self.lora_A = nn.Linear(base_layer.in_features, rank, bias=False, device=device)
        self.lora_B = nn.Linear(rank, base_layer.out_features, bias=False, device=device)
        self.gate = nn.Linear(rank, experts, device=device)
        self.experts = nn.ModuleList(nn.Conv2d(rank, rank, 3, padding=1, device=device) for _ in range(experts))
        self.scale, self.balance, self.patches = scale, balance, patches
        self.imbalance: Tensor | None = None
        """How unevenly the last images were shared out among the experts, weighted."""
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., out) of tokens x (B, T, in) or (B, h, w, in)."""
        narrow = self.lora_A(x)
        if x.ndim == 4:
            update = narrow + self.convolved(narrow)
        else:
            count = self.patches.height * self.patches.width
            grid = narrow[:, -count:].unflatten(1, (self.patches.height, self.patches.width))
            update = narrow + F.pad(self.convolved(grid).flatten(1, 2), (0, 0, narrow.shape[1] - count, 0))
        return self.base_layer(x) + self.scale * self.lora_B(update)

    def convolved(self, x: Tensor) -> Tensor:
        """(B, h, w, r) of x (B, h, w, r), each image by its expert, weighted by how sure the gate is of it."""
        shares = self.gate(x.mean((1, 2))).float().softmax(1)  # (B, experts)
        share, chosen = shares.max(1)
        self.imbalance = self.balance * shares.mean(0).var(correction=0) if torch.is_grad_enabled() else None
        images, out = x.permute(0, 3, 1, 2), torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            places = (chosen == number).nonzero()[:, 0]
            if len(places):
                y = enlarged(images[places], number + 1, expert) * share[places, None, None, None]
                out = out.index_copy(0, places, y.permute(0, 2, 3, 1).to(out.dtype))
            else:  # it has a gradient all the same, of zero
                out = out + 0 * torch.stack([weights.sum() for weights in expert.parameters()]).sum().to(out.dtype)
        return out


def enlarged(x: Tensor, times: int, convolution: nn.Module) -> Tensor:
    """(B, C, h, w) of x (B, C, h, w), so many times as large while it is convolved."""
    if times == 1:
        return convolution(x)
    return F.interpolate(
        convolution(F.interpolate(x, scale_factor=times, mode="bilinear")), x.shape[2:], mode="bilinear"
    )


class Prompted(Injected):
    """A block that is shown learnt tokens behind the class token; in place of those of the block before it, if any."""

    def __init__(self, base_layer: nn.Module, count: int, dim: int, replace: bool) -> None:
        super().__init__(base_layer)
        like = next(base_layer.parameters())
        bound = math.sqrt(6 / (2 * dim))
        self.prompts = nn.Parameter(torch.empty(count, dim, device=like.device).uniform_(-bound, bound))
        self.replace = replace

    def forward(self, tokens: Tensor, **context: Any) -> Tensor:
        """(B, T + count, D) of tokens (B, T, D), or of as many where prompts are among them already."""
        prompts = self.prompts.to(tokens.dtype).expand(len(tokens), -1, -1)
        behind = tokens[:, 1 + (len(self.prompts) if self.replace else 0) :]
        return self.base_layer(torch.cat([tokens[:, :1], prompts, behind], 1), **context)
