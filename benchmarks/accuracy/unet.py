"""What a user would train instead: MONAI's U-Net from nothing, with our fields, losses and decode.

Only the network differs from ours, so it is dressed as an `EntitySegmenter`: a backbone that gives no features, and a
decoder that is the whole U-Net. Ronneberger et al., https://arxiv.org/abs/1505.04597; residual units after Kerfoot et
al., STACOM 2018, as https://docs.monai.io/en/stable/networks.html#unet has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monai.networks.nets.unet import UNet
from torch import Tensor, nn

from adapters.decoders.decoder import Decoder
from adapters.decoders.dense import FIELDS, Dense, DenseDecoder
from adapters.network import EntitySegmenter
from adapters.proposals.regions import RegionScorer
from recipes.reading.schema import Recipe

CHANNELS = (24, 48, 96, 192, 256)


class UNetSegmenter(EntitySegmenter):
    """Images (B, 3, H, W) in [0, 1], H and W multiples of 16, to the dense decoder's fields (B, 1, H, W) in logits."""

    def __init__(self, options: Dense | None = None) -> None:
        super().__init__(NoBackbone(), UNetDecoder(options or Dense()))  # type: ignore[arg-type]


class NoBackbone(nn.Module):
    """No features; its stride is what the U-Net wants."""

    name = "none"
    stride = 2 ** (len(CHANNELS) - 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        return []


class UNetDecoder(Decoder):
    """The U-Net, its output channels the fields; the thresholds of its decode are those of `Dense`."""

    fields = FIELDS

    def __init__(self, options: Dense) -> None:
        super().__init__()
        self.options = options
        self.scorer = RegionScorer() if options.regions else None
        self.unet = UNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=len(FIELDS),
            channels=CHANNELS,
            strides=(2,) * (len(CHANNELS) - 1),
            num_res_units=2,
        )

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        x = self.unet((images - 0.5) / 0.25)  # (B, fields, H, W)
        return {name: x[:, i : i + 1] for i, name in enumerate(FIELDS)}

    by_regions, proposals, adopt = DenseDecoder.by_regions, DenseDecoder.proposals, DenseDecoder.adopt
    begin_scorer = DenseDecoder.begin_scorer


UNETS: dict[str, Callable[[Recipe], UNetSegmenter]] = {
    "unet": lambda recipe: UNetSegmenter(),
    "unet_sections": lambda recipe: UNetSegmenter(),
    "unet_regions": lambda recipe: UNetSegmenter(Dense(**{**recipe.decoder.options(), "regions": True})),
}
"""From the recipe. A watershed is what a U-Net comes with; by our regions, with the recipe's thresholds to
begin with, it shows what our network alone is worth."""
