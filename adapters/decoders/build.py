"""From options and a backbone to the decoder on it; what answers prompts there is the backbone's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor

from adapters.backbones.backbone import Backbone
from adapters.backbones.sam import SamBackbone
from adapters.decoders import Decoder
from adapters.decoders.base_prompts import BaseImage, BasePrompts
from adapters.decoders.build_promptable import prompt_parts
from adapters.decoders.pretrained_prompts import PromptParts
from adapters.decoders.prompt_batch import Origin
from adapters.decoders.promptable import MASK_CELLS, Extent
from adapters.decoders.prompted import PromptedDecoder, Sam
from adapters.decoders.sam import SamImage, SamPrompts, check_complete
from adapters.decoders.two_way import Affine
from domains.errors import InputError


def build_decoder(options: Any, backbone: Backbone) -> Decoder:
    """The decoder of some options; its weights random, but what answers prompts begins as the backbone has it.

    Raises InputError for a backbone that answers none.
    """
    if not isinstance(options, Sam):
        return options.build(backbone.dim, len(backbone.taps), backbone.stride)
    if isinstance(backbone, SamBackbone):
        return SamDecoder(options, backbone)
    return BaseDecoder(options, prompt_parts(backbone))


class SamDecoder(PromptedDecoder):
    """SAM's own: all of its weights are the backbone's, whose method adapts them (`Backbone.answering`).

    forward gives `embedding` (B, C, h, w), behind SAM's neck.
    """

    takes_granularity: ClassVar[bool] = False

    def __init__(self, options: Sam, backbone: SamBackbone) -> None:
        super().__init__()
        check_complete(backbone)
        if backbone.stride % MASK_CELLS:
            raise InputError(f"decoder.name=sam wants patches of a multiple of {MASK_CELLS} px, got {backbone.stride}")
        if backbone.taps[-1] != backbone.depth:
            raise InputError(
                f"decoder.name=sam wants the last of {backbone.name}'s {backbone.depth} blocks among backbone.taps, "
                f"which are {list(backbone.taps)}: add it, or leave them out"
            )
        self.options = options
        self.held = (backbone,)  # in a tuple, or its weights would be the decoder's too
        self.layers: dict[tuple[bool, bool], Affine] = {}
        """Of the mask decoder as it was at the last `forward`, by whether gradients are kept."""

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        """The image embedding, of features (B, D, h, w) of which the last is the last block's."""
        self.layers = {}
        return {"embedding": self.held[0].neck(features[-1])}

    def image(
        self, outputs: Mapping[str, Any], index: int, size: tuple[int, int], origin: Origin | None = None
    ) -> SamImage:
        """One image of a batch, (H, W) as `size` says, ready for prompts in its pixels."""
        backbone = self.held[0]
        embedding = outputs["embedding"][index : index + 1].to(backbone.mean.device, backbone.mean.dtype)
        height, width = (side * backbone.stride for side in embedding.shape[-2:])
        layers = self.layers.setdefault((torch.is_grad_enabled(), torch.is_inference_mode_enabled()), {})
        return SamImage(backbone, Extent(size, size, (height, width)), embedding, layers=layers)

    def promptable(
        self, backbone: Backbone, side_px: int, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> SamPrompts:
        """What takes a user's prompts, once the adapter is merged."""
        assert isinstance(backbone, SamBackbone)
        return SamPrompts(backbone, autocast, side_px)


class BaseDecoder(PromptedDecoder):
    """That of a base which is no SAM: `decoder` learns whole, on what the base's general dense decoder, `trunk`, makes
    of the image, which stays as it is.

    forward gives `taps` and `pyramid`, as `PromptDecoder.look` takes them.
    """

    takes_granularity: ClassVar[bool] = True
    of_base: ClassVar[tuple[str, ...]] = ("trunk.",)

    def __init__(self, options: Sam, parts: PromptParts) -> None:
        super().__init__()
        self.options = options
        self.trunk = parts.trunk.requires_grad_(False)
        self.decoder = parts.decoder.requires_grad_(True)

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, list[Tensor]]:
        """The features, and the dense decoder's pyramid on them. images: (B, 3, H, W) in [0, 1]."""
        return {"taps": list(features), "pyramid": self.trunk.pyramid(features, images)}

    def image(
        self, outputs: Mapping[str, Any], index: int, size: tuple[int, int], origin: Origin | None = None
    ) -> BaseImage:
        """One image of a batch, (H, W) as `size` says, ready for prompts in its pixels. origin: where its corner lies
        in the frame of positions; None for its middle.
        """
        weight = self.decoder.here.weight
        taps, pyramid = (
            [level[index : index + 1].to(weight) for level in outputs[name]] for name in ("taps", "pyramid")
        )
        corner = (-size[1] / 2, -size[0] / 2) if origin is None else origin
        seen = self.decoder.look(taps, pyramid, corner)
        height, width = (2 * side for side in seen.details[-1].shape[-2:])
        return BaseImage(self.decoder, Extent(size, size, (height, width)), seen, corner)

    def promptable(
        self, backbone: Backbone, side_px: int, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> BasePrompts:
        """What takes a user's prompts; images are seen as they are."""
        return BasePrompts(backbone, PromptParts(self.trunk, self.decoder), autocast)
