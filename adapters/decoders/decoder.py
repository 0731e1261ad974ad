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
        return self.cut(self.prepared(outputs, index, size))

    def prepared(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> Any:
        """What `cut` takes: all the work that none of the options in `tuned` alters."""
        return outputs, index, size

    def cut(self, prepared: Any) -> EntityMap:
        """Entities, by the options as they are."""
        raise NotImplementedError

    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """Option -> what calibration tries."""
        return self.options.TUNED

    def adopt(self, options: Any) -> None:
        """Take other options, in which only thresholds differ, or parts that learn after a fit."""
        self.options = options
