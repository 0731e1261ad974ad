"""Generated defects on real images: the ground is the user's own, the defect need not be among the labelled ones.

After DRAEM (Zavrtanik, Kristan, Skocaj, ICCV 2021, https://arxiv.org/abs/2108.07610), which lays textures onto good
images under masks of Perlin noise; here what is drawn are the defects of `domains.procedural.surfaces`. For training
only.
"""

from __future__ import annotations

import numpy as np

from domains.entities import EntityMap
from domains.procedural.surfaces import CHANCES, DEFECTS

SEEN_PX = 8  # a defect of which less shows is none


def draw_defect(image: np.ndarray, truth: EntityMap, rng: np.random.Generator) -> tuple[np.ndarray, EntityMap]:
    """(image, truth) with one generated defect, under the next free number, where ids are 0; what is labelled stays as
    it is. image: (H, W, C) uint8, H = W; truth: (H, W). The defect has no class, and where truth has scores its own is
    1. As they were where too little of it would show.
    """
    grey = image.mean(2, dtype=np.float32)
    mask, drawn = DEFECTS[rng.choice(len(DEFECTS), p=CHANCES)](rng, grey)
    free = truth.ids == 0
    mask = mask & free
    if int(mask.sum()) < SEEN_PX:
        return image, truth
    change = np.where(free, drawn - grey, 0)[..., None]
    return np.clip(image + change + 0.5, 0, 255).astype(np.uint8), truth.with_entity(mask)
