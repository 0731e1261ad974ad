"""From features to outputs; what every decoder has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from adapters.proposals.proposals import Proposals


@dataclass(frozen=True)
class Start:
    """Weights of a decoder that was pretrained with a base: of which kind of scenes, and the SHA-256 of their file."""

    kind: str | None
    digest: str


class Decoder(nn.Module):
    """forward: features, one (B, D, h, w) per tap, and images (B, 3, H, W) in [0, 1] -> outputs by name.

    `options` is the frozen dataclass that built it; its fields are the recipe's `decoder:` section.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    """Outputs that are fields (B, C, H, W) of logits over the image, which may be averaged over flips and turns."""
    of_base: ClassVar[tuple[str, ...]] = ()
    """How names of tensors begin that are the base's and stay as they are; an adapter's file has none of them."""
    options: Any
    start: Start | None = None
    """The pretrained weights that it began with; None for random ones."""

    @property
    def proposals(self) -> Proposals:
        """How its outputs become entities, by the options as they are and what it has learnt besides."""
        raise NotImplementedError

    def probed(self, outputs: Mapping[str, Any], size: tuple[int, int]) -> Mapping[str, Any]:
        """What a probe compares of the outputs of an image (H, W): they themselves."""
        return outputs

    def adopt(self, options: Any) -> None:
        """Take other options, in which only thresholds differ, or parts that learn after a fit."""
        self.options = options
