"""The dense decoder: four fields at full resolution, which a watershed or a choice of regions turns into entities.

A U-Net whose lowest floor is the frozen backbone: residual convolutions on the image at strides 1, 2, 4 and 8 (the
detail branch) meet the tokens of several blocks at stride 8, and go up again to full resolution, so boundaries are as
fine as the pixels. Fields after micro-sam's AIS decoder (Archit et al., Nature Methods 2025), with a boundary channel
added. There is no cap on the number of entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from adapters.decoders.decoder import Decoder
from adapters.decoders.group_norm import GroupNorm
from adapters.options import decoders as options
from adapters.proposals.proposals import Proposals
from adapters.proposals.region_choice import RegionChoice
from adapters.proposals.regions import RegionScorer
from adapters.proposals.rims import RimMerging
from adapters.proposals.watershed import FIELDS, Watershed


@dataclass(frozen=True)
class Dense(options.Dense):
    """Options of the dense decoder, and the decoder that they build."""

    def build(self, backbone_dim: int, taps: int, stride: int) -> DenseDecoder:
        """The decoder on a backbone of that width and stride, of which it sees so many taps; its weights random."""
        return DenseDecoder(self, backbone_dim, taps)


class FieldDecoder(Decoder):
    """A decoder whose outputs are the dense fields; its entities are a choice of regions where their scorer has learnt,
    else a watershed's.
    """

    fields = FIELDS

    def __init__(self, options: Dense) -> None:
        super().__init__()
        self.options = options
        self.scorer = RegionScorer() if options.regions else None

    def adopt(self, options: Dense) -> None:
        """Take new options of the same network; a scorer of regions is made or dropped as they say."""
        self.options = options
        if options.regions != (self.scorer is not None):
            self.scorer = RegionScorer() if options.regions else None

    def begin_scorer(self) -> RegionScorer:
        """A fresh scorer of regions takes the place of the present one; it counts as fitted, so that regions are
        proposed.
        """
        self.scorer = RegionScorer().to(next(self.parameters()).device)
        self.scorer.fitted.fill_(1)
        return self.scorer

    @property
    def by_regions(self) -> bool:
        """Whether entities are chosen among regions, by a scorer that was fitted. A member of a mixture may do without
        the one that others have."""
        return self.options.regions and self.scorer is not None and bool(self.scorer.fitted.item())

    @property
    def proposals(self) -> Proposals:
        """Regions where their scorer has learnt, else the watershed, whose basins merge as the options say."""
        if self.scorer is not None and self.by_regions:
            return RegionChoice(self.options, self.scorer)
        return RimMerging(self.options) if self.options.merging == "rims" else Watershed(self.options)


class DenseDecoder(FieldDecoder):
    """Fields from a feature pyramid and the image.

    forward: features, one (B, D, h, w) per tap; images (B, 3, H, W) in [0, 1], H and W multiples of 8
    -> {"foreground", "boundary_distance", "centre_distance", "boundary": (B, 1, H, W) logits,
        "embedding": (B, E, H, W) when asked for}.
    """

    def __init__(self, options: Dense, backbone_dim: int, taps: int) -> None:
        super().__init__(options)
        full, half, quarter, eighth = (options.width * factor for factor in (1, 2, 4, 8))
        self.norms = nn.ModuleList(GroupNorm(1, backbone_dim) for _ in range(taps))
        self.tokens = nn.Conv2d(taps * backbone_dim, eighth, 1)
        if options.detail:
            self.stem = block(3, full)
            self.down = nn.ModuleList(
                nn.Sequential(block(fine, coarse, stride=2), Residual(coarse))
                for fine, coarse in ((full, half), (half, quarter), (quarter, eighth))
            )
        self.bottom = nn.Sequential(Residual(eighth), Residual(eighth))
        self.up = nn.ModuleList(
            nn.Conv2d(coarse, fine, 1) for coarse, fine in ((eighth, quarter), (quarter, half), (half, full))
        )
        self.join = nn.ModuleList((Residual(quarter), Residual(half), block(full, full)))
        self.head = nn.Conv2d(full, len(FIELDS) + options.embedding_dim, 1)
        convert_conv2d_weight_memory_format(self, torch.channels_last)  # a processor convolves so in 2/3 of the time

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Logits (B, 1, H, W) of each field, and the `embedding` where it has one. images: (B, 3, H, W) in [0, 1]."""
        return self.upwards(self.on_grid(features, images), self.details(images))

    def on_grid(self, features: Sequence[Tensor], images: Tensor) -> Tensor:
        """(B, 8 width, H/8, W/8) of features, one (B, D, h, w) per tap, of images (B, 3, H, W)."""
        grid = (images.shape[-2] // 8, images.shape[-1] // 8)
        taps = (tap.contiguous(memory_format=torch.channels_last) for tap in features)
        tokens = torch.cat([norm(tap) for norm, tap in zip(self.norms, taps, strict=True)], 1)
        return resize(self.tokens(tokens), grid)

    def pyramid(self, features: Sequence[Tensor], images: Tensor) -> list[Tensor]:
        """What goes up, before it comes to full resolution: 8, 8 and 4 times the width in channels at strides 8, 4 and
        2 of images (B, 3, H, W), where each of the finer two stands beside what the image says at that stride.
        """
        x, details = self.on_grid(features, images), self.details(images)
        levels = [x := self.bottom(x + details.pop() if details else x)]
        for up, join in list(zip(self.up, self.join, strict=True))[:2]:
            x = up(x)
            x = resize(x, (x.shape[-2] * 2, x.shape[-1] * 2))
            seen = details[-1:]
            x = join(x + details.pop() if details else x)
            levels.append(torch.cat([x, *seen], 1))
        return levels

    def upwards(self, x: Tensor, details: list[Tensor]) -> dict[str, Tensor]:
        """The outputs at full resolution, of x (B, 8 width, H/8, W/8), what is seen at a glance, and of `details`,
        which are used up.
        """
        x = self.bottom(x + details.pop() if details else x)
        for up, join in zip(self.up, self.join, strict=True):
            x = up(x)
            x = resize(x, (x.shape[-2] * 2, x.shape[-1] * 2))
            x = join(x + details.pop() if details else x)
        x = self.head(x)  # (B, fields, H, W)
        outputs = {name: x[:, i : i + 1] for i, name in enumerate(FIELDS)}
        if self.options.embedding_dim:
            outputs["embedding"] = x[:, len(FIELDS) :]
        return outputs

    def details(self, images: Tensor) -> list[Tensor]:
        """Of images (B, 3, H, W) in [0, 1] at strides 1, 2, 4 and 8, or none at all."""
        if not self.options.detail:
            return []
        pixels = ((images - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
        details = [self.stem(pixels)]
        for down in self.down:
            details.append(down(details[-1]))
        return details


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity, (B, C, h, w) to the same (He et al., https://arxiv.org/abs/1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = block(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), GroupNorm(gcd(8, channels), channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of x (B, C, H, W): x and what two convolutions add."""
        return F.relu(x + self.second(self.first(x)), inplace=True)


def block(fan_in: int, fan_out: int, stride: int = 1) -> nn.Module:
    """ReLU, not GELU: at full resolution GELU alone takes as long as half a convolution."""
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False),
        GroupNorm(gcd(8, fan_out), fan_out),
        nn.ReLU(inplace=True),
    )


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, *size) of x (B, C, H, W), bilinear; x itself where it has that size."""
    if x.shape[-2:] == torch.Size(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
