"""The set loss: values worked out by hand, and what must hold for any weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from adapters.losses.set_criterion import SetCriterion, soft_iou
from domains.entities import EntityBatch

SURE = 60.0


def outputs_of(masks: Tensor, objects: Tensor, ious: Tensor, layers: int = 0) -> dict[str, Any]:
    one = {"mask_logits": masks, "object_logits": objects, "iou_logits": ious}
    return {**one, "auxiliary": [one] * layers}


def batch_of(ids: Tensor) -> EntityBatch:
    return EntityBatch(torch.zeros(len(ids), 3, *ids.shape[1:]), ids.int())


def random_outputs(batch: int = 2, queries: int = 6, grid: int = 8) -> dict[str, Any]:
    return outputs_of(torch.randn(batch, queries, grid, grid), torch.randn(batch, queries), torch.randn(batch, queries))


@pytest.fixture
def quarters() -> EntityBatch:
    """Two images of 16 x 16: one with four entities, one with a single one and an unlabelled half."""
    ids = torch.zeros(2, 16, 16)
    for i, (y, x) in enumerate([(0, 0), (0, 8), (8, 0), (8, 8)]):
        ids[0, y : y + 6, x : x + 6] = i + 1
    ids[1, :4, :4] = 1
    ids[1, :, 8:] = -1
    return batch_of(ids)


def perfect_outputs(batch: EntityBatch, queries: int = 6, stride: int = 2) -> dict[str, Any]:
    grid = batch.ids.shape[-1] // stride
    masks = torch.full((len(batch), queries, grid, grid), -SURE)
    objects = torch.full((len(batch), queries), -SURE)
    for b, truth in enumerate(batch.masks):
        masks[b, : len(truth)] = torch.where(truth[:, ::stride, ::stride], SURE, -SURE)
        objects[b, : len(truth)] = SURE
    return outputs_of(masks, objects, torch.full_like(objects, SURE), layers=2)


def test_an_entity_that_fills_the_image_has_the_loss_worked_out_by_hand() -> None:
    # one entity on all pixels; two queries; all mask scores 1/2, objectness 1/2, predicted IoU 3/4
    outputs = outputs_of(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2), torch.full((1, 2), math.log(3)), layers=3)
    parts = SetCriterion(points=512).parts(outputs, batch_of(torch.ones(1, 4, 4)))
    # (1 x ln 2 + 0.1 x ln 2) / 1.1
    assert parts["objectness"].item() == pytest.approx(math.log(2))
    assert parts["bce"].item() == pytest.approx(math.log(2))
    # 512 points, all of the entity: 1 - (2 x 256 + 1) / (256 + 512 + 1)
    assert parts["dice"].item() == pytest.approx(1 - 513 / 769)
    # reached: sum min(1/2, 1) / sum max(1/2, 1) = 1/2; (3/4 - 1/2)^2 / 2
    assert parts["iou"].item() == pytest.approx(1 / 32)
    total = SetCriterion(points=512)(outputs, batch_of(torch.ones(1, 4, 4)))
    assert total.item() == pytest.approx(7 * math.log(2) + 5 * (1 - 513 / 769) + 5 / 32)


def test_costs_of_pairs_are_those_worked_out_by_hand() -> None:
    # two cells, both labelled; one entity on the first; scores of the query 3/4 and 1/2; objectness 1/2
    logits = torch.tensor([[[math.log(3), 0.0]]])
    cost = SetCriterion().costs(logits, torch.zeros(1, 1), torch.tensor([[1.0, 0.0]]), torch.ones(2))
    bce = (math.log(4 / 3) + math.log(2)) / 2
    dice = 1 - (2 * 0.75 + 1) / (1.25 + 1 + 1)
    assert cost.item() == pytest.approx(5 * bce + 5 * dice - 2 * 0.5)


def test_soft_iou_of_known_scores() -> None:
    # minima .5 + .0, maxima 1 + .25
    assert soft_iou(torch.tensor([[0.5, 0.25]]), torch.tensor([[1.0, 0.0]])).item() == pytest.approx(0.4)


def test_a_perfect_prediction_loses_nothing(quarters: EntityBatch) -> None:
    assert SetCriterion()(perfect_outputs(quarters), quarters).item() == pytest.approx(0, abs=1e-3)


def test_each_entity_is_paired_with_its_own_query(quarters: EntityBatch) -> None:
    outputs = perfect_outputs(quarters)
    wrong = outputs["mask_logits"].roll(1, 1)  # the objectness of another query
    assert SetCriterion()({**outputs, "mask_logits": wrong}, quarters).item() > 1


def test_the_order_of_queries_changes_nothing(quarters: EntityBatch) -> None:
    outputs = random_outputs()
    order = torch.randperm(6)
    shuffled = outputs_of(*(outputs[key][:, order] for key in ("mask_logits", "object_logits", "iou_logits")))
    losses = []
    for each in (outputs, shuffled):
        torch.manual_seed(0)  # the same random points
        losses.append(SetCriterion()(each, quarters))
    torch.testing.assert_close(*losses)


def test_what_is_predicted_where_nothing_is_labelled_changes_no_mask_term(quarters: EntityBatch) -> None:
    outputs = random_outputs(grid=16)
    other = {**outputs, "mask_logits": torch.where(quarters.labelled[:, None], outputs["mask_logits"], SURE)}
    found = []
    for each in (outputs, other):
        torch.manual_seed(0)
        found.append(SetCriterion().parts(each, quarters))
    for name in ("bce", "dice", "iou"):
        torch.testing.assert_close(found[0][name], found[1][name])


def test_a_query_on_unlabelled_pixels_need_not_be_no_entity() -> None:
    ids = torch.zeros(1, 4, 4)
    ids[:, :, 2:] = -1
    masks = torch.full((1, 2, 4, 4), -SURE)
    masks[0, 0, :, 2:] = SURE  # on what nobody labelled
    masks[0, 1, :, :2] = SURE  # on background
    hot = torch.tensor([[0.0, -SURE]])
    assert SetCriterion()(outputs_of(masks, hot, hot), batch_of(ids)).item() == pytest.approx(0, abs=1e-5)
    assert SetCriterion()(outputs_of(masks, hot.flip(1), hot), batch_of(ids)).item() > 1


def test_images_without_entities_teach_objectness_alone() -> None:
    outputs = random_outputs()
    masks = outputs["mask_logits"].requires_grad_()
    parts = SetCriterion().parts(outputs, batch_of(torch.zeros(2, 16, 16)))
    assert parts["objectness"] > 0
    assert parts["bce"] == parts["dice"] == parts["iou"] == 0
    sum(parts.values()).backward()
    assert masks.grad is not None and not masks.grad.any()  # zero, but there: DDP refuses parameters without gradient


def test_a_batch_without_any_label_loses_nothing() -> None:
    assert SetCriterion()(random_outputs(), batch_of(-torch.ones(2, 16, 16))) == 0


def test_more_entities_than_queries_use_every_query() -> None:
    ids = torch.arange(1, 17).reshape(1, 4, 4).repeat_interleave(4, 1).repeat_interleave(4, 2)
    outputs = random_outputs(batch=1, queries=6)
    objects = outputs["object_logits"].requires_grad_()
    SetCriterion()(outputs, batch_of(ids)).backward()
    assert objects.grad is not None and (objects.grad < 0).all()  # each is asked to be an entity


def test_every_prediction_is_supervised(quarters: EntityBatch) -> None:
    outputs, early = random_outputs(), random_outputs()
    leaves = [early[key].requires_grad_() for key in ("mask_logits", "object_logits", "iou_logits")]
    early.pop("auxiliary")
    SetCriterion()({**outputs, "auxiliary": [early]}, quarters).backward()
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 for leaf in leaves)


@pytest.mark.parametrize("key", ["mask_logits", "object_logits", "iou_logits"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_output_makes_the_loss_nan_whatever_the_pairing(key: str, value: float, quarters: EntityBatch) -> None:
    outputs = perfect_outputs(quarters)
    broken = outputs[key].clone()
    broken[0, -1] = value  # a query that holds no entity
    loss = SetCriterion()({**outputs, key: broken}, quarters)
    assert loss.isnan()
