"""Rims that learn from the truth what they part: of the true strengths the forest is the truth's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.losses.boundary import nested_target
from adapters.losses.targets import DenseTargets
from benchmarks.accuracy import learnt_rims
from benchmarks.accuracy.learnt_rims import LearntRims, Regions
from benchmarks.accuracy.nested import Scene, measured_nested
from domains.entities import EntityMap, EntitySample, Place


@pytest.fixture
def scene() -> Scene:
    """A whole with a part, and another whole."""
    ids = np.zeros((40, 40), np.int32)
    ids[12:36, 6:34], ids[18:30, 12:26], ids[2:9, 2:38] = 1, 2, 3
    image = np.array([[90, 90, 90], [200, 40, 40], [230, 120, 40], [40, 60, 200]], np.uint8)[ids]
    return Scene.of(EntitySample(image, (EntityMap(ids, parents=np.array([0, 1, 0])),), Place(scene="a")))


@pytest.fixture
def regions(scene: Scene) -> Regions:
    """Of fields that are true, the ground among them."""
    ids = torch.from_numpy(scene.forest.leaves.astype(np.int64))[None]
    parents = torch.from_numpy(scene.forest.nodes.parents.astype(np.int64))[None]
    around = torch.where(ids == 0, 4, ids)
    fields = {"foreground": (ids > 0).float(), "boundary": nested_target(around, torch.tensor([[0, 1, 0, 0]]))[0]}
    fields["boundary_distance"] = DenseTargets.of(around.int()).boundary_distance
    assert parents.tolist() == [[0, 1, 0]]
    return Regions.of({name: field[0].numpy() for name, field in fields.items()}, scene.sample.image)


def test_true_strengths_make_the_true_forest(scene, regions) -> None:
    levels = regions.levels(scene.forest)
    assert set(map(tuple, levels.tolist())) <= {(False,) * 3, (True, True, False), (True,) * 3}
    forest = regions.forest(levels.mean(1))
    assert measured_nested([forest], [scene]).compute() == {"hierarchy": 1.0, "nodes": 1.0}


def test_rims_learn_what_they_part(scene, regions, monkeypatch) -> None:
    monkeypatch.setattr(learnt_rims, "STEPS", 150)
    forest = LearntRims([(regions, scene.forest)]).forest(regions)
    assert measured_nested([forest], [scene]).compute()["hierarchy"] == 1.0
