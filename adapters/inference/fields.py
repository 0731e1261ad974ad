"""A scene's fields from windows of one size on a lattice that is anchored at the scene's corner.

What a transformer says of a pixel depends on the whole window around it. Here every pixel's fields are the mean over
the four windows that hold it, weighted by a Hann window, so that no window's rim decides anything; and the windows lie
at multiples of half their side, wherever the tile that is decoded begins and however large it is. So the tiling of a
scene changes nothing but where decoded entities are stitched. Blending by a window function: Pielawski and Wahlby,
PLOS ONE 15(3), e0229839 (2020), https://doi.org/10.1371/journal.pone.0229839.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from adapters.network import ONE_VIEW, EntitySegmenter, Output, Views, to_tensor
from domains.crops.crops import mirrored
from domains.errors import InputError
from domains.scenes import Scene
from domains.tiling.grid import Window

AT_ONCE_PX = 2**19  # pixels of windows that go through the network together
NOTHING = -30.0  # the logit of a field where nothing was looked for: no foreground


@dataclass(frozen=True)
class Surroundings:
    """A tile of a scene with the lattice windows that touch it.

    image: (h, w, 3) uint8 from the first window's corner to the last one's end, mirrored beyond the scene's border.
    corners: (y, x) in it of the windows that are worth looking at. tile: where the tile lies in it.
    """

    image: np.ndarray
    corners: list[tuple[int, int]]
    tile: Window


def surroundings(
    scene: Scene, tile: Window, side: int, worth: Callable[[Window], bool] = lambda window: True
) -> Surroundings:
    """Read a tile of the scene with the windows around it. side: of the windows, in pixels, even. worth: whether a
    window of the scene is worth looking at.
    """
    (y0, y1), (x0, x1) = _span(tile.y, tile.height, side), _span(tile.x, tile.width, side)
    (height, width), step = scene.shape, side // 2
    rows, columns = mirrored(np.arange(y0, y1), height), mirrored(np.arange(x0, x1), width)
    y, x = int(rows.min()), int(columns.min())
    read = scene.read(y, x, int(rows.max()) + 1 - y, int(columns.max()) + 1 - x)
    corners = [
        (row, column)
        for row in range(0, y1 - y0 - step, step)
        for column in range(0, x1 - x0 - step, step)
        if worth(Window(y0 + row, x0 + column, side, side).shared(Window(0, 0, height, width)))
    ]
    inside = Window(tile.y - y0, tile.x - x0, tile.height, tile.width)
    return Surroundings(read[np.ix_(rows - y, columns - x)], corners, inside)


def _span(start: int, length: int, side: int) -> tuple[int, int]:
    """The first pixel of the first window and the end of the last, of those that touch start..start + length."""
    step = side // 2
    return ((start - side) // step + 1) * step, (start + length - 1) // step * step + side


def fields(segmenter: EntitySegmenter, around: Surroundings, side: int, views: Views = ONE_VIEW) -> Output:
    """The decoder's fields of the tile, each (1, 1, h, w) logits on the CPU; `NOTHING` where no window was looked at.

    Raises InputError for a decoder that has none.
    """
    if not segmenter.decoder.fields:
        raise InputError(f"window_px is {side}: only decoder.name=dense has fields to average; leave it out")
    multiple = int(np.lcm(segmenter.backbone.stride, 8))
    if side % multiple:
        raise InputError(f"window_px is {side}: {segmenter.backbone.name} wants a multiple of {multiple}")
    height, width = around.image.shape[:2]
    weight = hann(side)
    weights = torch.zeros((height, width))
    total = {name: torch.zeros_like(weights) for name in segmenter.decoder.fields}
    at_once = max(1, AT_ONCE_PX // side**2)
    for start in range(0, len(around.corners), at_once):
        chosen = around.corners[start : start + at_once]
        images = torch.stack([to_tensor(around.image[y : y + side, x : x + side]) for y, x in chosen])
        outputs = segmenter.predicted(images, views)
        for name, sums in total.items():
            for (y, x), values in zip(chosen, outputs[name][:, 0] * weight, strict=True):
                sums[y : y + side, x : x + side] += values
        for y, x in chosen:
            weights[y : y + side, x : x + side] += weight
    weights = weights[around.tile.slices]
    unseen = torch.full((), NOTHING)
    mean = {
        name: torch.where(weights > 0, sums[around.tile.slices] / weights, unseen)[None, None]
        for name, sums in total.items()
    }
    return Output(mean, 0, (around.tile.height, around.tile.width))


def hann(side: int) -> torch.Tensor:
    """The window's weights (side, side), above 0; those of windows half a side apart sum to 1."""
    rising = torch.sin(torch.pi * (torch.arange(side) + 0.5) / side) ** 2
    return rising[:, None] * rising
