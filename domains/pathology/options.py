"""What a recipe may say of stained tissue alone. Imports no torch, so that a recipe is checked at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from domains.options import Share


@dataclass(frozen=True)
class PathologyOptions:
    """Options of the domain's own; each adds nothing at its default."""

    AFTER: ClassVar[str] = "stain"

    stain_augmentation: Literal["jitter", "styles", "both", "section", "none"] = "none"
    """Pathology: dyes drawn freely (jitter), like the styles that the training images show (styles), both; nuclei of
    one dye shown in sections of two (section); or none."""
    fluorescence_as_dye: Share = 0.0
    """Pathology: share of the training crops of fluorescence that are shown as stained tissue."""


OPTIONS = PathologyOptions
