"""The dense decoder: four fields at full resolution, which a watershed or a choice of regions turns into entities.

A U-Net whose lowest floor is the frozen backbone: residual convolutions on the image at strides 1, 2, 4 and 8 (the
detail branch) meet the tokens of several blocks at stride 8, and go up again to full resolution, so boundaries are as
fine as the pixels. Fields after micro-sam's AIS decoder (Archit et al., Nature Methods 2025), with a boundary channel
added. There is no cap on the number of entities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.decoders.decoder import Decoder
from adapters.proposals.proposals import Proposals
from adapters.proposals.region_choice import RegionChoice
from adapters.proposals.regions import RegionScorer
from adapters.proposals.watershed import FIELDS, Watershed


@dataclass(frozen=True)
class Dense:
    """Options of the dense decoder; the fields are what a recipe's `decoder:` section may set."""

    name: str = "dense"
    width: int = 16
    """Channels at full resolution; twice, four and eight times as many at strides 2, 4 and 8."""
    detail: bool = True
    """Convolutions on the image itself; without them boundaries are as fine as the patch."""
    embedding_dim: int = 0
    """Channels of a pixel embedding for the `embedding` loss; 0 for none."""
    foreground_threshold: float = 0.5
    """Pixels whose foreground score is above it belong to an entity."""
    seed_height: float = 0.2
    """A core must rise by this much (0 to 1) above the saddle to its neighbour to be a seed of its own."""
    smoothing_px: float = 1.0
    """Standard deviation of the Gaussian that smooths the core field before seeds are taken."""
    min_area_px: int = 12
    """Smaller entities are dropped."""
    min_score: float = 0.0
    """Entities of a lower score are dropped; the score is the mean foreground score times the height of the core."""
    regions: bool = False
    """After fitting, learn from the training images which of nested candidate regions is an entity, and take those
    instead of the watershed's (`adapters/proposals/regions.py`)."""
    least_iou: float = 0.45
    """Regions of a lower predicted IoU are dropped; their score is that IoU."""
    sure_foreground: float = 1.0
    """Those whose mean foreground score is above this are not; 1 for none such, which calibration leaves at that."""

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "foreground_threshold": (0.02, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9),
        "seed_height": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
        "smoothing_px": (0.5, 1.0, 2.0),
        "min_score": (0.0, 0.2, 0.3, 0.4, 0.5, 0.6),
        "min_area_px": (12, 40, 100),
        "least_iou": (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6),
        "sure_foreground": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    }
    """Option -> what calibration tries."""
    OF_WATERSHED: ClassVar[tuple[str, ...]] = (
        "foreground_threshold",
        "seed_height",
        "smoothing_px",
        "min_score",
        "min_area_px",
    )
    OF_REGIONS: ClassVar[tuple[str, ...]] = ("sure_foreground", "least_iou", "min_area_px")
    """Those that matter where regions are chosen, in the order in which calibration tries them: what is surely
    foreground stays whatever its IoU, so with it the least IoU matters little. These two matter nowhere else."""

    def build(self, backbone_dim: int, taps: int, stride: int) -> DenseDecoder:
        return DenseDecoder(self, backbone_dim, taps)


class DenseDecoder(Decoder):
    """Fields from a feature pyramid and the image.

    forward: features, one (B, D, h, w) per tap; images (B, 3, H, W) in [0, 1], H and W multiples of 8
    -> {"foreground", "boundary_distance", "centre_distance", "boundary": (B, 1, H, W) logits,
        "embedding": (B, E, H, W) when asked for}.
    """

    fields = FIELDS

    def __init__(self, options: Dense, backbone_dim: int, taps: int) -> None:
        super().__init__()
        self.options = options
        self.scorer = RegionScorer() if options.regions else None
        full, half, quarter, eighth = (options.width * factor for factor in (1, 2, 4, 8))
        self.norms = nn.ModuleList(nn.GroupNorm(1, backbone_dim) for _ in range(taps))
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

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        grid = (images.shape[-2] // 8, images.shape[-1] // 8)
        # contiguous: torch 2.13 on a CPU crashes in group norm's backward when a channels-last input needs no gradient
        tokens = torch.cat([norm(tap.contiguous()) for norm, tap in zip(self.norms, features, strict=True)], 1)
        x = resize(self.tokens(tokens), grid)  # (B, 8 width, H/8, W/8)
        details = self._details((images - 0.5) / 0.25)
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

    def _details(self, pixels: Tensor) -> list[Tensor]:
        """Of the image at strides 1, 2, 4 and 8, or none at all."""
        if not self.options.detail:
            return []
        details = [self.stem(pixels)]
        for down in self.down:
            details.append(down(details[-1]))
        return details

    def adopt(self, options: Dense) -> None:
        self.options = options
        if options.regions != (self.scorer is not None):
            self.scorer = RegionScorer() if options.regions else None

    @property
    def by_regions(self) -> bool:
        return self.scorer is not None and bool(self.scorer.fitted.item())

    @property
    def proposals(self) -> Proposals:
        """Regions where their scorer has learnt, else the watershed."""
        if self.scorer is not None and self.by_regions:
            return RegionChoice(self.options, self.scorer)
        return Watershed(self.options)


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity, (B, C, h, w) to the same (He et al., https://arxiv.org/abs/1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = block(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.GroupNorm(gcd(8, channels), channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


def block(fan_in: int, fan_out: int, stride: int = 1) -> nn.Module:
    """ReLU, not GELU: at full resolution GELU alone takes as long as half a convolution."""
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False),
        nn.GroupNorm(gcd(8, fan_out), fan_out),
        nn.ReLU(),
    )


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    if x.shape[-2:] == torch.Size(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
