"""Crops of several sets: shares by temperature, and the same crops whatever the process."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from domains.crops.crops import CropOptions
from domains.crops.mixed_crops import MixedCrops, temperature_shares
from domains.crops.train_crops import TrainCrops
from domains.entities import EntityMap, EntitySample, Place


def source(value: int, length: int = 600) -> TrainCrops:
    """Crops of one image of one grey."""
    ids = np.zeros((32, 32), np.int32)
    ids[4:20, 4:20] = 1
    sample = EntitySample(np.full((32, 32, 3), value, np.uint8), (EntityMap(ids),), Place(str(value)))
    return TrainCrops([sample], CropOptions(crop_px=16), length=length)


@pytest.mark.parametrize(
    ("temperature", "shares"),
    [(1.0, [1 / 101, 100 / 101]), (2.0, [1 / 11, 10 / 11]), (1000.0, [0.4988, 0.5012])],
)
def test_shares_go_by_the_root_of_the_number_of_images(temperature: float, shares: list[float]) -> None:
    assert temperature_shares([3, 300], temperature) == pytest.approx(shares, abs=1e-4)
    assert sum(temperature_shares([3, 300, 17], temperature)) == pytest.approx(1)


def test_every_run_of_crops_has_of_each_source_its_share() -> None:
    shares = [0.6, 0.3, 0.1]
    mixed = MixedCrops([source(10), source(20), source(30)], shares, seed=3)
    for epoch in range(3):
        mixed.set_epoch(epoch)
        drawn = [mixed.source_of(i) for i in range(600)]
        counts = Counter(drawn)
        assert [counts[i] / 600 for i in range(3)] == pytest.approx(shares, abs=0.01)
        run = Counter(drawn[240:280])
        assert [run[i] for i in range(3)] == pytest.approx([24, 12, 4], abs=1)


def test_a_crop_is_of_its_source_and_the_same_in_every_process() -> None:
    mixed, again = (MixedCrops([source(10), source(200)], [0.5, 0.5], seed=5) for _ in range(2))
    for crops in (mixed, again):
        crops.set_epoch(7)
    assert mixed.epoch == 7
    for i in (0, 1, 2, 599):
        assert np.array_equal(mixed[i].image, again[i].image) and np.array_equal(mixed[i].truth.ids, again[i].truth.ids)
        assert mixed[i].place.scene == ("10", "200")[mixed.source_of(i)]
    with pytest.raises(IndexError):
        mixed[600]
