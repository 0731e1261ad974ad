"""Pixels from files: any common picture becomes (H, W, 3) uint8 RGB (label pictures: `domains.formats.label_pictures`).

What is no picture, or not the kind that was asked for, ends as one `InputError` that names the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from domains.errors import InputError
from domains.scenes import Viewed, open_scene, plain_view
from domains.scenes.decode import MAX_PIXELS, too_large
from domains.scenes.scene import read_whole
from domains.scenes.view import FramesView

NONE = FramesView()
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})


def read_image(path: Path, views: FramesView = NONE) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright: the whole of what `predict` shows the network of the file, by the same way.
    views: of the clip that it is a frame of.

    What that is, say `open_scene` (which image of a file, which plane of a stack, palettes and inks as colours, EXIF
    orientation), `plain_view` (which channels, 8-bit values as they are, others stretched) and `Viewed` (0 where there
    are no data). Alpha of a PNG is dropped, not composited: what lies under it is what a camera saw. Raises InputError,
    also for more than `decode.MAX_PIXELS`.
    """
    scene = open_scene(path)
    try:
        height, width = scene.shape
        if height * width > MAX_PIXELS:
            raise too_large(path, f"{width} x {height}")
        return np.ascontiguousarray(read_whole(Viewed(scene, views.of(scene) or plain_view(scene))))
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{str(path)!r}: {error}") from error
    finally:
        scene.close()


def read_frames(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """Each picture as `read_image` reads it, but all by one stretch where they are not of 8 bits: frames of a clip."""
    views = FramesView.of_frames(open_scene(path) for path in paths)
    for path in paths:
        yield read_image(path, views)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) to be looked at of (H, W, C): the first three channels, of two the second twice, one thrice."""
    count = image.shape[2]
    return np.ascontiguousarray(image[..., :3] if count > 2 else image[..., [0, count - 1, count - 1]])
