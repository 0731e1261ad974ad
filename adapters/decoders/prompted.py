"""A decoder whose outputs answer prompts, so that it is fitted by them, and a user's are answered after the fit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from adapters.decoders.decoder import Decoder
from adapters.decoders.prompt_batch import Origin, Prompted
from adapters.decoders.promptable import Promptable, PromptableImage
from adapters.options import decoders as options
from adapters.proposals.gridded import GridMasks
from adapters.proposals.proposals import Proposals
from domains.errors import InputError

if TYPE_CHECKING:
    from adapters.backbones.backbone import Backbone  # which brings transformers along, that a student does without

MIDDLE: Origin = (0.0, 0.0)


@dataclass(frozen=True)
class Sam(options.Sam):
    """Options of the decoder that answers prompts; `decoders.build` knows what answers them on a backbone."""

    def build(self, backbone_dim: int, taps: int, stride: int) -> PromptedDecoder:
        """Raises InputError: there is none but on a backbone that has one, so it is not pretrained, nor merged."""
        raise InputError(
            "decoder.name=sam is the base's own; it is fitted, but neither pretrained with a base nor merged"
        )


class PromptedDecoder(Decoder):
    """forward: features and images as every decoder takes them -> what prompts on each image are answered from.

    takes_granularity: whether a granularity may be among the prompts.
    """

    options: Sam
    takes_granularity: ClassVar[bool]

    @abstractmethod
    def image(
        self, outputs: Mapping[str, Any], index: int, size: tuple[int, int], origin: Origin | None = None
    ) -> PromptableImage:
        """One image of a batch, (H, W) as `size` says, ready for prompts in its pixels. origin: where its corner lies
        in the frame of positions, where the decoder has such; None for the middle of the image.
        """

    @abstractmethod
    def promptable(
        self, backbone: Backbone, side_px: int, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> Promptable:
        """What takes a user's prompts, once the adapter is merged. backbone: that which the decoder was built on;
        side_px: of the tiles that it was fitted for.
        """

    @property
    def proposals(self) -> Proposals:
        """Entities of a grid of points."""
        return GridMasks(self.options, torch.no_grad()(self.image))

    def probed(self, outputs: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Tensor]:
        """Masks and predicted IoUs of a point and of a box on the first image of a batch."""
        image, (height, width) = self.image(outputs, 0, size), size
        middle = torch.tensor([[[0.4 * width, 0.5 * height]]]).to(image.embedding)
        box = torch.tensor([[0.2, 0.3, 0.7, 0.9]]).to(image.embedding) * torch.tensor([width, height] * 2).to(middle)
        answers = [image.all_masks([prompts]) for prompts in (Prompted(middle), Prompted(boxes=box))]
        masks, ious = (torch.cat(tensors, 1) for tensors in zip(*answers, strict=True))
        return {"ious": ious, "masks": masks[:, ::2]}
