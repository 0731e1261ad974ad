"""What is measured of nested scenes: specks, levels, and the truth against itself."""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

from benchmarks.accuracy import nested
from benchmarks.accuracy.nested import (
    Scene,
    at_level,
    cut_at_best,
    measured_flat,
    measured_nested,
    without_specks,
)
from domains.entities import UNLABELLED, EntityMap, EntitySample, Place
from domains.entities.forest import EntityForest


@pytest.fixture
def truth() -> EntityMap:
    """(12, 12) a whole, its part, a speck in that, and a speck alone."""
    ids = np.zeros((12, 12), np.int32)
    ids[:, :6], ids[2:6, :4], ids[3, 1:3], ids[8, 8] = 1, 2, 3, 4
    return EntityMap(ids, parents=np.array([0, 1, 2, 0], np.int32))


def test_specks_belong_to_what_holds_them_and_are_unlabelled_alone(truth) -> None:
    large = without_specks(truth, 12)
    assert large.parents is not None and large.parents.tolist() == [0, 1]
    assert large.ids[3, 1] == 2 and large.ids[8, 8] == UNLABELLED and (large.ids == 1).sum() == 72 - 16
    parts = at_level(EntityForest.nested(large), "part")
    assert parts.count == 1 and parts.ids[0, 0] == UNLABELLED and parts.ids[0, 8] == 0


def test_the_truth_has_all_of_every_figure_and_a_flat_map_no_pair_inside(truth, monkeypatch) -> None:
    monkeypatch.setattr(nested, "CUTS", (1.0, "whole", "part"))
    monkeypatch.setattr(nested, "LEAST_PX", 12)
    scenes = [Scene.of(EntitySample(np.zeros((12, 12, 3), np.uint8), (truth,), Place(scene="a")))]
    given = cut_at_best("truth", lambda samples: [scene.forest for scene in scenes], scenes, scenes)
    assert measured_nested(given.forests, scenes).compute() == {"hierarchy": 1.0, "nodes": 1.0}
    assert [measured_flat(given.maps[level], scenes, level).compute()["ap_e"] for level in given.maps] == approx([1, 1])
    leaves = [EntityForest.flat(EntityMap(np.maximum(scenes[0].forest.leaves, 0)))]
    assert measured_nested(leaves, scenes).compute()["hierarchy"] == 0
