"""Which backbone, and what of it is shown to the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from adapters.options.ranges import Blocks
from adapters.options.section import Options

EMBEDDED = ("entity-small",)
"""Names of the bases that ship with the repository, the default first."""
Role = Literal["q", "k", "v", "qkv", "out", "mlp_in", "mlp_out"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What a linear layer of a block does."""


@dataclass(frozen=True)
class BackboneOptions(Options):
    """The frozen model."""

    SOURCE: ClassVar[str] = "backbone."

    name: str = EMBEDDED[0]
    """The embedded base `entity-small`, a Hub id such as facebook/dinov2-small, a folder, or a .pth checkpoint."""
    revision: str | None = None
    """Branch, tag or commit of a Hub id."""
    taps: Blocks | None = None
    """Blocks whose tokens are features, counted from 1; null: four evenly spaced ones, three below 8 blocks."""
    gradient_checkpointing: bool = False
    """Recompute blocks in the backward pass: less memory for about a third more time."""
    random: bool = False
    """Random weights of the same architecture: the control for pretraining."""
