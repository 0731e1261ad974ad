"""A scene: anything that windows can be read from, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from domains.scenes.georeference import Georeference

STRIP_PX = 2**21  # of all bands at once


class Scene(Protocol):
    """What prediction and evaluation read from; never the whole of it at once. `open_scene` gives one for a file.

    Windows may be read by several threads at a time.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of level 0 in pixels."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """The number type of what `read` gives."""
        ...

    @property
    def channels(self) -> tuple[str, ...]:
        """A name per channel, "" where the file gives none; `validity.ALPHA` for the one that says where data are."""
        ...

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of every level, the finest first."""
        ...

    @property
    def pixel_size_m(self) -> float | None:
        """Metres of a pixel of level 0, None where unknown."""
        ...

    @property
    def nodata(self) -> float | None:
        """The value that means "nothing was seen here", None where there is none."""
        ...

    @property
    def georeference(self) -> Georeference | None:
        """Where level 0 lies on the ground, None where unknown."""
        ...

    @property
    def descriptions(self) -> tuple[str, ...]:
        """What the file calls each channel, whatever `channels` makes of it; () where it calls them nothing."""
        ...

    @property
    def remarks(self) -> tuple[str, ...]:
        """Which reading was taken where the file allows another; the same words for all files of a kind."""
        ...

    @property
    def format(self) -> str:
        """What kind of file it is, for people."""
        ...

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """(height, width, C) as stored; y, x and size in pixels of `level`.

        A window may lie partly or wholly outside: what is there is `nodata`, or 0.
        """
        ...

    def close(self) -> None:
        """Gives back files and memory; nothing is read after it."""
        ...


class Photograph:
    """An image in memory as a scene of one level.

    image: (H, W, C) of any number type. cut_from: the file of the scene that it is a tile of, None where it is whole.
    """

    def __init__(
        self,
        image: np.ndarray,
        pixel_size_m: float | None = None,
        channels: tuple[str, ...] = (),
        nodata: float | None = None,
        georeference: Georeference | None = None,
        cut_from: Path | None = None,
        format: str = "picture",
    ) -> None:
        if image.ndim != 3 or not image.size:
            raise ValueError(f"a photograph wants (H, W, C) with pixels in it; got {image.shape} {image.dtype}")
        self.image = image
        self.pixel_size_m = pixel_size_m
        self.channels = channels or ("",) * image.shape[2]
        self.nodata = nodata
        self.georeference = georeference
        self.cut_from = cut_from
        self.format = format
        self.descriptions: tuple[str, ...] = ()
        self.remarks: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return self.image.shape[:2]

    @property
    def dtype(self) -> np.dtype:
        """The image's number type."""
        return self.image.dtype

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """The image's own size alone: a photograph has no smaller copies."""
        return (self.shape,)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """As `Scene.read`; a view of the image where the window lies inside. Raises ValueError for a level above 0."""
        check_level(level, self.levels)
        inside, window = clipped(y, x, height, width, self.shape)
        if inside == (slice(0, height), slice(0, width)):
            return self.image[window]
        padded = np.full((height, width, self.image.shape[2]), self.nodata or 0, self.dtype)
        padded[inside] = self.image[window]
        return padded

    def close(self) -> None:
        """Does nothing: no file is open."""


def read_whole(scene: Scene, level: int = 0, bands: Sequence[int] | None = None) -> np.ndarray:
    """(H, W, C) of a level, C all channels or those of `bands`; read by strips of rows, so that of many bands, or
    behind a view, no more than the result is held.
    """
    height, width = scene.levels[level]
    kept = slice(None) if bands is None else list(bands)
    result = np.empty((height, width, len(scene.channels) if bands is None else len(bands)), scene.dtype)
    rows = max(1, STRIP_PX // width)
    for y in range(0, height, rows):
        tall = min(rows, height - y)
        result[y : y + tall] = scene.read(y, 0, tall, width, level)[..., kept]
    return result


def clipped(
    y: int, x: int, height: int, width: int, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of a window that lies inside `shape`: where it is in the window, and where in the whole. Both may be
    empty.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a window wants 1 px or more each way; got {height} x {width}")
    top, left = min(max(y, 0), shape[0]), min(max(x, 0), shape[1])
    bottom, right = max(min(y + height, shape[0]), top), max(min(x + width, shape[1]), left)
    inside = slice(top - y, bottom - y), slice(left - x, right - x)
    if top == bottom or left == right:
        inside = slice(0, 0), slice(0, 0)
        return inside, inside
    return inside, (slice(top, bottom), slice(left, right))


def check_level(level: int, levels: tuple[tuple[int, int], ...]) -> None:
    """Raises ValueError for a level that a scene does not have, so that none counts from the end."""
    if not 0 <= level < len(levels):
        raise ValueError(f"the scene has levels 0 to {len(levels) - 1}; got {level!r}")
