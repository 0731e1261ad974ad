"""Updates combined: by hand where they are few, exactly where the rank allows it."""

from __future__ import annotations

import pytest
import torch

from adapters.sharing.merging import dare, interference, largest, linear, low_rank, ties


def test_a_linear_sum_of_low_rank_updates_is_exact_at_the_sum_of_their_ranks_and_nearest_below():
    generator = torch.Generator().manual_seed(0)
    updates = [torch.randn(12, r, generator=generator) @ torch.randn(r, 9, generator=generator) for r in (2, 3)]
    total = linear(updates, [0.5, 2.0])
    a, b = low_rank(total, 5)
    torch.testing.assert_close(b @ a, total, atol=1e-5, rtol=1e-5)
    gaps = []
    for rank in (1, 2, 3, 4):
        a, b = low_rank(total, rank)
        gaps.append(float((b @ a - total).norm()))
        expected = float(torch.linalg.svdvals(total)[rank:].norm())
        assert gaps[-1] == pytest.approx(expected, rel=1e-4)
    assert gaps == sorted(gaps, reverse=True)


def test_a_kernel_keeps_its_shape():
    kernel = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    a, b = low_rank(kernel, 8)
    assert a.shape == (8, 4, 3, 3) and b.shape == (8, 8)
    torch.testing.assert_close((b @ a.flatten(1)).view(kernel.shape), kernel, atol=1e-5, rtol=1e-5)


def test_ties_trims_elects_a_sign_and_averages_what_agrees():
    first, second = torch.tensor([4.0, -3.0, 0.1, 2.0]), torch.tensor([2.0, 5.0, 0.2, -0.1])
    merged = ties([first, second], [1.0, 1.0], density=0.5)
    # trimmed: [4, -3, 0, 0] and [2, 5, 0, 0]; signs +, +; numbers that agree: 4 and 2, 5 alone
    torch.testing.assert_close(merged, torch.tensor([6.0, 10.0, 0.0, 0.0]))


def test_one_adapter_of_weight_one_is_itself_by_ties_of_all_its_numbers_and_by_the_sum():
    update = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ties([update], [1.0], density=1.0), update)
    torch.testing.assert_close(linear([update], [1.0]), update)
    torch.testing.assert_close(dare([update], [1.0], density=1.0), update)


def test_dare_keeps_a_share_and_the_mean():
    update = torch.ones(200, 200)
    merged = dare([update], [1.0], density=0.25)
    assert float((merged != 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(merged.mean()) == pytest.approx(1, abs=0.04)
    assert torch.equal(merged, dare([update], [1.0], density=0.25))


def test_the_largest_numbers_stay_whatever_their_sign():
    assert largest(torch.tensor([1.0, -5.0, 3.0, 0.5]), 0.5).tolist() == [0, -5, 3, 0]


def test_interference_is_none_of_the_orthogonal_and_all_of_the_opposite():
    one, other = {"a": torch.tensor([1.0, 0.0])}, {"a": torch.tensor([0.0, 2.0])}
    assert interference(one, other).cosine == pytest.approx(0)
    opposite = interference(one, {"a": torch.tensor([-3.0, 0.0])})
    assert opposite.cosine == pytest.approx(-1) and opposite.conflict == pytest.approx(1)
    assert interference(one, {"b": torch.ones(2)}) == (0, 0)
