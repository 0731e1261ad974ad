"""Tokens that attend within squares of an image."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from adapters.backbones.backbone import Squares
from adapters.backbones.build import build_backbone
from adapters.backbones.embedded_bases import FOLDERS
from adapters.options.backbone import BackboneOptions
from domains.errors import InputError


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


def test_a_copy_of_the_embedded_base_attends_as_it_does(tmp_path):
    folder = shutil.copytree(FOLDERS["entity-small"], tmp_path / "copy")
    images = torch.rand(1, 3, 192, 192)
    with torch.inference_mode():
        here, there = (build_backbone(BackboneOptions(name))(images) for name in ("entity-small", str(folder)))
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


@pytest.mark.parametrize("side", [0, -96, 96.0, "96", True, 10**9])
def test_squares_of_a_base_that_are_none_are_refused_in_one_line(tmp_path, side):
    folder = shutil.copytree(FOLDERS["entity-small"], tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "attends_px": side}))
    with pytest.raises(InputError, match="attends_px is .*; wanted an integer from 16 to 4096, or none"):
        build_backbone(BackboneOptions(str(folder)))
