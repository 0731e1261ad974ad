"""A frame's entities with what the frozen backbone said of each, from the one pass that found them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from scipy.sparse import coo_array
from torch import Tensor

from adapters.inference.contract import InputContract
from adapters.inference.segment import FLAT, Cut, Tiles, segment_into
from adapters.network import EntitySegmenter
from domains.scenes import Scene
from domains.tiling.grid import Grid
from domains.tiling.prediction import Prediction

EVERY_PX = 2
"""Of every so many rows and columns a pixel is asked for its features; cells have a side of 8 px or more."""

MOST_TILES = 256
"""Tiles of a frame of which features are kept: a 4K frame has fewer, and a tile's are a megabyte."""


@dataclass
class Taps:
    """The deepest features of a frame's tiles: (D, h, w) float32 each, in the order of the tiles."""

    of_tiles: list[Tensor] = field(default_factory=list)


@contextmanager
def tapped(segmenter: EntitySegmenter, tiles: Tiles) -> Iterator[Taps | None]:
    """What the backbone gives while the tiles of a frame are predicted; None where it cannot be told of which tile it
    speaks (windows, a view of the whole, very many tiles), or there is none (a student, ONNX).

    Of several views of a tile the first is taken, which is the tile as it is.
    """
    if tiles.lattice is not None or tiles.overview is not None or len(tiles.grid) > MOST_TILES:
        yield None
        return
    views, taps, calls = tiles.contract.views, Taps(), [0]
    per_tile = len(views.scales) * views.symmetries

    def keep(module: object, images: object, features: list[Tensor]) -> None:
        if features and calls[0] % per_tile == 0:
            taps.of_tiles += list(features[-1].detach().float().cpu())
        calls[0] += 1

    handle = segmenter.backbone.register_forward_hook(keep)
    try:
        yield taps
    finally:
        handle.remove()


def pooled(taps: Taps | None, grid: Grid, ids: np.ndarray) -> np.ndarray | None:
    """(N, D) float32: of each entity the mean of the features of its pixels less that of the frame, of length 1; 0 for
    one that no sample hits. None where there are no features, or not of all tiles.

    ids: (H, W) of the frame's entities, 1..N; grid: of the tiles, at the network's pixel size.
    """
    if taps is None or len(taps.of_tiles) != len(grid):
        return None
    count = int(ids.max(initial=0))
    dim = len(taps.of_tiles[0])
    sums, areas = np.zeros((count + 1, dim), np.float32), np.zeros(count + 1, np.float32)
    for index, features in enumerate(islice(taps.of_tiles, len(grid))):
        window, core = grid.window(index), grid.core(index)
        y = np.arange(core.y, core.y + core.height, EVERY_PX)
        x = np.arange(core.x, core.x + core.width, EVERY_PX)
        rows = ((y + 0.5) * ids.shape[0] / grid.shape[0]).astype(int)
        columns = ((x + 0.5) * ids.shape[1] / grid.shape[1]).astype(int)
        numbers = np.maximum(ids[rows[:, None], columns], 0).ravel()
        _, high, wide = features.shape
        down = (y - window.y) * high // window.height
        across = (x - window.x) * wide // window.width
        cells = (down[:, None] * wide + across).ravel()
        shares = coo_array((np.ones(len(cells), np.float32), (numbers, cells)), (count + 1, high * wide)).tocsr()
        sums += shares @ features.flatten(1).T.numpy()
        areas += np.bincount(numbers, minlength=count + 1)
    frame = sums.sum(0) / max(float(areas.sum()), 1.0)
    means = sums[1:] / np.maximum(areas[1:, None], 1) - np.where(areas[1:, None] > 0, frame, 0)
    return (means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-6)).astype(np.float32)


class FrameTiles(Tiles):
    """The tiles of a frame, each of which goes through the network, so that features come in the order of tiles."""

    def _colour(self, pixels: object) -> bytes | None:
        return None


def segmented(
    segmenter: EntitySegmenter, scene: Scene, contract: InputContract, cut: Cut = FLAT
) -> tuple[Prediction, Tiles, Taps | None]:
    """The entities of a frame, as `segment` finds those of a scene, its tiles, and what the backbone said of these."""
    tiles = FrameTiles(scene, contract, None, cut)
    with tapped(segmenter, tiles) as taps:
        prediction = segment_into(tiles.begun(None, {}, ""), tiles, segmenter)
    return prediction, tiles, taps
