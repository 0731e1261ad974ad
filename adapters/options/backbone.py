"""What a recipe says about the backbone."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.options.options import EMBEDDED_BACKBONES as EMBEDDED

ROLES = ("q", "k", "v", "qkv", "out", "mlp_in", "mlp_out")


@dataclass(frozen=True)
class BackboneOptions:
    """Which backbone, and what of it is shown to the decoder."""

    name: str = EMBEDDED[0]
    """The embedded base, a local folder in the Hub's layout, an original `.pth` of SAM or DINOv2, or a Hub id."""
    revision: str | None = None
    """Branch, tag or commit of a Hub id."""
    taps: tuple[int, ...] | None = None
    """Blocks whose tokens are features, counted from 1; None: four evenly spaced ones, three below 8 blocks."""
    gradient_checkpointing: bool = False
    """Recompute blocks in the backward pass: less memory for about a third more time."""
    random: bool = False
    """Random weights of the same architecture, drawn from torch's generator: the control for pretraining."""
