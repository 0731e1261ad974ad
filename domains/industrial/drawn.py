"""Generated defects on real images: the ground is the user's own, the defect need not be among the labelled ones.

After DRAEM (Zavrtanik, Kristan, Skocaj, ICCV 2021, https://arxiv.org/abs/2108.07610), which lays textures onto good
images under masks of Perlin noise; here what is drawn are the defects of `domains.procedural.surfaces`. For training
only.
"""

from __future__ import annotations

import numpy as np

from domains.procedural.surfaces import CHANCES, DEFECTS

SEEN_PX = 8  # a defect of which less shows is none


def draw_defect(image: np.ndarray, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(image, ids) with one generated defect, under the next free number, where ids are 0; what is labelled stays as it
    is. image: (H, W, C) uint8, H = W; ids: (H, W). As they were where too little of it would show."""
    grey = image.mean(2, dtype=np.float32)
    mask, drawn = DEFECTS[rng.choice(len(DEFECTS), p=CHANCES)](rng, grey)
    free = ids == 0
    mask = mask & free
    if int(mask.sum()) < SEEN_PX:
        return image, ids
    change = np.where(free, drawn - grey, 0)[..., None]
    marked = ids.copy()
    marked[mask] = max(int(ids.max()), 0) + 1
    return np.clip(image + change + 0.5, 0, 255).astype(np.uint8), marked
