"""Small images with something to recognise in every corner, and windows inside, across and outside of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from domains.scenes import Scene

WINDOWS = [(0, 0, 70, 90), (13, 21, 30, 40), (-5, -9, 20, 33), (60, 80, 40, 40), (69, 89, 1, 1), (200, 10, 5, 5)]


@pytest.fixture
def textured() -> Callable[..., np.ndarray]:
    """make(height, width, channels, dtype): (H, W, C), smooth enough to survive JPEG, every channel different."""

    def make(height: int = 70, width: int = 90, channels: int = 3, dtype: str = "uint8") -> np.ndarray:
        y, x, c = np.mgrid[:height, :width, :channels]
        waves = np.sin(y / 9 + c) + np.cos(x / 11 - c / 2) + 0.5 * np.sin((x + y) / 15)
        values = 128 + 45 * waves
        return (values * (1 if dtype == "uint8" else 37.5)).astype(dtype)

    return make


@pytest.fixture
def holds() -> Callable[..., None]:
    """check(scene, image, tolerance=0, level=0): all windows of the scene are those of the image, 0 outside."""

    def check(scene: Scene, image: np.ndarray, tolerance: float = 0, level: int = 0) -> None:
        assert scene.levels[level] == image.shape[:2]
        assert len(scene.channels) == image.shape[2] and scene.dtype == image.dtype
        margin = 300
        around = np.pad(image, ((margin, margin), (margin, margin), (0, 0)))
        for y, x, height, width in WINDOWS:
            expected = around[y + margin : y + margin + height, x + margin : x + margin + width]
            window = scene.read(y, x, height, width, level)
            assert window.shape == expected.shape and window.dtype == image.dtype
            difference = np.abs(window.astype(float) - expected.astype(float))
            assert difference.max() <= tolerance, (y, x, height, width, level)

    return check
