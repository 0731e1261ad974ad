"""Tokens that attend within squares of an image."""

from __future__ import annotations

import pytest
import torch

from adapters.backbones.backbone import Squares
from adapters.backbones.build import build_backbone
from adapters.options.backbone import BackboneOptions


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ((1, 3), (1, 1, 1, 3)),
        ((12, 17), (1, 1, 12, 17)),
        ((18, 16), (2, 1, 9, 16)),
        ((24, 24), (2, 2, 12, 12)),
        ((32, 40), (3, 3, 11, 14)),
        ((8, 60), (1, 5, 8, 12)),
    ],
)
def test_a_grid_is_cut_into_what_is_nearest_to_squares(grid, expected):
    squares = Squares.of(*grid, 96, 8)
    assert squares == Squares(*expected, 8)
    assert squares.are_one() == (expected[:2] == (1, 1))


def test_what_was_cut_is_joined_where_it_was():
    images = torch.arange(2 * 3 * 256 * 320, dtype=torch.float32).reshape(2, 3, 256, 320)
    squares = Squares.of(32, 40, 96, 8)
    cut = squares.cut(images)
    assert cut.shape == (18, 3, 88, 112)
    pooled = cut[:, :, ::8, ::8]
    assert torch.equal(squares.joined(pooled)[..., :32, :40], images[:, :, ::8, ::8])


def test_the_embedded_base_says_of_a_square_what_it_says_of_it_alone():
    backbone = build_backbone(BackboneOptions())
    images = torch.rand(1, 3, 192, 288)
    with torch.inference_mode():
        whole = backbone(images)
        alone = backbone(images[..., 96:, 96:192])
        backbone.attends_px = None
        attending = backbone(images)
    for feature, square, other in zip(whole, alone, attending, strict=True):
        assert feature.shape == other.shape == (1, 192, 24, 36)
        assert torch.allclose(feature[..., 12:, 12:24], square, atol=1e-4)
        assert not torch.allclose(feature, other, atol=1e-2)


def test_crops_of_the_default_fit_are_seen_whole():
    backbone = build_backbone(BackboneOptions())
    images = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        as_it_is = backbone(images)
        backbone.attends_px = None
        assert all(torch.equal(a, b) for a, b in zip(as_it_is, backbone(images), strict=True))
