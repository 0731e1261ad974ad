"""Options of the prompt decoder of a base that is no SAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from adapters.options.ranges import Share
from adapters.options.section import Options


@dataclass(frozen=True)
class PromptOptions(Options):
    """The size of a prompt decoder, and what it is prompted with while it learns."""

    SOURCE: ClassVar[str] = "prompts."

    width: Annotated[int, Field(ge=32, le=256, multiple_of=16)] = 96
    """Channels of tokens and cells; a multiple of 16 and of twice `heads`."""
    layers: Annotated[int, Field(ge=1, le=6)] = 1
    """Layers in which tokens attend to the image and the image to tokens."""
    heads: Annotated[int, Field(ge=1, le=16)] = 4
    """Attention heads."""
    per_image: Annotated[int, Field(ge=4, le=256)] = 24
    """Prompts of each crop in a step: points, points with a granularity, and boxes."""
    boxes: Share = 0.25
    """Share of them that are boxes; of the others every second has a granularity."""
    corrections: Annotated[int, Field(ge=0, le=8)] = 3
    """Most points that are added where the first masks are wrong."""

    def check_agreement(self) -> None:
        """Raises InputError where the heads do not share the width evenly."""
        if self.width % (2 * self.heads):
            raise self.wrong("heads", f"wanted twice it to divide prompts.width, which is {self.width}")
