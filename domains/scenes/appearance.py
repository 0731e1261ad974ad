"""How an image looks in 51 numbers, by which images of one kind are told from those of another.

Colours, their spread, hues, and how strong edges and spots are from 1 to 16 px: averaged over five windows of the image
at its own size and one of all of it. Features of the embedded base instead, or beside them, told six sets of images
apart less well, and need a network (docs/experiments/method.md).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from domains.scenes.images import as_rgb
from domains.scenes.scene import Photograph, Scene
from domains.scenes.view import Viewed, plain_view

SIZE = 51
WINDOW_PX = 192
MOST_PX = 2048
"""Of the longer side; of a larger scene the square of `PIECE_PX` is looked at that has most in it."""
PIECE_PX = 1024
OVERVIEW_PX = 512
HUES = 8
HALVINGS = 4
FLAT = 1e-4  # gradients below are as of one colour


def appearance(image: np.ndarray) -> np.ndarray:
    """The (SIZE,) float32 of an image (H, W, C) uint8; of other than three channels as `as_rgb` shows it."""
    numbers: dict[tuple[int, int, int], np.ndarray] = {}
    for place, window in (placed := [*windows(as_rgb(image))]):
        if place not in numbers:
            numbers[place] = of_window(window)
    return np.mean([numbers[place] for place, _ in placed], axis=0).astype(np.float32)


def appearance_of_image(image: np.ndarray) -> np.ndarray:
    """The (SIZE,) float32 of an image (H, W, C) uint8 of any size, as of a scene that holds it."""
    return appearance_of_scene(Photograph(as_rgb(image)))


def appearance_of_scene(scene: Scene) -> np.ndarray:
    """The (SIZE,) float32 of a scene of any size. Raises InputError for one without a plain view."""
    seen = Viewed(scene, plain_view(scene))
    height, width = seen.shape
    if max(height, width) <= MOST_PX:
        return appearance(seen.read(0, 0, height, width))
    y, x = busiest(seen)
    return appearance(seen.read(y, x, min(PIECE_PX, height), min(PIECE_PX, width)))


def busiest(scene: Scene) -> tuple[int, int]:
    """First row and column of the square of `PIECE_PX` of a large scene that varies most, by its coarsest level that
    has `OVERVIEW_PX`, of scenes with one level alone by samples of it.
    """
    height, width = scene.shape
    rows, columns = (range(0, max(1, side - PIECE_PX + 1), PIECE_PX // 2) for side in (height, width))
    sharp = [level for level, size in enumerate(scene.levels) if max(size) >= OVERVIEW_PX]
    level = sharp[-1] if sharp else 0
    if level:
        overview = scene.read(0, 0, *scene.levels[level], level).astype(np.float32).mean(2)
        zoom = overview.shape[0] / height

        def look(y: int, x: int) -> np.ndarray:
            row, column = int(y * zoom), int(x * zoom)
            side = max(2, int(PIECE_PX * zoom))
            return overview[row : row + side, column : column + side]
    else:  # sixteen probes each way at most

        def look(y: int, x: int) -> np.ndarray:
            middle = (PIECE_PX - WINDOW_PX) // 2
            return scene.read(y + middle, x + middle, WINDOW_PX, WINDOW_PX).astype(np.float32).mean(2)

    def few(places: range) -> list[int]:
        return [places[i] for i in np.linspace(0, len(places) - 1, min(len(places), 16)).astype(int)]

    places = [(y, x) for y in few(rows) for x in few(columns)]
    return max(places, key=lambda place: float(np.std(look(*place))))


def windows(image: np.ndarray) -> Iterator[tuple[tuple[int, int, int], np.ndarray]]:
    """Five windows (WINDOW_PX, WINDOW_PX, 3) at the corners and in the middle, and one of all of the image: each beside
    its place, which windows of a small image share.
    """
    side = WINDOW_PX
    height, width = image.shape[:2]
    if min(height, width) < side:
        image = resized(image)
        height, width = image.shape[:2]
    for y, x in ((0, 0), (0, width - side), (height - side, 0), (height - side, width - side)):
        yield (0, y, x), image[y : y + side, x : x + side]
    overview = resized(image)
    for number, scaled in ((0, image), (0 if overview is image else 1, overview)):
        y, x = (scaled.shape[0] - side) // 2, (scaled.shape[1] - side) // 2
        yield (number, y, x), scaled[y : y + side, x : x + side]


def resized(image: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) uint8 whose shorter side is `WINDOW_PX`."""
    height, width = image.shape[:2]
    if min(height, width) == WINDOW_PX:
        return image
    zoom = WINDOW_PX / min(height, width)
    size = max(WINDOW_PX, round(width * zoom)), max(WINDOW_PX, round(height * zoom))
    how = Image.Resampling.BOX if zoom < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize(size, how))


def of_window(window: np.ndarray) -> np.ndarray:
    """The (SIZE,) float32 of a window (h, w, 3) uint8."""
    x = window.astype(np.float32) / 255
    chroma = x.max(2) - x.min(2)
    colours = [*x.mean((0, 1)), *x.std((0, 1)), chroma.mean(), chroma.std()]
    return np.array([*colours, *hues(x), *edges(x.mean(2))], np.float32)


def hues(x: np.ndarray) -> np.ndarray:
    """(HUES,) how much colour (h, w, 3) there is of each hue, the root of its mean."""
    red_green, yellow_blue = x[..., 0] - x[..., 1], (x[..., 0] + x[..., 1]) / 2 - x[..., 2]
    angle = (np.arctan2(yellow_blue, red_green) + np.pi) / (2 * np.pi)  # 0 to 1
    number = np.minimum((angle * HUES).astype(int), HUES - 1)
    amounts = np.bincount(number.ravel(), np.hypot(red_green, yellow_blue).ravel(), HUES)
    return np.sqrt(amounts / number.size)


def edges(grey: np.ndarray) -> Iterator[float]:
    """Of grey (h, w), then of its means over blocks of 2, 4, 8 and 16 px: logarithms of the mean and spread of its
    gradients across and down, and of its Laplacian the mean size, the root of the fourth power and of the third.
    """
    blocks = grey
    for halving in range(HALVINGS + 1):
        if halving:
            blocks = (blocks[::2, ::2] + blocks[1::2, ::2] + blocks[::2, 1::2] + blocks[1::2, 1::2]) / 4
        for gradient in (np.diff(blocks, axis=1), np.diff(blocks, axis=0)):
            yield float(np.log(max(FLAT, np.abs(gradient).mean())))
            yield float(np.log(max(FLAT, gradient.std())))
        middle = blocks[1:-1, 1:-1]
        laplacian = 4 * middle - blocks[:-2, 1:-1] - blocks[2:, 1:-1] - blocks[1:-1, :-2] - blocks[1:-1, 2:]
        yield float(np.abs(laplacian).mean())
        square = laplacian * laplacian
        yield float((square * square).mean() ** 0.25)
        yield float(np.cbrt((square * laplacian).mean()))
