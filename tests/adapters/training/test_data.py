"""The crops that training sees, held to what they were: runs of before resume, and figures of before hold."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from adapters.training.data import BatchOptions, EntityDataModule, RoundSampler
from domains.crops.crops import CropOptions
from domains.crops.train_crops import Mixture
from domains.datasets.domain import build_domain
from domains.entities import EntityBatch, EntityMap, collate
from domains.errors import InputError
from domains.industrial.drawn import draw_defect
from domains.registry import house_domains

EVERYTHING = {"balance": 0.5, "paste_share": 0.6, "drawn_share": 0.4, "hard_share": 0.5}
HELD = {
    "pathology": [("c9d1ca824c1f", 0.71232), ("bd3b5744d714", 0.74716)],
    "industrial": [("139e7b39f069", 0.47359), ("eb572e3592ec", 0.43751)],
    "remote_sensing": [("e4dfc02fbbda", 0.39368), ("359f0bf4d5de", 0.40454)],
    "natural": [("4dfe2f007bd0", 0.50267), ("309af6d1b7bc", 0.48524)],
}
"""Per domain: a digest of the ids of 20 crops, and the mean of their pixels, each without and with `EVERYTHING`.
Images have no digest, as OpenCV rounds differently from processor to processor."""


def data(name: str, **shares: float) -> EntityDataModule:
    domain = build_domain(name, sample_count=12)
    crops = CropOptions(crop_px=64, draw=draw_defect, **shares)
    batches = BatchOptions(batch_size=4, round_steps=5, seed=3)
    module = EntityDataModule(domain.dataset("train"), domain.dataset("val"), domain.augmentation(), crops, batches)
    module.crops.set_spots(np.array([[i, 20, 30] for i in range(4)], np.int64))
    return module


def batch_of(module: EntityDataModule) -> EntityBatch:
    return collate(module.train[i] for i in range(20))


def digest(batch: EntityBatch) -> str:
    return hashlib.sha256(batch.ids.numpy().tobytes()).hexdigest()[:12]


@pytest.mark.parametrize("name", house_domains())
def test_the_same_seed_gives_the_crops_that_it_always_gave(name: str) -> None:
    for shares, (ids, mean) in zip(({}, EVERYTHING), HELD[name], strict=True):
        batch = batch_of(data(name, **shares))
        assert digest(batch) == ids
        assert float(batch.images.mean()) == pytest.approx(mean, abs=2e-4)


def test_validation_sees_whole_scenes_still_and_nothing_pasted_or_drawn() -> None:
    module = data("industrial", **EVERYTHING)
    assert module.val is not None and module.val.augmentation is None
    assert module.val.options == CropOptions(crop_px=64, scale_range=(1.0, 1.0))
    assert len(module.val) == 4 * len(build_domain("industrial", sample_count=12).dataset("val"))


def test_windows_without_labels_join_at_their_share_beside_rehearsal() -> None:
    domain = build_domain("pathology", sample_count=12)
    batches = BatchOptions(batch_size=4, round_steps=25, seed=3)
    windows = [replace(domain.dataset("train")[i], truths=(EntityMap(np.full((96, 96), -1)),)) for i in range(2)]
    windows = [replace(window, image=window.image[:96, :96]) for window in windows]
    options = CropOptions(crop_px=32)
    shares = {"unlabelled": windows, "unlabelled_share": 0.4}
    module = EntityDataModule(
        domain.dataset("train"), None, None, options, batches, domain.rehearsal(48), 0.3, **shares
    )
    nothing = [(module.train[i].truth.ids == -1).all() for i in range(100)]
    assert len(module.train) == 100 and 0.25 < np.mean(nothing) < 0.55
    assert isinstance(module.train, Mixture) and isinstance(module.train.main, Mixture) and module.train.seed == 3


def test_rehearsal_joins_at_its_share_and_a_round_is_as_long_as_before() -> None:
    domain = build_domain("natural", sample_count=12)
    batches = BatchOptions(batch_size=4, round_steps=5)
    module = EntityDataModule(
        domain.dataset("train"), None, None, CropOptions(crop_px=32, scale=2.0), batches, domain.rehearsal(48), 0.5
    )
    assert isinstance(module.train, Mixture) and module.train.share == 0.5 and len(module.train) == 20
    assert module.train.rehearsal.options == CropOptions(crop_px=32) and module.val_dataloader() == []
    sizes = [len(batch) for batch in module.train_dataloader()]
    assert sizes == [4] * 5


def discs_of(discs, batch_size: int = 4) -> EntityDataModule:
    batches = BatchOptions(batch_size=batch_size, round_steps=3)
    return EntityDataModule(discs[:4], discs[4:], None, CropOptions(crop_px=32), batches)


def test_the_indices_of_two_ranks_interleave_to_those_of_one(discs) -> None:
    crops = discs_of(discs).train
    ranks = [list(RoundSampler(crops, rank, 2)) for rank in range(2)]
    assert (
        [index for pair in zip(*ranks, strict=True) for index in pair] == list(RoundSampler(crops)) == list(range(12))
    )
    assert [len(RoundSampler(crops, rank, 2)) for rank in range(2)] == [6, 6]


def test_two_ranks_see_step_by_step_the_batches_of_one(discs, monkeypatch) -> None:
    whole = list(discs_of(discs).train_dataloader())
    shares = []
    for rank in range(2):
        monkeypatch.setattr("adapters.training.data.rank_and_world", lambda rank=rank: (rank, 2))
        shares.append(list(discs_of(discs).train_dataloader()))
    assert len(whole) == len(shares[0]) == len(shares[1]) == 3
    for batch, first, second in zip(whole, *shares, strict=True):
        assert torch.equal(batch.images[0::2], first.images) and torch.equal(batch.images[1::2], second.images)
        assert torch.equal(batch.ids[0::2], first.ids) and torch.equal(batch.ids[1::2], second.ids)


def test_every_rank_validates_on_all_crops_and_a_batch_that_does_not_part_is_one_line(discs, monkeypatch) -> None:
    whole = [batch.images for batch in discs_of(discs).val_dataloader()]
    monkeypatch.setattr("adapters.training.data.rank_and_world", lambda: (1, 2))
    assert all(
        torch.equal(*pair) for pair in zip(whole, (b.images for b in discs_of(discs).val_dataloader()), strict=True)
    )
    with pytest.raises(InputError, match="train.batch_size is 3; 2 devices want a multiple of 2"):
        discs_of(discs, batch_size=3).train_dataloader()
