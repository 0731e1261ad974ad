"""How AdaLoRA spends its ranks while it learns (Zhang et al., https://arxiv.org/abs/2303.10512).

Every layer starts with a few singular values too many; by their importance, a mean over time of how far the loss moves
with them, the least are set to zero until as many are left as were asked for, and singular vectors are kept orthogonal.
peft counts steps; a fit may have seconds instead, so the schedule goes by the share of the budget that is used.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.adalora.layer import AdaLoraLayer, RankAllocator
from torch import Tensor

from adapters.backbones import Backbone

ADAPTER = "default"


class Allocation:
    """The singular values of a backbone under AdaLoRA, and which of them are kept."""

    def __init__(self, backbone: Backbone) -> None:
        self.model = backbone.model
        self.config: Any = backbone.model.peft_config[ADAPTER]  # type: ignore[index]  # torch says Tensor or Module
        self.allocator = RankAllocator(self.model, self.config, ADAPTER)
        self.pattern: Any = None
        """What is kept, once that is settled."""

    def allocate(self, progress: float) -> None:
        """After a step, its gradients still there: note importance, zero what is not kept. progress: from 0 to 1."""
        step = round(progress * self.config.total_step)
        settled = step >= self.config.total_step - self.config.tfinal
        if self.pattern:
            self.allocator.mask_using_rank_pattern(self.model, self.pattern)
            return
        _, pattern = self.allocator.update_and_allocate(self.model, step, force_mask=settled)
        self.pattern = pattern if settled else None

    def penalty(self) -> Tensor:
        """How far singular vectors are from orthogonal, the mean over both sides of all layers, weighted."""
        gaps = []
        for module in self.model.modules():
            if isinstance(module, AdaLoraLayer):
                for side in (module.lora_A[ADAPTER], module.lora_B[ADAPTER].T):  # (r, in), (r, out)
                    gaps.append(torch.linalg.norm(side @ side.T - torch.eye(len(side), device=side.device)))
        return self.config.orth_reg_weight * torch.stack(gaps).mean()


def allocation_of(backbone: Backbone) -> Allocation | None:
    """That of a backbone under AdaLoRA; None for any other."""
    has_values = any(isinstance(module, AdaLoraLayer) for module in backbone.modules())
    return Allocation(backbone) if has_values else None
