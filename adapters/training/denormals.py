"""Numbers too small to be normal, which a CPU works out in microcode."""

from __future__ import annotations

import torch


def flush_denormals() -> None:
    """Let them be 0, in this thread and in those it starts from now on: call it before the first tensor is worked on.

    Attention weights underflow as a matter of course, and its backward pass then crawls: a training step of LoRA on the
    embedded base takes 1.5 times as long with denormal numbers, and no result is better for them. Nothing happens on
    processors that cannot.
    """
    torch.set_flush_denormal(True)
