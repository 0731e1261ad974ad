"""Good images and the same ones with a drawn entity, to validate on where no entity is labelled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch.utils.data import Dataset

from domains.crops.crops import Draw
from domains.entities import EntitySample, Samples


class WithDrawn(Dataset[EntitySample]):
    """The samples as they are, then each of them once more with an entity that `draw` draws on it.

    What is drawn is a function of (seed, index). draw: as `CropOptions.draw`; it takes square images, so the largest
    square in the middle of one is drawn on.
    """

    def __init__(self, samples: Samples, draw: Draw, seed: int = 0) -> None:
        self.samples, self.draw, self.seed = samples, draw, seed

    def __len__(self) -> int:
        return 2 * len(self.samples)

    def __getitem__(self, index: int) -> EntitySample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        sample = self.samples[index % len(self.samples)]
        if index < len(self.samples):
            return sample
        height, width = sample.image.shape[:2]
        side = min(height, width)
        y, x = (height - side) // 2, (width - side) // 2
        square = sample.truth.crop(y, x, side, side)
        rng = np.random.default_rng((self.seed, index, 5))
        drawn, truth = self.draw(sample.image[y : y + side, x : x + side].copy(), square, rng)
        image, ids = sample.image.copy(), sample.truth.ids.copy()
        image[y : y + side, x : x + side] = drawn
        ids[y : y + side, x : x + side] = truth.ids
        place = replace(sample.place, scene=f"{sample.place.scene}, with a drawn entity")
        return EntitySample(image, (replace(truth, ids=ids),), place)
