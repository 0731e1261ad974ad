"""Soft clDice on lines one pixel wide and wider."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.morphology import skeletonize
from torch import Tensor

from adapters.losses.dense import Foreground
from adapters.losses.topology import Topology, soft_skeleton
from domains.entities import EntityBatch


def crack(width: int, gap: int = 0, row: int = 16) -> Tensor:
    """(1, 32, 48) int32: a line across the image, broken in the middle."""
    ids = torch.zeros(1, 32, 48, dtype=torch.int32)
    ids[0, row - width // 2 : row - width // 2 + width] = 1
    ids[0, :, 24 - gap // 2 : 24 - gap // 2 + gap] = 0
    return ids


def loss(found: Tensor, truth: Tensor, term: Topology | Foreground | None = None) -> float:
    """found: (B, H, W) of 0 and 1."""
    logits = (found.float() * 2 - 1)[:, None] * 30
    return float(
        (term or Topology())({"foreground": logits}, EntityBatch(torch.zeros(len(truth), 3, *truth.shape[1:]), truth))
    )


@pytest.mark.parametrize("width", [1, 2, 3, 5, 9])
def test_a_perfect_prediction_loses_nothing_however_thin(width: int) -> None:
    assert loss(crack(width), crack(width)) == pytest.approx(0, abs=1e-5)


def test_a_line_drawn_too_wide_loses_little_and_a_missed_one_nearly_all() -> None:
    assert loss(crack(3), crack(1)) < 0.05
    assert loss(torch.zeros(1, 32, 48), crack(1)) > 0.9
    assert loss(crack(1, row=4), crack(1)) > 0.9


def test_a_gap_costs_as_much_in_a_wide_crack_as_in_a_thin_one_and_more_than_by_dice() -> None:
    thin, wide = (loss(crack(width, gap=8), crack(width)) for width in (1, 5))
    assert thin == pytest.approx(wide, rel=0.3) and thin > 0.05
    blob = torch.zeros(1, 32, 48, dtype=torch.int32)
    blob[0, 2:12, 2:46] = 1
    both, broken = crack(1, row=24) + blob, crack(1, gap=16, row=24) + blob  # a blob beside it hides the gap from Dice
    dice_alone = loss(broken, both, Foreground()) - 30 * 16 / (32 * 48)  # less its cross-entropy, 30 a missed pixel
    assert loss(broken, both) > 3 * dice_alone


def test_by_hand() -> None:
    """A line of 8 px of which 4 are found, nothing else: precision (4 + 1) / (4 + 1), recall (4 + 1) / (8 + 1)."""
    truth, found = torch.zeros(1, 9, 12, dtype=torch.int32), torch.zeros(1, 9, 12)
    truth[0, 4, 2:10], found[0, 4, 2:6] = 1, 1
    assert loss(found, truth) == pytest.approx(1 - 2 * (5 / 9) / (1 + 5 / 9), abs=1e-5)


def test_unlabelled_pixels_take_no_part() -> None:
    truth = crack(1)
    truth[0, 20:30] = -1
    assert loss(crack(1) + crack(1, row=25), truth) == pytest.approx(0, abs=1e-5)


def test_a_batch_without_a_crack_pulls_down_what_is_found_and_stays_finite() -> None:
    nothing = torch.zeros(1, 32, 48, dtype=torch.int32)
    assert loss(nothing, nothing) == pytest.approx(0, abs=1e-5)
    assert loss(crack(1), nothing) > 0.9


def test_the_soft_skeleton_lies_on_the_hard_one() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        y = 20 + np.cumsum(rng.integers(-1, 2, 60))
        mask = np.zeros((64, 60), bool)
        for x, centre in enumerate(y):
            mask[max(0, centre - 2) : centre + 3, x] = True
        soft = soft_skeleton(torch.from_numpy(mask)[None, None].float(), 8)[0, 0].numpy()
        assert not soft[~mask].any() and soft.min() >= 0 and soft.max() <= 1
        line = torch.from_numpy(skeletonize(mask))[None, None].float()
        near = torch.nn.functional.max_pool2d(line, 5, 1, 2)[0, 0].numpy() > 0
        assert soft[near].sum() > 0.9 * soft.sum()


def test_gradients_close_a_gap_by_descent() -> None:
    truth = crack(1)
    batch = EntityBatch(torch.zeros(1, 3, 32, 48), truth)
    logits = ((crack(1, gap=6).float() * 2 - 1)[:, None]).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.2)
    for _ in range(60):
        optimiser.zero_grad()
        Topology()({"foreground": logits}, batch).backward()
        assert torch.isfinite(logits.grad).all()
        optimiser.step()
    assert (logits[0, 0, 16] > 0).all()
