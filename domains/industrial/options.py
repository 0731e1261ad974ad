"""What a recipe may say of inspected surfaces alone. Imports no torch, so that a recipe is checked at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class IndustrialOptions:
    """Options of the domain's own; each adds nothing at its default."""

    drawn_defects: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Inspection: share of the training crops on which the generator of surfaces draws a defect, beside what they hold:
    the ground is the user's own, the defect need not be among the labelled ones."""
