"""A scene: anything that windows can be read from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from domains.images import read_image


class Scene(Protocol):
    """What prediction and evaluation read from; never the whole of it at once.

    shape: (height, width) of level 0. levels: (height, width) of every level, the finest first.
    pixel_size_m: of level 0, None where unknown. georeference: None where there is none.
    """

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def levels(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def pixel_size_m(self) -> float | None: ...
    @property
    def georeference(self) -> str | None: ...

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """(height, width, 3) uint8 RGB; y, x and size in pixels of `level`, inside the scene."""
        ...


class Photograph:
    """An image in memory as a scene of one level.

    image: (H, W, 3) uint8 RGB.
    """

    georeference: str | None = None

    def __init__(self, image: np.ndarray, pixel_size_m: float | None = None) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"a photograph wants (H, W, 3) uint8; got {image.shape} {image.dtype}")
        self.image = image
        self.pixel_size_m = pixel_size_m

    @classmethod
    def open(cls, path: str | Path) -> Photograph:
        """Every format that `read_image` reads; its InputError names the file."""
        return cls(read_image(Path(path)))

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape[:2]  # type: ignore[return-value]

    @property
    def dtype(self) -> np.dtype:
        return self.image.dtype

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        return (self.shape,)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        if level != 0:
            raise ValueError(f"a photograph has level 0 only; got level {level!r}")
        if min(y, x) < 0 or y + height > self.shape[0] or x + width > self.shape[1]:
            raise ValueError(f"window y {y}, x {x}, {height} x {width} leaves the photograph of {self.shape}")
        return self.image[y : y + height, x : x + width]
