"""Features of a frame's entities come from the pass that found them, and tell them apart."""

from __future__ import annotations

import numpy as np
import torch
from skimage.measure import label
from torch import nn

from adapters.inference.contract import InputContract
from adapters.inference.tapped import FrameTiles, pooled, segmented, tapped
from domains.entities import EntityMap
from domains.scenes import Photograph


class Mean(nn.Module):
    """A backbone of stride 8 whose features are the mean colours of its cells."""

    passes = 0

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        self.passes += 1
        return [nn.functional.avg_pool2d(images, 8)]


class Bright(nn.Module):
    """Connected bright regions, after a look through the backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Mean()

    def entities(self, images, views=None):
        self.backbone(torch.stack([torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255 for image in images]))
        return [EntityMap(np.asarray(label(image.max(2) > 100), np.int32)) for image in images]


def coloured() -> np.ndarray:
    image = np.zeros((96, 128, 3), np.uint8)
    for y, x, colour in ((8, 8, 0), (8, 80, 1), (56, 8, 0), (56, 80, 1)):
        image[y : y + 32, x : x + 32, colour] = 220
    return image


def test_entities_that_look_alike_have_features_alike_in_one_pass_over_each_tile() -> None:
    for tile_px, passes in ((128, 1), (64, 1)):
        segmenter = Bright()
        contract = InputContract(tile_px=tile_px, overlap_px=tile_px // 4)
        prediction, tiles, taps = segmented(segmenter, Photograph(coloured()), contract)
        features = pooled(taps, tiles.grid, prediction.whole_map.ids)
        assert segmenter.backbone.passes == passes and features is not None and len(features) == 4
        assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
        colours = np.array([coloured()[prediction.whole_map.ids == n].argmax(1).max() for n in range(1, 5)])
        alike = features @ features.T > 0.9
        assert np.array_equal(alike, colours[:, None] == colours)


def test_without_a_backbone_or_all_tiles_there_are_no_features() -> None:
    tiles = FrameTiles(Photograph(coloured()), InputContract(tile_px=64, overlap_px=16))
    segmenter = Bright()
    with tapped(segmenter, tiles) as taps:
        segmenter.backbone(torch.zeros(1, 3, 64, 64))
    assert pooled(taps, tiles.grid, np.ones((96, 128), np.int32)) is None
    assert pooled(None, tiles.grid, np.ones((96, 128), np.int32)) is None
