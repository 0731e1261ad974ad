"""What every decoder can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from domains.entities import EntityMap


class Decoder(nn.Module):
    """forward: features, one (B, D, h, w) per tap, and images (B, 3, H, W) in [0, 1] -> outputs by name.

    `options` is the frozen dataclass that built it; its fields are the recipe's `decoder:` section.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    """Outputs that are fields (B, C, H, W) of logits over the image, which may be averaged over flips and turns."""
    options: Any

    def entities(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> EntityMap:
        """The entities of one image of a batch, cropped to `size` (H, W) where the network's input was padded."""
        raise NotImplementedError
