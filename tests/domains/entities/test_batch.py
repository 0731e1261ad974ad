"""A batch: rows of every entity, padded, and classes that meet by their names."""

from __future__ import annotations

import numpy as np
import torch

from domains.entities import EntityBatch, EntityMap, EntitySample, Place, collate


def sample_of(truth: EntityMap) -> EntitySample:
    return EntitySample(np.zeros((*truth.shape, 3), np.uint8), (truth,), Place("made up"))


def test_a_batch_pads_rows_and_counts_by_scores() -> None:
    three = EntityMap(
        np.array([[2, 4, 7]]),
        scores=np.linspace(0, 0.6, 7).astype(np.float32),
        labels=np.arange(7) % 2,
        vocabulary=("a", "b"),
        parents=np.array([0, 0, 0, 2, 0, 0, 2]),
    )
    bare = EntityMap(np.array([[0, 9, -1]]))
    batch = collate([sample_of(three), sample_of(bare)])
    assert batch.ids.tolist() == [[[1, 2, 3]], [[0, 1, -1]]]
    assert batch.labels.tolist() == [[1, 1, 0], [-1, -1, -1]] and batch.vocabulary == ("a", "b")
    assert torch.allclose(batch.weights, torch.tensor([[0.1, 0.3, 0.6], [1, 0, 0]]))
    assert batch.parents.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert (batch.labels.dtype, batch.weights.dtype, batch.parents.dtype) == (torch.int64, torch.float32, torch.int64)
    moved = batch.to("meta")
    assert all(getattr(moved, name).is_meta for name in ("images", "ids", "labels", "weights", "parents"))
    assert moved.labels.shape == (2, 3)


def test_classes_of_maps_with_other_vocabularies_meet_by_their_names() -> None:
    here = EntityMap(np.array([[1, 2]]), labels=np.array([0, 1]), vocabulary=("crack", "pit"))
    there = EntityMap(np.array([[1, 2]]), labels=np.array([0, -1]), vocabulary=("pit", "dust"))
    batch = collate([sample_of(here), sample_of(there)])
    assert batch.vocabulary == ("crack", "pit", "dust") and batch.labels.tolist() == [[0, 1], [1, -1]]


def test_a_batch_without_entity_has_no_rows() -> None:
    batch = collate([sample_of(EntityMap(np.zeros((2, 2), np.int32)))] * 3)
    assert batch.labels.shape == batch.weights.shape == batch.parents.shape == (3, 0)


def test_of_images_and_ids_alone_the_rest_is_filled_in() -> None:
    batch = EntityBatch(torch.zeros(2, 3, 1, 2), torch.tensor([[[1, 2]], [[-1, 1]]]))
    assert batch.labels.tolist() == [[-1, -1], [-1, -1]] and batch.parents.tolist() == [[0, 0], [0, 0]]
    assert batch.weights.tolist() == [[1, 1], [1, 0]] and batch.vocabulary == ()


def test_pixels_have_the_weight_of_their_entity_and_none_where_all_count_whole() -> None:
    ids = torch.tensor([[[1, 2, 0, -1]], [[1, 1, 1, 0]]], dtype=torch.int32)
    assert EntityBatch(torch.zeros(2, 3, 1, 4), ids).pixel_weights is None
    batch = EntityBatch(torch.zeros(2, 3, 1, 4), ids, weights=torch.tensor([[1.0, 0.25], [0.5, 0.0]]))
    assert batch.pixel_weights is not None
    assert batch.pixel_weights.tolist() == [[[1, 0.25, 1, 1]], [[0.5, 0.5, 0.5, 1]]]
