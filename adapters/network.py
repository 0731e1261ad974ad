"""The network: a frozen backbone with its adapter, and a decoder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.decoders.decoder import Decoder
from adapters.runtime import CPU, Runtime, in_memory
from domains.entities import EntityMap
from domains.errors import InputError

if TYPE_CHECKING:  # transformers loads slowly, and a student does without
    from adapters.backbones import Backbone
    from adapters.backbones.backbone import Prefix
    from adapters.backbones.projection import BandProjection

logger = logging.getLogger(__name__)  # where nobody listens, its lines go to standard error

SYMMETRIES = ((False, 0), (True, 0), (False, 2), (True, 2), (False, 1), (True, 1), (False, 3), (True, 3))
"""The eight symmetries of a square as (flip, quarter turns); the first four keep landscape landscape."""


@dataclass(frozen=True)
class Views:
    """How often an image is looked at before its entities are cut out; the decoder's fields are averaged."""

    symmetries: int = 1
    """The first so many flips and turns of `SYMMETRIES`."""
    scales: tuple[float, ...] = (1.0,)
    """The image is resized by each: a smaller one shows the network more of the scene at a glance."""


ONE_VIEW = Views()


class Output(NamedTuple):
    """A batch's outputs, on the CPU; the place in it of one image, and its (height, width) before padding."""

    outputs: dict[str, Any]
    index: int
    size: tuple[int, int]


