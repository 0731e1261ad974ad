"""The student: a small convolutional network that gives the fields of an adapter's decoder without its backbone.

A fitted adapter is distilled into it (`adapters.training.distilling`), and `--fast` predicts by it. A U-Net whose
finest floor is at stride 2: pixels go in as squares of two by two and come out as such, so that nothing is convolved at
full resolution, where a plain U-Net spends most of its time. Batch norm while it learns, folded into the convolutions
after. What is decoded, from the fields on, is as for the adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.nn.utils.fusion import fuse_conv_bn_eval

from adapters.decoders.dense import FIELDS, Dense, FieldDecoder
from adapters.network import EntitySegmenter

if TYPE_CHECKING:
    from adapters.backbones import Backbone

WIDTHS = (32, 64, 96, 160)
"""Channels at strides 2, 4, 8 and 16."""
DEPTHS = (1, 1, 2)
"""Residual blocks at strides 4, 8 and 16 on the way down."""


class Student(EntitySegmenter):
    """A segmenter of which all is the decoder: images (B, C, H, W) in [0, 1], H and W multiples of 8, to fields."""

    def __init__(self, options: Dense, channels: int = 3) -> None:
        """options: of the decode, as the adapter's decoder has them; channels: C, of what the adapter sees."""
        super().__init__(no_backbone("the student"), StudentDecoder(options, channels))

    @property
    def channels(self) -> int:
        """The number of channels of the images that it takes."""
        return self.student_decoder.channels

    @property
    def student_decoder(self) -> StudentDecoder:
        """Its decoder, typed as what it is."""
        assert isinstance(self.decoder, StudentDecoder)
        return self.decoder

    def folded(self) -> Self:
        """The student itself, to be used and no longer to learn: norms are in the convolutions."""
        fold(self.decoder)
        return self.eval()


class NoBackbone(nn.Module):
    """Stands in a segmenter that has no backbone: it gives no features, and has of a backbone what is asked of one that
    predicts. stride: what the sides of images must be multiples of.
    """

    attends_px: int | None = None

    def __init__(self, name: str, stride: int = 8) -> None:
        super().__init__()
        self.stride, self.name = stride, name

    def forward(self, images: Tensor) -> list[Tensor]:
        """No taps, of images (B, C, H, W)."""
        return []


def no_backbone(name: str, stride: int = 8) -> Backbone:
    """A `NoBackbone` in the place of a backbone."""
    return cast("Backbone", NoBackbone(name, stride))


class StudentDecoder(FieldDecoder):
    """forward: no features; images (B, C, H, W) in [0, 1], H and W even -> the dense fields (B, 1, H, W) in logits."""

    def __init__(self, options: Dense, channels: int = 3) -> None:
        super().__init__(options)
        self.channels = channels
        finest = WIDTHS[0]
        self.stem = Normalised(4 * channels, finest)
        self.down = nn.ModuleList(
            nn.Sequential(Normalised(fine, coarse, 2), nn.ReLU(inplace=True), *(Residual(coarse) for _ in range(depth)))
            for fine, coarse, depth in zip(WIDTHS[:-1], WIDTHS[1:], DEPTHS, strict=True)
        )
        self.up = nn.ModuleList(
            nn.Conv2d(coarse, fine, 1) for coarse, fine in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True)
        )
        self.join = nn.ModuleList(
            (Residual(WIDTHS[2]), nn.Identity(), nn.Sequential(Normalised(finest, finest), nn.ReLU(inplace=True)))
        )
        self.head = nn.Conv2d(finest, 4 * len(FIELDS), 3, padding=1)
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        """The fields, by name; features: none are looked at."""
        pixels = F.pixel_unshuffle((images - 0.5) / 0.25, 2)  # (B, 4 C, H/2, W/2)
        x = F.relu(self.stem(pixels.contiguous(memory_format=torch.channels_last)), inplace=True)
        floors = []
        for down in self.down:
            floors.append(x)
            x = down(x)  # to (B, 160, H/16, W/16)
        for up, join in zip(self.up, self.join, strict=True):
            finer = floors.pop()
            x = F.interpolate(up(x), scale_factor=2)  # nearest: a pixel stays where it is, whatever the sides
            x = join(x[..., : finer.shape[-2], : finer.shape[-1]] + finer)
        x = F.pixel_shuffle(self.head(x), 2)  # (B, fields, H, W)
        return {name: x[:, i : i + 1] for i, name in enumerate(FIELDS)}


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity, (B, C, h, w) to the same (He et al., https://arxiv.org/abs/1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = Normalised(channels, channels), Normalised(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) of x (B, C, h, w): x and what two convolutions add."""
        return F.relu(x + self.second(F.relu(self.first(x), inplace=True)), inplace=True)


class Normalised(nn.Module):
    """A 3 x 3 convolution and its batch norm (Ioffe and Szegedy, https://arxiv.org/abs/1502.03167)."""

    def __init__(self, fan_in: int, fan_out: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(fan_out, momentum=0.05)

    def forward(self, x: Tensor) -> Tensor:
        """(B, fan_out, h, w) of x (B, fan_in, H, W)."""
        return self.norm(self.convolution(x))

    def folded(self) -> nn.Conv2d:
        """One convolution that gives the same, by the norm's running statistics."""
        return fuse_conv_bn_eval(self.convolution.eval(), self.norm.eval())


def fold(module: nn.Module) -> None:
    """Put the norms below a module into their convolutions."""
    for name, child in module.named_children():
        if isinstance(child, Normalised):
            setattr(module, name, child.folded())
        else:
            fold(child)
