"""Crops of several data sets in one stream, each by its own set's augmentation, options and pixel size.

Shares by temperature: a set of n images is drawn in proportion to n^(1/T), so that a large one does not drown a small
one (Arivazhagan et al. 2019, https://arxiv.org/abs/1907.05019, section 4; there over languages).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from domains.crops.train_crops import Mixture, TrainCrops
from domains.entities import EntitySample

GOLDEN = (5**0.5 - 1) / 2
"""Steps of this length fill the unit interval evenly, however many there are."""


def temperature_shares(counts: Sequence[int], temperature: float) -> list[float]:
    """Shares, of sum 1, of sets of so many images; temperature above 0, 1 for shares by the images."""
    weights = np.asarray(counts, np.float64) ** (1 / temperature)
    return (weights / weights.sum()).tolist()


class MixedCrops(Dataset[EntitySample]):
    """Crops of several sources; item i is a function of (seed, epoch, i) alone. Any run of items has of each source its
    share, as nearly as whole items can.

    sources: of one length. shares: of each, of sum 1.
    """

    def __init__(self, sources: Sequence[TrainCrops | Mixture], shares: Sequence[float], seed: int = 0) -> None:
        self.sources, self.seed = list(sources), seed
        self.ends = np.cumsum(shares)

    @property
    def epoch(self) -> int:
        """The pass that crops are drawn for."""
        return self.sources[0].epoch

    def set_epoch(self, epoch: int) -> None:
        """New crops of all sources: call it before the epoch's first batch is asked for."""
        for source in self.sources:
            source.set_epoch(epoch)

    def source_of(self, index: int) -> int:
        """Which source item `index` of this epoch is from."""
        start = np.random.default_rng((self.seed, self.epoch, 4)).random()
        place = (start + index * GOLDEN) % 1.0
        return min(int(np.searchsorted(self.ends, place, side="right")), len(self.sources) - 1)

    def __len__(self) -> int:
        return len(self.sources[0])

    def __getitem__(self, index: int) -> EntitySample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.sources[self.source_of(index)][index]
