from __future__ import annotations

import numpy as np
import pytest
import torch

from domains.entities import EntityBatch, EntityMap, EntitySample, Place, collate, renumber


@pytest.mark.parametrize("step", [1, 3, 70_001])
def test_renumbering_closes_gaps_and_keeps_the_order(step: int) -> None:
    ids = np.array([[0, 5 * step, 5 * step], [-1, 2 * step, 2 * step]])
    dense, kept = renumber(ids)
    assert dense.tolist() == [[0, 2, 2], [-1, 1, 1]]
    assert kept.tolist() == [2 * step, 5 * step]
    assert dense.dtype == np.int32


def test_renumbering_nothing_gives_nothing() -> None:
    assert renumber(np.zeros((0, 4), np.int32))[1].size == 0
    assert renumber(np.full((2, 2), -1))[0].tolist() == [[-1, -1], [-1, -1]]


def test_smaller_entities_lie_on_top_and_hidden_ones_are_gone() -> None:
    large, small = np.zeros((2, 6, 6), bool)
    large[0:6, 0:5] = True
    small[2:4, 2:4] = True
    entities = EntityMap.from_masks([small, large, small.copy()], (6, 6))
    assert entities.count == 2
    assert sorted(entities.areas) == [4, 26]
    assert entities.ids[2, 2] != entities.ids[0, 0]


def test_a_crop_takes_scores_labels_and_parents_along() -> None:
    ids = np.array([[1, 1, 2, 2, 3]])
    whole = EntityMap(ids, np.array([0.1, 0.2, 0.3]), np.array([5, 6, 7]), parents=np.array([0, 1, 2]))
    part = whole.crop(0, 2, 1, 3)
    assert part.ids.tolist() == [[1, 1, 2]]
    assert part.scores is not None and part.scores.tolist() == [0.2, 0.3]
    assert part.labels is not None and part.labels.tolist() == [6, 7]
    assert part.parents is not None and part.parents.tolist() == [0, 1]


def test_masks_areas_and_foreground_agree() -> None:
    entities = EntityMap(np.array([[1, 1, 0], [2, -1, 0]]))
    assert entities.masks().sum((1, 2)).tolist() == entities.areas.tolist() == [2, 1]
    assert entities.foreground.sum() == 3 and entities.labelled.sum() == 5


def test_values_that_do_not_match_the_entities_are_refused() -> None:
    with pytest.raises(ValueError, match="scores has 1 values for 2 entities"):
        EntityMap(np.array([[1, 2]]), scores=np.array([0.5]))
    with pytest.raises(ValueError, match=r"shape \(H, W\)"):
        EntityMap(np.zeros((2, 2, 2)))


def test_a_batch_is_numbered_without_gaps_and_scaled_to_one() -> None:
    truth = EntityMap(np.array([[0, 4], [-1, 9]]))
    batch = collate([EntitySample(np.full((2, 2, 3), 255, np.uint8), (truth,), Place("one"))])
    assert batch.images.shape == (1, 3, 2, 2) and batch.images.max() == 1
    assert batch.ids.tolist() == [[[0, 1], [-1, 2]]]
    assert [mask.shape for mask in batch.masks] == [(2, 2, 2)]
    assert batch.labelled.tolist() == [[[True, True], [False, True]]]
    assert isinstance(batch.to("cpu"), EntityBatch) and len(batch) == 1
    assert batch.masks[0].dtype == torch.bool