class EntitySegmenter(nn.Module):
    """forward: images (B, C, H, W) in [0, 1] -> the decoder's outputs, by name.

    C is 3, RGB, but where a projection takes more bands to these three. H and W must be multiples of the backbone's
    stride and of 8; `entities` pads for you.
    """

    backbone: Backbone
    decoder: Decoder
    projection: BandProjection | None
    runtime: Runtime
    """How it predicts; by default on the CPU in single precision."""
    most_at_once: int | None
    """Images that fit into the memory of the device together, where more did not."""

    def __init__(self, backbone: Backbone, decoder: Decoder, projection: BandProjection | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.projection = projection
        self.runtime, self.most_at_once = CPU, None

    def place(self, runtime: Runtime) -> Self:
        """The network itself, moved to the device of `runtime`, to predict in its precision from here on.

        In int8 the backbone's linear layers are no others again. Raises InputError where it has none.
        """
        if runtime.device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # what is not bf16 is true single precision, convolutions too
        if runtime.precision == "int8":
            self.backbone.to_int8()
        self.runtime, self.most_at_once = runtime, None
        return self.to(runtime.device)

    @property
    def device(self) -> torch.device:
        """Where its weights are, images are sent to, and all of it is worked out."""
        return next(chain(self.decoder.parameters(), self.backbone.parameters())).device

    @property
    def channels(self) -> int:
        """The number of channels of the images that it takes."""
        return 3 if self.projection is None else self.projection.mix.in_channels

    def forward(self, images: Tensor, prefix: Prefix | None = None) -> dict[str, Tensor]:
        """The decoder's outputs of images (B, C, H, W) in [0, 1]; no gradient is kept where only the decoder learns.

        prefix: what the backbone's first blocks made of them, where that is at hand.
        """
        learns = any(parameter.requires_grad for parameter in self.backbone.parameters())
        if self.projection is not None:
            images, learns = self.projection(images), True
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            if prefix is None:
                features = self.backbone(images)
            else:
                features = self.backbone.go_on(prefix, *self.backbone.grid(images))
        return self.decoder(features, images)

    def entities(self, images: Sequence[np.ndarray], views: Views = ONE_VIEW) -> list[EntityMap]:
        """Images of any sizes, each (H, W, C) uint8, to their entities."""
        proposals = self.decoder.proposals
        return [proposals.entities(*output) for output in self.outputs(images, views)]

    def outputs(self, images: Sequence[np.ndarray], views: Views = ONE_VIEW) -> list[Output]:
        """The network gives what it says of each image, before that becomes entities; images of one padded size go
        together.
        """
        multiple = int(np.lcm(self.backbone.stride, 8))
        padded = [pad_to(to_tensor(image), multiple) for image in images]
        results: dict[int, Output] = {}
        for size in sorted({x.shape[-2:] for x in padded}):
            members = [i for i, x in enumerate(padded) if x.shape[-2:] == size]
            outputs = self.predicted(torch.stack([padded[i] for i in members]), views)
            for position, i in enumerate(members):
                height, width = images[i].shape[:2]
                results[i] = Output(outputs, position, (height, width))
        return [results[i] for i in range(len(images))]

    @torch.inference_mode()
    def predicted(self, images: Tensor, views: Views = ONE_VIEW) -> dict[str, Any]:
        """The outputs of images (B, C, H, W), as `averaged` has them, in float32 on the CPU, where they are decoded.

        Here alone images go to the network's device and outputs come back. Where its memory is too small for all of
        them, they go by halves, from then on too. Raises InputError where it is too small for one.
        """
        batches: list[dict[str, Any]] = []
        start = 0
        while start < len(images):
            batch = images[start : start + (self.most_at_once or len(images))]
            outputs, fits = in_memory(lambda batch=batch: self._on_device(batch, views), self.device)
            if fits:
                batches.append(outputs)
                start += len(batch)
            else:
                self._halve(batch)
        return joined(batches)

    def _on_device(self, images: Tensor, views: Views) -> dict[str, Any]:
        """The outputs of a batch, to the device and back."""
        with self.runtime.autocast():
            return brought_back(self.averaged(images.to(self.device), views))

    def _halve(self, images: Tensor) -> None:
        """Take half as many images at once. Raises InputError where the batch that did not fit was of one."""
        count, (height, width) = len(images), images.shape[-2:]
        if count == 1:
            raise InputError(
                f"{self.device} has not the memory for one image of {height} x {width} px; free some, look at smaller "
                "pieces (--window, or domain.tile_px of a fit), or take the processor (--device cpu, train.device=cpu)"
            )
        self.most_at_once = count // 2
        logger.warning(
            "%s is out of memory for %d images of %d x %d px at once; goes on with %d",
            *(self.device, count, height, width, self.most_at_once),
        )

    def averaged(self, images: Tensor, views: Views) -> dict[str, Any]:
        """The decoder's fields, each the mean of its logits over the views, for images on the network's device.

        images: (B, C, H, W). With one view it is `forward`. Raises InputError for a decoder that gives no fields.
        """
        if views == ONE_VIEW:
            return self(images)
        if not self.decoder.fields:
            raise InputError(
                f"symmetries is {views.symmetries} and test_scales {list(views.scales)}: only decoder.name=dense can "
                "average; set them to 1 and [1]"
            )
        total: dict[str, Any] = dict.fromkeys(self.decoder.fields, 0.0)
        for scale in views.scales:
            resized = self._resized(images, scale)
            for flip, turns in SYMMETRIES[: views.symmetries]:
                outputs = self(torch.rot90(resized.flip(-1) if flip else resized, turns, (-2, -1)))
                for name in total:
                    back = torch.rot90(outputs[name].float(), -turns, (-2, -1))
                    total[name] = total[name] + interpolated(back.flip(-1) if flip else back, images.shape[-2:])
        return {name: field / (len(views.scales) * views.symmetries) for name, field in total.items()}

    def _resized(self, images: Tensor, scale: float) -> Tensor:
        """Images (B, C, H, W) resized to the nearest size that the network takes."""
        multiple = int(np.lcm(self.backbone.stride, 8))
        return interpolated(images, [max(1, round(side * scale / multiple)) * multiple for side in images.shape[-2:]])


def brought_back(outputs: Any) -> Any:
    """The tensors of a decoder's outputs, in mappings and lists too, on the CPU and, if floating, in float32."""
    if isinstance(outputs, Tensor):
        return (outputs.float() if outputs.is_floating_point() else outputs).cpu()
    if isinstance(outputs, Mapping):
        return {name: brought_back(value) for name, value in outputs.items()}
    return [brought_back(value) for value in outputs]


def joined(batches: Sequence[Any]) -> Any:
    """The outputs of several batches as those of one."""
    if len(batches) == 1:
        return batches[0]
    if isinstance(batches[0], Tensor):
        return torch.cat(list(batches))
    if isinstance(batches[0], Mapping):
        return {name: joined([batch[name] for batch in batches]) for name in batches[0]}
    return [joined(values) for values in zip(*batches, strict=True)]


def interpolated(x: Tensor, size: Sequence[int]) -> Tensor:
    """x (B, C, H, W) resized without aliasing; x itself where it has that size."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=False, antialias=True)


def to_tensor(image: np.ndarray) -> Tensor:
    """An image (H, W, C) uint8 becomes (C, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255.0)


def pad_to(image: Tensor, multiple: int) -> Tensor:
    """An image (C, H, W) has its edge pixels repeated to the right and below until both sides are multiples."""
    height, width = image.shape[-2:]
    return F.pad(image[None], (0, -width % multiple, 0, -height % multiple), mode="replicate")[0]
