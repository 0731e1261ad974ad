"""What a user would train instead: MONAI's U-Net from nothing, with our fields, losses and decode.

Only the network differs from ours, so it is dressed as an `EntitySegmenter`: a backbone that gives no features, and a
decoder that is the whole U-Net. Ronneberger et al., https://arxiv.org/abs/1505.04597; residual units after Kerfoot et
al., STACOM 2018, as https://docs.monai.io/en/stable/networks.html#unet has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monai.networks.nets.unet import UNet
from torch import Tensor

from adapters.decoders.dense import FIELDS, Dense, FieldDecoder
from adapters.network import EntitySegmenter
from adapters.student import no_backbone
from recipes.reading.schema import Recipe

CHANNELS = (24, 48, 96, 192, 256)


class UNetSegmenter(EntitySegmenter):
    """Images (B, 3, H, W) in [0, 1], H and W multiples of 16, to the dense decoder's fields (B, 1, H, W) in logits.

    classes: of a class head; with K of them the outputs have `classes` (B, K, H, W) too, in logits.
    """

    def __init__(self, options: Dense | None = None, classes: int = 0) -> None:
        super().__init__(no_backbone("none", 2 ** (len(CHANNELS) - 1)), UNetDecoder(options or Dense(), classes))


class UNetDecoder(FieldDecoder):
    """The U-Net, its output channels the fields and classes; the thresholds of its decode are those of `Dense`."""

    def __init__(self, options: Dense, classes: int = 0) -> None:
        super().__init__(options)
        self.unet = UNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=len(FIELDS) + classes,
            channels=CHANNELS,
            strides=(2,) * (len(CHANNELS) - 1),
            num_res_units=2,
        )

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        x = self.unet((images - 0.5) / 0.25)  # (B, fields + classes, H, W)
        outputs = {name: x[:, i : i + 1] for i, name in enumerate(FIELDS)}
        return outputs if x.shape[1] == len(FIELDS) else {**outputs, "classes": x[:, len(FIELDS) :]}


UNETS: dict[str, Callable[[Recipe], UNetSegmenter]] = {
    "unet": lambda recipe: UNetSegmenter(),
    "unet_sections": lambda recipe: UNetSegmenter(),
    "unet_regions": lambda recipe: UNetSegmenter(Dense(**{**recipe.decoder.options(), "regions": True})),
}
"""From the recipe. A watershed is what a U-Net comes with; by our regions, with the recipe's thresholds to
begin with, it shows what our network alone is worth."""
