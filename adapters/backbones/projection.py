"""Two bands, or many, to the three that a frozen backbone knows: a learned mixture of the bands at each pixel.

As the first layer of a network pretrained on RGB is fed with other bands elsewhere (TorchGeo widens that layer's
weights), but before the backbone, which stays what its fingerprint says. It starts as the identity on red, green and
blue, so that a fresh one changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from domains.bands import RGB, channels_of


class BandProjection(nn.Module):
    """forward: images (B, C, H, W) in [0, 1] -> (B, 3, H, W), one 1 x 1 convolution. bands: names of the C channels.

    Red, green and blue pass through where they are among the bands; where not, the first three do, of two the second
    twice.
    """

    def __init__(self, bands: Sequence[str]) -> None:
        super().__init__()
        names = [str(band).lower() for band in bands]
        chosen = [names.index(colour) for colour in RGB] if {*RGB} <= {*names} else [0, 1, min(2, len(names) - 1)]
        self.mix = nn.Conv2d(len(names), 3, 1)
        with torch.no_grad():
            self.mix.weight.zero_()
            self.mix.bias.zero_()  # type: ignore[union-attr]
            for colour, channel in enumerate(chosen):
                self.mix.weight[colour, channel] = 1.0

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) of images (B, C, H, W)."""
        return self.mix(images)


def build_projection(bands: Sequence[str]) -> BandProjection | None:
    """None where there are three channels, which a backbone takes as they are."""
    return BandProjection(bands) if channels_of(bands) != 3 else None
