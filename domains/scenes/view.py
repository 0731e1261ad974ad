"""From a scene's channels to the RGB that a network wants, said once and explicitly.

A `View` maps the values of any window to (h, w, 3) uint8. It is made for a whole scene (a stretch must not change from
tile to tile) and knows nothing of windows. Another choice of bands, indices or stretch is another View; `Viewed` puts
it on a scene, which stays a scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, product
from math import isqrt, prod
from typing import Protocol

import numpy as np

from domains.bands import RGB
from domains.errors import InputError
from domains.scenes.decode import MAX_PIXELS
from domains.scenes.georeference import Georeference
from domains.scenes.scene import Photograph, Scene, read_whole
from domains.scenes.stretch import apply_stretch, stretch_limits
from domains.scenes.validity import ALPHA, SHOWN, Validity

SAMPLE_PIXELS = 2**24  # of which percentiles are taken
SAMPLE_BYTES = 12 * SAMPLE_PIXELS  # three float bands of that many; of more bands, fewer pixels
SAMPLE_WINDOWS = 16  # about as many share the pixels of a sample of a scene without small levels


class View(Protocol):
    """What is shown of a scene. `Stretched` is the plain one."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that come out."""
        ...

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(h, w, C) as the scene stores it to (h, w, len(self.channels)) uint8. A pure function of each pixel."""
        ...

    @property
    def validity(self) -> Validity:
        """Where the scene has data; elsewhere `Viewed` shows 0."""
        ...

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was assumed of the scene to show it so."""
        ...


ViewMaker = Callable[[Scene], View]


@dataclass(frozen=True)
class Stretched:
    """Three channels by index (one may stand thrice), each `low..high` to 0..255, nodata and what is not finite to 0.

    limits: (low, high) per channel; None passes uint8 on as it is.
    """

    indices: tuple[int, int, int]
    limits: tuple[tuple[float, float], ...] | None = None
    validity: Validity = Validity()
    channels: tuple[str, ...] = RGB
    remarks: tuple[str, ...] = ()

    def __call__(self, values: np.ndarray) -> np.ndarray:
        # picking by a list copies, and leaves channels first in memory: half the time of reading a tile
        chosen = values[..., :3] if self.indices == (0, 1, 2) else values[..., list(self.indices)]
        if self.limits is None:
            return chosen
        channels = [
            apply_stretch(chosen[..., i], *limits, self.validity.nodata) for i, limits in enumerate(self.limits)
        ]
        return np.stack(channels, axis=-1)


def plain_view(scene: Scene, indices: Sequence[int] | None = None, per_channel: bool | None = None) -> Stretched:
    """Red, green and blue where channels are named so, else the first three, or of fewer the first thrice.

    8-bit values stay. Of others the 0.1 to 99.9 percentile range of what is valid becomes 0..255: one range for red,
    green and blue, whose balance is their colour, and for other channels a range each, since a stain may be sixty times
    as bright as its neighbour. per_channel: says which, in place of that rule. The range is taken from the whole scene
    where that has up to 16 M pixels, else from its coarsest level with that many or from windows spread evenly over
    it. Raises InputError where nothing is valid.
    """
    count = len(scene.channels)
    chosen = tuple(indices) if indices is not None else rgb_indices(scene.channels)
    if len(chosen) != 3 or not all(0 <= index < count for index in chosen):
        raise InputError(f"channels are {list(chosen)}; wanted three numbers from 0 to {count - 1}")
    red, green, blue = chosen
    colours = tuple(scene.channels[index] for index in chosen) == RGB
    remarks = () if colours or indices is not None else (which_channels(scene),) if count_of_bands(scene) > 1 else ()
    validity = Validity.of(scene.dtype, scene.nodata, scene.channels)
    if scene.dtype == np.uint8:
        return Stretched((red, green, blue), None, validity, remarks=remarks)
    bands = chosen if validity.alpha is None else (*chosen, validity.alpha)
    values = sample_values(scene, bands)
    if validity.alpha is not None:
        values = values[validity._replace(alpha=3).pixels(values), :3]
    undeclared = None if validity.nodata is not None else undeclared_nodata(values)
    if undeclared is not None:
        validity, remarks = validity._replace(nodata=undeclared), (*remarks, UNDECLARED)
    apart = not colours if per_channel is None else per_channel
    try:
        together = values if len({*chosen}) > 1 else values[..., 0]
        samples = [values[..., i] for i in range(3)] if apart else [together] * 3
        limits = tuple(stretch_limits(sample, validity.nodata) for sample in samples)
    except ValueError as error:
        raise InputError(f"a scene of {scene.dtype}: {error}; leave the file out or export it again") from error
    return Stretched((red, green, blue), limits, validity, remarks=remarks)


FIRST_FRAMES = 8
"""Of a clip, from which its view is made."""


