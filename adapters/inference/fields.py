"""A scene's fields from windows of one size on a lattice that is anchored at the scene's corner.

What a transformer says of a pixel depends on the whole window around it, so the windows lie where the scene says,
wherever the tile that is decoded begins and however large it is: the tiling of a scene changes nothing but where
decoded entities are stitched. Neighbouring windows share a rim, over which the one's fields fade into the other's.
Blending by a window function: Pielawski and Wahlby, PLOS ONE 15(3), e0229839 (2020),
https://doi.org/10.1371/journal.pone.0229839; theirs overlap by half, which costs four looks at every pixel and is no
better here (docs/experiments/speed.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from adapters.network import ONE_VIEW, EntitySegmenter, Output, Views, to_tensor
from domains.crops.crops import mirrored
from domains.errors import InputError
from domains.scenes import Scene
from domains.tiling.grid import Window, Windows

AT_ONCE_PX = {"cpu": 2**17}
"""Pixels of windows that go through the network together, by device; a processor is no faster with more."""
AT_ONCE_ELSEWHERE_PX = 2**19
NOTHING = -30.0  # the logit of a field where nothing was looked for: no foreground
KEPT_BYTES = 96 * 2**20  # of windows that a later tile needs again


@dataclass(frozen=True)
class Lattice:
    """The windows of a scene of `shape` (height, width): squares of `side` px; the last may reach beyond it."""

    shape: tuple[int, int]
    side: int

    @property
    def rim(self) -> int:
        """Pixels that neighbours share: a twelfth of the side, even. More cost time and gave nothing."""
        return max(2, self.side // 24 * 2)

    @property
    def step(self) -> int:
        """Pixels from one window's corner to the next one's."""
        return self.side - self.rim

    def touching(self, tile: Window) -> list[Window]:
        """The windows that hold a pixel of the tile, row by row; some reach beyond the scene."""
        rows = self._starts(tile.y, tile.height, self.shape[0])
        columns = self._starts(tile.x, tile.width, self.shape[1])
        return [Window(y, x, self.side, self.side) for y in rows for x in columns]

    def _starts(self, start: int, length: int, scene: int) -> range:
        final = max(0, -(-(scene - self.rim) // self.step) - 1)
        least = max(0, (start - self.side) // self.step + 1)
        return range(least * self.step, min(final, (start + length - 1) // self.step) * self.step + 1, self.step)

    def core(self, window: Window) -> Window:
        """The pixels that are the window's more than a neighbour's. Cores cover the scene, side by side."""
        (y, height), (x, width) = (self._core(*axis) for axis in zip(window[:2], self.shape, strict=True))
        return Window(y, x, height, width)

    def _core(self, start: int, scene: int) -> tuple[int, int]:
        """(first pixel, length) of the core of a window that begins at `start`, along an axis of so many pixels."""
        begin = start + self.rim // 2 if start else 0
        end = scene if start + self.side >= scene else start + self.side - self.rim // 2
        return begin, end - begin

    def cores(self) -> Windows:
        """The cores of all windows, row by row."""
        down, across = ([self._core(start, scene) for start in self._starts(0, scene, scene)] for scene in self.shape)
        return Windows(down, across)

    def weights(self) -> Tensor:
        """(side, side) in (0, 1], by which a window's fields count; over a shared rim those of both sum to 1."""
        rising = ((torch.arange(self.side) + 0.5) / max(self.rim, 1)).clamp(max=1)
        rising = torch.minimum(rising, rising.flip(0))
        return rising[:, None] * rising


@dataclass(frozen=True)
class Surroundings:
    """A tile of a scene with the lattice's windows that touch it.

    image: (h, w, C) uint8 that holds all of them, mirrored beyond the scene's border, whose corner lies at `corner`
    (y, x) of the scene. windows: those that are worth looking at, in pixels of the scene.
    """

    image: np.ndarray
    corner: tuple[int, int]
    tile: Window
    windows: list[Window]

    def of(self, window: Window) -> np.ndarray:
        """The pixels of a window (side, side, C)."""
        return self.image[self.place(window)]

    def place(self, window: Window) -> tuple[slice, slice]:
        """Where a window of the scene lies in the image."""
        y, x = window.y - self.corner[0], window.x - self.corner[1]
        return slice(y, y + window.height), slice(x, x + window.width)


