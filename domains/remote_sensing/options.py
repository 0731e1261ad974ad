"""What a recipe may say of the ground seen from above alone. Imports no torch, so that a recipe is checked at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class RemoteSensingOptions:
    """Options of the domain's own; each adds nothing at its default."""

    AFTER: ClassVar[str] = "stain"

    seasons: bool = False
    """Remote sensing: plants of other seasons and soft shadows in training crops."""


OPTIONS = RemoteSensingOptions
