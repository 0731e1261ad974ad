"""The student: the decoder of an adapter with a few convolutions in the place of its backbone.

A fitted adapter is distilled into it (`adapters.training.distilling`), and `--fast` predicts by it. In place of the
backbone's tokens it has the image's own details at stride 8, looked at once more at strides 16 and 32; the rest is the
dense decoder, which begins as the fitted one. A U-Net that began from nothing was twice as fast, and learnt in the same
time to F1 .08 below the adapter (docs/experiments/speed.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from adapters.decoders.dense import Dense, DenseDecoder, Residual, block, resize
from adapters.network import EntitySegmenter
from domains.errors import InputError

if TYPE_CHECKING:
    from adapters.backbones import Backbone

GLANCE = 128
"""Channels at strides 16 and 32."""


class Student(EntitySegmenter):
    """A segmenter of which all is the decoder: images (B, C, H, W) in [0, 1], H and W multiples of 8, to fields."""

    decoder: StudentDecoder

    def __init__(self, options: Dense, channels: int = 3) -> None:
        """options: those of the adapter's decoder; channels: C, of what the adapter sees."""
        super().__init__(no_backbone("the student"), StudentDecoder(options, channels))

    @property
    def channels(self) -> int:
        """The number of channels of the images that it takes."""
        return self.decoder.channels


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

    def to_int8(self) -> None:
        """Raises InputError: there is no linear layer to change."""
        raise InputError(f"--precision int8 is for the layers of a backbone, and {self.name} has none: leave it out")


def no_backbone(name: str, stride: int = 8) -> Backbone:
    """A `NoBackbone` in the place of a backbone."""
    return cast("Backbone", NoBackbone(name, stride))


class StudentDecoder(DenseDecoder):
    """forward: no features; images (B, C, H, W) in [0, 1], H and W multiples of 8 -> the dense fields (B, 1, H, W)."""

    def __init__(self, options: Dense, channels: int = 3) -> None:
        super().__init__(replace(options, detail=True, embedding_dim=0), 1, 1)
        del self.norms, self.tokens
        self.channels = channels
        if channels != 3:
            self.stem = block(channels, options.width)
        self.glance = Glance(8 * options.width)
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        """The fields, by name; features: none are looked at."""
        return self.upwards(*self.seen(images))

    def seen(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 8 width, H/8, W/8), what the backbone would say of the images, and their details."""
        details = self.details(images)
        return self.glance(details[-1]), details

    def begin_as(self, decoder: DenseDecoder) -> None:
        """Take the weights of a fitted decoder, those of them that are here in the same shape."""
        fresh = self.state_dict()
        fitted = {name: value for name, value in decoder.state_dict().items() if not name.startswith("scorer.")}
        alike = {name: value for name, value in fitted.items() if name in fresh and fresh[name].shape == value.shape}
        self.load_state_dict(fresh | alike)


def decoder_of(teacher: EntitySegmenter) -> DenseDecoder:
    """The decoder of a teacher, typed: a recipe that wants a student has a dense one."""
    assert isinstance(teacher.decoder, DenseDecoder)
    return teacher.decoder


@contextmanager
def glances(decoder: DenseDecoder, grid: tuple[int, int]) -> Iterator[list[Tensor]]:
    """A list to which, for the while, what the decoder makes of the backbone's tokens goes: of each batch
    (B, 8 width, *grid), on the CPU in float32.
    """
    tokens: list[Tensor] = []
    handle = decoder.tokens.register_forward_hook(lambda *of: tokens.append(resize(of[-1].float(), grid).cpu()))
    try:
        yield tokens
    finally:
        handle.remove()


class Glance(nn.Module):
    """(B, C, h, w) to the same, by way of strides 2 and 4 of it: a pixel is told of some hundred pixels around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Sequential(block(channels, GLANCE, stride=2), Residual(GLANCE))
        self.further = nn.Sequential(block(GLANCE, GLANCE, stride=2), Residual(GLANCE), Residual(GLANCE))
        self.up = nn.Conv2d(GLANCE, channels, 1)
        self.out = nn.Sequential(Residual(channels), nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, h, w)."""
        near = self.down(x)
        far = resize(self.further(near), (near.shape[-2], near.shape[-1]))
        return self.out(x + resize(self.up(near + far), (x.shape[-2], x.shape[-1])))
