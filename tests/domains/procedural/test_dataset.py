from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest

from domains.entities import collate
from domains.errors import InputError
from domains.procedural.dataset import ProceduralScenes


def test_an_item_depends_on_seed_and_index_alone():
    short, long = (ProceduralScenes(["leaves", "mosaic"], count, seed=4, size_px=48) for count in (3, 30))
    assert np.array_equal(short[2].image, long[2].image)
    assert not np.array_equal(short[2].image, ProceduralScenes(["leaves", "mosaic"], 3, seed=5, size_px=48)[2].image)


def test_a_pickled_data_set_draws_the_same_and_is_small():
    scenes = ProceduralScenes(["leaves", "objects"], 5, seed=0, size_px=48)
    pickled = pickle.dumps(scenes)
    assert len(pickled) < 2000  # the texture bank stays behind
    assert np.array_equal(pickle.loads(pickled)[1].truth.ids, scenes[1].truth.ids)


def test_weights_say_how_often_a_family_comes():
    scenes = ProceduralScenes({"nuclei_fluo": 3, "surfaces": 1, "leaves": 0}, 80, seed=1, size_px=32)
    drawn = Counter(scene.place.scene.split("-")[0] for scene in scenes)
    assert drawn["leaves"] == 0
    assert drawn["nuclei_fluo"] > 1.5 * drawn["surfaces"] > 0


def test_it_ends_at_its_count_and_its_items_collate():
    scenes = ProceduralScenes(["surfaces"], 3, seed=0, size_px=40)
    assert len(scenes) == len(list(scenes)) == 3  # type: ignore[call-overload]
    assert collate(scenes[i] for i in range(3)).images.shape == (3, 3, 40, 40)


@pytest.mark.parametrize("families", [[], {"leaves": 0.0}, {"leaves": -1.0, "mosaic": 2.0}])
def test_families_without_a_positive_weight_are_refused(families):
    with pytest.raises(InputError, match="positive weight"):
        ProceduralScenes(families, 1, seed=0, size_px=32)


def test_an_unknown_family_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match="did you mean 'leaves'"):
        ProceduralScenes(["leafs"], 1, seed=0, size_px=32)
