"""The memory decoder: what good images look like; a pixel is as strange as the nearest of their patches is far.

PatchCore (Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022,
https://arxiv.org/abs/2106.08265): features of a frozen backbone, pooled over a patch's neighbours, of which a greedy
coreset is kept. No weight learns by gradient: `adapters/training/memory_fit.py` fills it. `decoder.description=texture`
has the texture of patches in place of features, each image beside itself (`texture.py`).

Departures: features are standardised by the good patches' own mean and deviation, since taps differ in scale; the score
of an image is the maximum of its map, without their weight for how lonely the nearest good patch is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.decoders import texture
from adapters.decoders.decoder import Decoder
from adapters.decoders.texture import smoothed
from adapters.options import decoders as options
from adapters.proposals.strangeness import Strangeness

NEVER = -10.0
"""The logit of every pixel before the memory is filled."""
AT_ONCE = 4096
"""Patches whose distances to the memory are worked out together."""
LEAST_DEVIATION = 1e-4


@dataclass(frozen=True)
class Memory(options.Memory):
    """Options of the memory decoder, and the decoder that they build."""

    def build(self, backbone_dim: int, taps: int, stride: int) -> MemoryDecoder:
        """The decoder on a backbone of that width and stride, of which it sees so many taps; its memory empty."""
        return MemoryDecoder(self, texture.WIDTH if self.description == "texture" else backbone_dim * taps)


class MemoryDecoder(Decoder):
    """forward: features, one (B, D, h, w) per tap; images (B, 3, H, W) -> {"foreground": (B, 1, H, W) logits}.

    The logit is the logarithm of the distance d to the nearest good patch over that from which on a pixel is strange:
    a score of d / (d + threshold), 0.5 at the threshold.
    """

    fields = ("foreground",)

    def __init__(self, options: Memory, width: int) -> None:
        super().__init__()
        self.options = options
        frozen = {"requires_grad": False}
        self.patches = nn.Parameter(torch.zeros(options.size, width), **frozen)
        """(M, D'): standardised descriptions of good patches, D' = taps x D of features."""
        self.mean = nn.Parameter(torch.zeros(width), **frozen)
        self.deviation = nn.Parameter(torch.ones(width), **frozen)
        self.threshold = nn.Parameter(torch.zeros(()), **frozen)
        """The distance from which on a pixel is strange; 0 while the memory is empty."""

    def fill(self, patches: Tensor, mean: Tensor, deviation: Tensor) -> None:
        """Take standardised descriptions (M, D') of good patches, and by what they were standardised; the number of
        patches becomes the size. In half precision, as they are saved.
        """
        place = self.patches.device
        self.options = options_of_size(self.options, len(patches))
        for name, value in (("patches", patches), ("mean", mean), ("deviation", deviation)):
            setattr(self, name, nn.Parameter(value.half().float().to(place), requires_grad=False))

    @property
    def proposals(self) -> Strangeness:
        """Connected pixels that are strange."""
        return Strangeness(self.options)

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Logits (B, 1, H, W) of how strange each pixel of images (B, 3, H, W) is."""
        size = images.shape[-2:]
        if not self.threshold.item():
            return {"foreground": images.new_full((len(images), 1, *size), NEVER)}
        distances = self.distances(self.described(features, images), size)
        return {"foreground": torch.log(distances.clamp(min=1e-6) / self.threshold)}

    def described(self, features: Sequence[Tensor], images: Tensor) -> Tensor:
        """(B, D', h, w) descriptions of the patches: features of all taps, or textures; arguments as of `forward`."""
        if self.options.description == "texture":
            height, width = features[0].shape[-2:]
            return texture.textures(images, (height, width))
        return neighbourhoods(features, self.options.neighbours)

    def distances(self, described: Tensor, size: Sequence[int]) -> Tensor:
        """(B, 1, *size) distance of each pixel to the nearest good patch, smoothed; described: (B, D', h, w)."""
        batch, _, height, width = described.shape
        rows = self.standardised(described.permute(0, 2, 3, 1).flatten(0, 2))  # (B h w, D')
        nearest = [torch.cdist(chunk, self.patches).amin(1) for chunk in rows.split(AT_ONCE)]
        grid = torch.cat(nearest).view(batch, 1, height, width) / rows.shape[1] ** 0.5
        return smoothed(F.interpolate(grid, size=list(size), mode="bilinear"), self.options.smoothing_px)

    def standardised(self, rows: Tensor) -> Tensor:
        """Descriptions (N, D') by the mean and deviation of good patches."""
        return (rows.float() - self.mean) / self.deviation.clamp(min=LEAST_DEVIATION)


def options_of_size(chosen: Memory, size: int) -> Memory:
    """The options with another number of patches."""
    return Memory(**{**vars(chosen), "size": size})


def neighbourhoods(features: Sequence[Tensor], side: int) -> Tensor:
    """(B, taps x D, h, w) of features, one (B, D, h, w) per tap: each the mean over a square of `side` patches."""
    grid = features[0].shape[-2:]
    pooled = [F.avg_pool2d(tap.float(), side, 1, side // 2, count_include_pad=False) for tap in features]
    return torch.cat([F.interpolate(x, size=grid, mode="bilinear") if x.shape[-2:] != grid else x for x in pooled], 1)
