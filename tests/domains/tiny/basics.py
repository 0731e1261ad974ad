"""What every tiny folder is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 20, 30


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def picture(seed: int = 0, channels: int = 3) -> np.ndarray:
    """(20, 30, C) uint8, smooth enough to survive JPEG."""
    ramp = np.linspace(40, 200, WIDTH)[None, :, None] + np.arange(HEIGHT)[:, None, None] + seed
    return np.repeat(ramp, channels, axis=2).astype(np.uint8)


def box(top: int, left: int, bottom: int, right: int, value: int = 255) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = value
    return mask


def runs(mask: np.ndarray) -> dict:
    """Uncompressed COCO RLE."""
    flat = np.concatenate([[0], (mask.T.ravel() > 0).astype(int), [0]])
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], edges, [mask.size]]))
    return {"size": list(mask.shape), "counts": counts.tolist()}
