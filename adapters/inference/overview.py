"""The whole scene beside its tiles: a smaller copy, looked at once, that has a say in what large entities are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adapters.inference.fields import Lattice, fields, surroundings
from adapters.network import EntitySegmenter, Output, Views
from adapters.options.contract import ContextOptions
from domains.entities import EntityMap
from domains.errors import InputError
from domains.scenes import Photograph, Scene
from domains.scenes.resampled import Resampled
from domains.tiling.grid import Window
from domains.tiling.views import Overview, of_both

STRIP_PX = 2**22
"""Pixels of the scene that are read at once for its copy."""
BOUNDARY = "boundary"


class Placed(NamedTuple):
    """A tile's image (h, w, C), and where it lies."""

    window: Window
    image: np.ndarray


class SceneOverview:
    """A scene of `shape` (height, width) at the network's pixel size, as its tiles are decided with.

    scene: at its own pixel size, coloured as the network sees it; factor: to that of the network. side: of the windows
    by which the copy is seen, tile_px: of a tile, both at the network's pixel size.
    """

    def __init__(
        self, scene: Scene, factor: float, options: ContextOptions, tile_px: int, side: int, views: Views
    ) -> None:
        shape = Resampled(scene, factor).shape
        longest = max(shape)
        self.shape, self.side, self.views = shape, side, views
        self.large_px = options.large_share * tile_px
        self.copy = Resampled(scene, factor * min(options.side_px, longest // 2) / longest)
        self._view: Overview | None = None

    def view(self, segmenter: EntitySegmenter) -> Overview:
        """What the network says of the copy; it is asked once. Raises InputError for a decoder without a boundary."""
        if self._view is None:
            if BOUNDARY not in segmenter.decoder.fields:
                raise InputError("context wants decoder.name=dense, whose fields can be averaged; leave it out")
            multiple = int(np.lcm(segmenter.backbone.stride, 8))
            copy = Photograph(read_by_strips(self.copy))
            lattice = Lattice(copy.shape, max(multiple, self.side // multiple * multiple))
            around = surroundings(copy, Window(0, 0, *copy.shape), lattice)
            output = fields(segmenter, around, lattice, self.views)
            ids = segmenter.decoder.proposals.entities(*output).ids
            self._view = Overview(ids, boundary_of(output), self.shape, self.large_px)
        return self._view

    def entities(self, segmenter: EntitySegmenter, output: Output, tile: Window) -> EntityMap:
        """The entities of a tile, by both views."""
        view, alone = self.view(segmenter), segmenter.decoder.proposals.entities(*output)
        return of_both(alone, boundary_of(output), view, tile.y, tile.x)


def boundary_of(output: Output) -> np.ndarray:
    """(H, W) float32 in [0, 1]: the boundary scores of an image of a batch."""
    outputs, index, (height, width) = output
    return outputs[BOUNDARY][index, 0, :height, :width].float().sigmoid().numpy()


def read_by_strips(scene: Resampled) -> np.ndarray:
    """(H, W, C) of a scene that is made smaller; what is read for it is never held whole."""
    height, width = scene.shape
    copy = np.empty((height, width, len(scene.channels)), scene.dtype)
    rows = max(1, int(STRIP_PX / (scene.source[1] * scene.scales[0])))
    for y in range(0, height, rows):
        copy[y : y + rows] = scene.read(y, 0, min(rows, height - y), width)
    return copy