@dataclass(frozen=True)
class FramesView:
    """One view for the frames of a clip that are not of 8 bits, so that none is stretched by itself and brightness does
    not flicker. view: None where the first frames are of 8 bits, which stay as they are; dtype, channels: of those that
    it is for.
    """

    view: View | None = None
    dtype: np.dtype = np.dtype(np.uint8)
    channels: tuple[str, ...] = ()

    def of(self, scene: Scene) -> View | None:
        """The view for a frame; None for one of another kind, which has its own."""
        return self.view if (scene.dtype, scene.channels) == (self.dtype, self.channels) else None

    @classmethod
    def of_frames(cls, frames: Iterable[Scene], make: ViewMaker = plain_view) -> FramesView:
        """From the first `FIRST_FRAMES`, or as many as 16 M values have, up to one that is damaged or too large, which
        is told when it is read. frames: from the clip's first on, which are closed here. Raises InputError as `make`
        does.
        """
        values: list[np.ndarray] = []
        head: Scene | None = None
        for scene in islice(frames, FIRST_FRAMES):
            with closing(scene):
                kind = (scene.dtype, scene.channels, scene.shape)
                if scene.dtype == np.uint8 or (head is not None and kind != (head.dtype, head.channels, head.shape)):
                    break
                if prod(scene.shape) > MAX_PIXELS:
                    break
                try:
                    values.append(read_whole(scene))
                except InputError:
                    break
                head = head or scene
            if sum(map(np.size, values)) >= SAMPLE_PIXELS:
                break
        if head is None:
            return cls()
        joined = Photograph(np.concatenate(values), head.pixel_size_m, head.channels, head.nodata)
        joined.descriptions = head.descriptions
        return cls(make(joined), head.dtype, head.channels)


UNDECLARED = "its lowest value lies far from all others and is taken for no data, though the file does not say so"
FAR = 4
"""How many times the range of the other values the lowest one must lie below them to be taken for no data."""


def undeclared_nodata(values: np.ndarray) -> float | None:
    """The lowest value where it is negative, alone and far below all others, as -9999 and -32768 are of rasters whose
    maker did not declare it; None where no value is so, or one is seen only here and there.
    """
    if values.dtype.kind not in "if":
        return None
    valid = values[Validity().values(values)]
    if not valid.size or (lowest := valid.min()) >= 0:
        return None
    higher = valid[valid != lowest]
    if not higher.size or (valid.size - higher.size) < 1e-3 * valid.size:
        return None
    low, high = np.percentile(higher[:: 1 + higher.size // 2**22], (0, 100)).astype(float)
    return float(lowest) if low - float(lowest) > FAR * (high - low) > 0 else None


def which_channels(scene: Scene) -> str:
    """That some channels of a scene are not shown, or are shown as colours that they do not say they are."""
    bands = count_of_bands(scene)
    if bands == 2:
        return "of two channels the first is shown; domain.bands chooses others"
    channels = "the first three of its channels" if bands > 3 else "its three channels"
    return f"{channels} are shown as red, green and blue; domain.bands chooses others"


def count_of_bands(scene: Scene) -> int:
    """Channels of a scene without alpha."""
    return sum(name != ALPHA for name in scene.channels)


def rgb_indices(channels: Sequence[str]) -> tuple[int, ...]:
    """Red, green and blue by their names; without these the first three, or of fewer the first thrice; alpha is none of
    them.
    """
    if {*RGB} <= {*channels}:
        return tuple(channels.index(name) for name in RGB)
    bands = [i for i, name in enumerate(channels) if name != ALPHA] or [0]
    return tuple(bands[:3]) if len(bands) >= 3 else (bands[0],) * 3


def sample_values(scene: Scene, bands: Sequence[int] | None = None) -> np.ndarray:
    """(h, w, C) values of the whole scene, or (n, C) of windows spread evenly over it, C all channels or those of
    `bands`; about 16 M pixels and `SAMPLE_BYTES` at most.
    """
    count = len(scene.channels) if bands is None else len(bands)
    pixels = min(SAMPLE_PIXELS, SAMPLE_BYTES // (count * scene.dtype.itemsize))
    for level, (height, width) in enumerate(scene.levels):
        if height * width <= pixels:
            return read_whole(scene, level, bands)
    level = len(scene.levels) - 1
    height, width = scene.levels[level]
    side = isqrt(pixels // SAMPLE_WINDOWS)
    tall, wide = min(side, height), min(side, width)
    per_side = max(1, isqrt(pixels // (tall * wide)))
    kept = slice(None) if bands is None else list(bands)
    values = np.empty((per_side**2, tall * wide, count), scene.dtype)
    corners = product(np.linspace(0, height - tall, per_side), np.linspace(0, width - wide, per_side))
    for window, (y, x) in zip(values, corners, strict=True):
        window[:] = scene.read(round(y), round(x), tall, wide, level)[..., kept].reshape(-1, count)
    return values.reshape(-1, count)


class Viewed:
    """A scene seen through a view: the same levels, georeference and pixel size, its windows uint8.

    Where the scene has no data it is 0 in every channel, and nowhere else: nodata is 0, or None where there may be no
    such pixel.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, scene: Scene, view: View) -> None:
        self.scene, self.view = scene, view
        self.channels = view.channels
        self.nodata = SHOWN.nodata if view.validity.declared else None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the scene in pixels."""
        return self.scene.shape

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each level of the scene: a view changes values and no place."""
        return self.scene.levels

    @property
    def pixel_size_m(self) -> float | None:
        """Metres of a pixel of the scene, None where unknown."""
        return self.scene.pixel_size_m

    @property
    def georeference(self) -> Georeference | None:
        """Where the scene lies on the ground, None where unknown."""
        return self.scene.georeference

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Always (): a view's channels are colours, and `channels` names them."""
        return ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """The scene's, then what the view assumed of it."""
        return (*self.scene.remarks, *self.view.remarks)

    @property
    def format(self) -> str:
        """The kind of the scene's file, for people."""
        return self.scene.format

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """(height, width, 3) uint8 of a window of the scene, 0 where it has no data."""
        values = self.scene.read(y, x, height, width, level)
        return self.view.validity.blanked(self.view(values), values)

    def close(self) -> None:
        """Closes the scene."""
        self.scene.close()
