"""How crops are dealt out to devices that learn together."""

from __future__ import annotations

import pytest
import torch

from adapters.training.data import EntityDataModule, RoundSampler
from domains.errors import InputError


def data_of(discs, batch_size: int = 4) -> EntityDataModule:
    return EntityDataModule(discs[:4], discs[4:], None, crop_px=32, batch_size=batch_size, round_steps=3)


def test_the_indices_of_two_ranks_interleave_to_those_of_one(discs) -> None:
    crops = data_of(discs).train
    ranks = [list(RoundSampler(crops, rank, 2)) for rank in range(2)]
    assert (
        [index for pair in zip(*ranks, strict=True) for index in pair] == list(RoundSampler(crops)) == list(range(12))
    )
    assert [len(RoundSampler(crops, rank, 2)) for rank in range(2)] == [6, 6]


def test_two_ranks_see_step_by_step_the_batches_of_one(discs, monkeypatch) -> None:
    whole = list(data_of(discs).train_dataloader())
    shares = []
    for rank in range(2):
        monkeypatch.setattr("adapters.training.data.rank_and_world", lambda rank=rank: (rank, 2))
        shares.append(list(data_of(discs).train_dataloader()))
    assert len(whole) == len(shares[0]) == len(shares[1]) == 3
    for batch, first, second in zip(whole, *shares, strict=True):
        assert torch.equal(batch.images[0::2], first.images) and torch.equal(batch.images[1::2], second.images)
        assert torch.equal(batch.ids[0::2], first.ids) and torch.equal(batch.ids[1::2], second.ids)


def test_every_rank_validates_on_all_crops_and_a_batch_that_does_not_part_is_one_line(discs, monkeypatch) -> None:
    whole = [batch.images for batch in data_of(discs).val_dataloader()]
    monkeypatch.setattr("adapters.training.data.rank_and_world", lambda: (1, 2))
    assert all(
        torch.equal(*pair) for pair in zip(whole, (b.images for b in data_of(discs).val_dataloader()), strict=True)
    )
    with pytest.raises(InputError, match="train.batch_size is 3; 2 devices want a multiple of 2"):
        data_of(discs, batch_size=3).train_dataloader()
