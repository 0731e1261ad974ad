from __future__ import annotations

import torch

from adapters.training.proposed_wrongly import merge, perturbed, split


def grid() -> torch.Tensor:
    """(48, 48) nine squares, which touch."""
    return (torch.arange(48)[:, None] // 16 * 3 + torch.arange(48) // 16) + 1


def test_entities_are_missed_merged_and_split_but_most_stay() -> None:
    truth, counts = grid(), []
    for seed in range(40):
        ids = perturbed(truth, torch.Generator().manual_seed(seed))
        assert ids.shape == truth.shape and int(ids.min()) >= 0
        counts.append(len(ids[ids > 0].unique()))
    assert {len(grid().unique())} < set(counts) and 7 < sum(counts) / len(counts) < 10
    again = perturbed(truth, torch.Generator().manual_seed(3))
    assert torch.equal(again, perturbed(truth, torch.Generator().manual_seed(3)))


def test_a_split_leaves_two_parts_of_one_and_a_merge_one_of_two() -> None:
    ids, generator = grid(), torch.Generator().manual_seed(0)
    split(ids, 5, 10, generator)
    assert ((ids == 5) | (ids == 10)).equal(grid() == 5) and (ids == 10).any() and (ids == 5).any()
    ids = grid()
    merge(ids, 1, generator)
    assert not (ids == 1).any() and len(ids.unique()) == 8
