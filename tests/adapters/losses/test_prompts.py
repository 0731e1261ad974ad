from __future__ import annotations

import math

import pytest
import torch

from adapters.losses.prompts import DICE, FOCAL, best_of, ious, mask_costs, single

LABELLED = torch.ones(2, 2)


def test_the_cost_of_a_mask_is_that_worked_out_by_hand() -> None:
    logits, truth = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 0], [0, 0]]])
    focal = 0.25 * math.log(2)  # each pixel is off by a half
    dice = 1 - (2 * 0.5 + 1) / (4 * 0.5 + 1 + 1)
    assert mask_costs(logits, truth, LABELLED).item() == pytest.approx(FOCAL * focal + DICE * dice)


def test_what_is_unlabelled_costs_nothing() -> None:
    truth, labelled = torch.tensor([[1.0, 0], [1, 0]]), torch.tensor([[1.0, 1], [0, 0]])
    logits = torch.tensor([[9.0, -9], [-9, 9]])
    right = mask_costs(torch.tensor([[9.0, -9], [9, -9]]), truth, labelled)
    assert torch.allclose(mask_costs(logits, truth, labelled), right)
    assert ious(logits, truth, labelled).item() == 1


def test_a_right_mask_costs_less_than_a_wrong_one() -> None:
    truth = torch.tensor([[[1.0, 0], [1, 0]]])
    logits = (2 * truth - 1) * 8
    (right, off), (wrong, _) = (single(x, torch.ones(1), truth, LABELLED) for x in (logits, -logits))
    assert right < 1e-3 and off == 0 and wrong > 1


def test_of_several_masks_each_entity_that_is_meant_has_its_best() -> None:
    detail, body = torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[1.0, 1], [0, 0]])
    truth = torch.stack([detail, body, torch.zeros(2, 2)])[None]  # (1, 3, 2, 2), the third is none
    meant = torch.tensor([[True, True, False]])
    logits = torch.stack([2 * body - 1, 2 * detail - 1, torch.full((2, 2), -1.0)])[None] * 8
    predicted = torch.tensor([[1.0, 1, 0]])
    cost, off, best = best_of(logits, predicted, truth, meant, LABELLED)
    assert cost < 1e-3 and off < 1e-6 and best.tolist() == [1]
    alone, *_ = best_of(logits[:, 2:], predicted[:, 2:], truth, meant, LABELLED)
    assert alone > 0.5
