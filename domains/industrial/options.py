"""What a recipe may say of inspected surfaces alone. Imports no torch, so that a recipe is checked at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from domains.options import Share


@dataclass(frozen=True)
class IndustrialOptions:
    """Options of the domain's own; each adds nothing at its default."""

    AFTER: ClassVar[str] = "paste_share"

    drawn_defects: Share = 0.0
    """Inspection: share of the training crops on which the generator of surfaces draws a defect, beside what they hold:
    the ground is the user's own, the defect need not be among the labelled ones."""


OPTIONS = IndustrialOptions