def surroundings(
    scene: Scene, tile: Window, lattice: Lattice, worth: Callable[[Window], bool] = lambda window: True
) -> Surroundings:
    """Read a tile of the scene with the windows around it. worth: whether a part of the scene is worth looking at,
    asked of the core of every window.
    """
    windows = lattice.touching(tile)
    (y0, x0), last = windows[0][:2], windows[-1]
    height, width = scene.shape
    rows = mirrored(np.arange(y0, last.y + last.height), height)
    columns = mirrored(np.arange(x0, last.x + last.width), width)
    y, x = int(rows.min()), int(columns.min())
    read = scene.read(y, x, int(rows.max()) + 1 - y, int(columns.max()) + 1 - x)
    worthy = [window for window in windows if worth(lattice.core(window))]
    return Surroundings(read[np.ix_(rows - y, columns - x)], (y0, x0), tile, worthy)


@dataclass
class Seen:
    """Fields (F, side, side) of windows that a later tile needs again, the latest ones up to `KEPT_BYTES`.

    Batches are all of one size, and in those what the network says of a window does not depend on the others, so a
    prediction that is stopped and goes on without them comes to the same, to the bit.
    """

    of_window: dict[Window, Tensor] = field(default_factory=dict)

    def keep(self, window: Window, fields: Tensor) -> None:
        """Remember a window's fields, and forget the oldest ones for it where they are too many."""
        self.of_window[window] = fields.clone()  # not a view, which would hold its whole batch
        while len(self.of_window) * fields.nbytes > KEPT_BYTES:
            del self.of_window[next(iter(self.of_window))]


def fields(
    segmenter: EntitySegmenter,
    around: Surroundings,
    lattice: Lattice,
    views: Views = ONE_VIEW,
    seen: Seen | None = None,
    again: Callable[[Window], bool] = lambda window: False,
) -> Output:
    """The decoder's fields of the tile, each (1, 1, h, w) logits on the CPU; `NOTHING` where no window was looked at.

    seen: what is known of windows already, and takes those that are wanted `again`. Raises InputError for a decoder
    that has no fields.
    """
    names, side = segmenter.decoder.fields, lattice.side
    if not names:
        raise InputError(f"window_px is {side}: only decoder.name=dense has fields to average; leave it out")
    multiple = int(np.lcm(segmenter.backbone.stride, 8))
    if side % multiple:
        raise InputError(f"window_px is {side}: {segmenter.backbone.name} wants a multiple of {multiple}")
    seen = Seen() if seen is None else seen
    weight, weights = lattice.weights(), torch.zeros(around.image.shape[:2])
    total = torch.zeros((len(names), *weights.shape))
    for window, logits in _of_windows(segmenter, around, views, seen):
        rows, columns = around.place(window)
        total[:, rows, columns] += logits * weight
        weights[rows, columns] += weight
        if again(window):
            seen.keep(window, logits)
    rows, columns = around.place(around.tile)
    weights = weights[rows, columns]
    mean = torch.where(weights > 0, total[:, rows, columns] / weights, torch.full((), NOTHING))
    outputs = {name: mean[i : i + 1, None] for i, name in enumerate(names)}
    return Output(outputs, 0, (around.tile.height, around.tile.width))


def _of_windows(
    segmenter: EntitySegmenter, around: Surroundings, views: Views, seen: Seen
) -> Iterator[tuple[Window, Tensor]]:
    """(window, fields (F, side, side)): those that are known, then the others as the network gives them."""
    new = []
    for window in around.windows:
        if (logits := seen.of_window.pop(window, None)) is None:
            new.append(window)
        else:
            yield window, logits
    if not new:
        return
    at_once = max(1, AT_ONCE_PX.get(segmenter.device.type, AT_ONCE_ELSEWHERE_PX) // (new[0].height * new[0].width))
    for start in range(0, len(new), at_once):
        batch = new[start : start + at_once]
        images = [to_tensor(around.of(window)) for window in batch]
        images += images[-1:] * (at_once - len(images))  # its size decides how sums are blocked, so their last bits
        outputs = segmenter.predicted(torch.stack(images), views)
        stacked = torch.cat([outputs[name] for name in segmenter.decoder.fields], 1)  # (B, F, side, side)
        yield from zip(batch, stacked, strict=False)
