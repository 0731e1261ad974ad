"""Masks that an annotation file holds as PNG in base64, checked before memory is taken."""

from __future__ import annotations

import base64
import binascii
import io
import zlib

import numpy as np
from PIL import Image

from domains.formats.coco_regions import FlawedRegion

HEADER = "data:image/png;base64,"
PER_PIXEL = 16  # bytes of PNG that a pixel may take; 16-bit RGBA without compression takes 8
LEAST_BYTES = 2**16  # that a PNG of any size may take
UNREADABLE = (binascii.Error, zlib.error, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def png_mask(text: object, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of `shape`: where the PNG is opaque, if its alpha says anything, else where it is not black.

    Raises FlawedRegion, before anything is decoded where the size is another.
    """
    if not isinstance(text, str) or not text:
        raise FlawedRegion("has no PNG")
    text = text.removeprefix(HEADER)
    limit = LEAST_BYTES + PER_PIXEL * shape[0] * shape[1]
    if len(text) * 3 // 4 > limit:
        raise FlawedRegion(f"has a PNG of {len(text) * 3 // 4} bytes for {shape[1]} x {shape[0]} pixels")
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as picture:
            if picture.size != (shape[1], shape[0]):
                width, height = picture.size
                raise FlawedRegion(f"has a PNG of {width} x {height}, wanted {shape[1]} x {shape[0]}")
            if getattr(picture, "n_frames", 1) > 1:
                raise FlawedRegion("has an animated PNG")
            return opaque(picture)
    except FlawedRegion:
        raise
    except (
        binascii.Error,
        zlib.error,
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        Image.DecompressionBombError,
    ) as error:
        raise FlawedRegion(f"has a PNG that cannot be read ({str(error) or type(error).__name__:.60})") from error


def opaque(picture: Image.Image) -> np.ndarray:
    """(H, W) bool of an open picture."""
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        pixels = np.asarray(picture.convert("RGBA"))
        alpha = pixels[..., 3]
        paint = alpha[..., None] if alpha.min() != alpha.max() or not alpha.any() else pixels[..., :3]
    else:
        paint = np.atleast_3d(np.asarray(picture.convert("RGB") if picture.mode == "P" else picture))
    return np.any(paint, axis=2)
