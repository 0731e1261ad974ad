"""The mean teacher: an average of what learns, that fills in what is unlabelled and overrules nothing certain."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.options.training import TrainOptions
from adapters.training.teacher import Correction, Teacher
from domains.entities import EntityBatch, EntityMap
from domains.errors import InputError
from domains.procedural.dataset import ProceduralScenes
from tests.adapters.training.networks import adapted


def said(ids: np.ndarray, scores: list[float], ground: np.ndarray | None = None, ramp: float = 1.0) -> Correction:
    return Correction(EntityMap(ids, np.array(scores, np.float32)), ground, least_score=0.5, ramp=ramp)


def halves() -> np.ndarray:
    ids = np.ones((8, 8), np.int32)
    ids[:, 4:] = 2
    return ids


def test_unlabelled_pixels_take_entities_that_are_sure_and_sure_ground() -> None:
    nothing, ground = np.full((8, 8), -1, np.int32), np.zeros((8, 8), bool)
    found = np.zeros((8, 8), np.int32)
    found[:4, :4], found[:4, 4:] = 1, 2
    ground[6:] = True
    ids, weights = said(found, [0.9, 0.4], ground).of(nothing, np.zeros(0, np.float32))
    assert (ids[:4, :4] == 1).all() and (ids[:4, 4:] == -1).all() and (ids[6:] == 0).all() and (ids[4:6] == -1).all()
    assert weights.tolist() == pytest.approx([0.9])


def test_truth_that_is_certain_stays() -> None:
    truth = halves()
    truth[6:] = 0
    ids, weights = said(np.ones((8, 8), np.int32), [1.0]).of(truth, np.ones(2, np.float32))
    assert np.array_equal(ids, truth) and weights.tolist() == [1, 1]


def test_a_surer_entity_takes_the_place_of_pseudo_labels_that_weigh_less() -> None:
    pseudo = halves()
    whole = np.ones((8, 8), np.int32)
    ids, weights = said(whole, [0.9]).of(pseudo, np.array([0.3, 0.4], np.float32))
    assert (ids == 1).all() and weights.tolist() == pytest.approx([0.9])
    ids, weights = said(whole, [0.9], ramp=0.2).of(pseudo, np.array([0.3, 0.4], np.float32))
    assert np.array_equal(ids, pseudo) and weights.tolist() == pytest.approx([0.3, 0.4])


def test_what_is_left_of_an_entity_that_lost_most_says_nothing() -> None:
    pseudo = halves()
    found = np.zeros((8, 8), np.int32)
    found[:, :3] = 1
    ids, weights = said(found, [0.9]).of(pseudo, np.array([0.3, 0.95], np.float32))
    assert (ids[:, 3] == -1).all() and len(np.unique(ids[:, :3])) == 1 and len(np.unique(ids[:, 4:])) == 1
    assert sorted(weights.tolist()) == pytest.approx([0.9, 0.95])


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    network = adapted("decoder_only")
    return Teacher(network, TrainOptions(teacher=True, teacher_decay=0.5, teacher_score=0.1, teacher_ramp=0.5))


def test_it_follows_what_learns_and_leaves_the_network_as_it_is(teacher: Teacher) -> None:
    name, weights = next((n, w) for n, w in teacher.network.named_parameters() if w.requires_grad)
    start = weights.detach().clone()
    with torch.no_grad():
        weights += 1
    teacher.steps = 100
    teacher.follow()
    assert torch.allclose(teacher.mean[name], start + 0.5)
    teacher.network.train()
    with teacher.in_place() as network:
        assert not network.training and torch.allclose(dict(network.named_parameters())[name], start + 0.5)
    assert teacher.network.training and torch.equal(weights, start + 1)
    with torch.no_grad():
        weights.copy_(start)
    teacher.mean[name].copy_(start)


def test_a_batch_is_corrected_where_nobody_labelled_it_once_the_ramp_has_begun(teacher: Teacher) -> None:
    sample = ProceduralScenes(("nuclei_fluo",), 1, 0, 64)[0]
    truth = sample.truth.renumbered()
    pixels = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float() / 255
    ids = torch.from_numpy(np.stack([truth.ids, np.full((64, 64), -1, np.int32)]))
    batch = EntityBatch(pixels.repeat(2, 1, 1, 1), ids)
    assert teacher.corrected(batch, 0.0) is batch
    corrected = teacher.corrected(batch, 0.25)
    assert torch.equal(corrected.ids[0], ids[0]) and (corrected.ids[1] != -1).any()
    count = int(corrected.ids[1].max())
    assert count and float(corrected.weights[1, :count].max()) <= 0.5  # half of the ramp
    assert (corrected.weights[0, : truth.count] == 1).all()


def test_a_share_without_images_is_refused() -> None:
    with pytest.raises(InputError, match="--unlabelled"):
        TrainOptions(unlabelled_share=0.3)
