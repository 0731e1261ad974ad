"""Which adapter an image is for: nearest by a covariance worked out a second way, and none beyond the limit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from adapters.options.section import checked
from adapters.sharing.appearances import MOST_TRAIN, NUMBERS, Appearances, rows_text
from domains.errors import InputError
from domains.procedural.scene import draw_scene
from domains.scenes.appearance import appearance
from recipes.routing import Router, appearances_of


def cloud(seed: int, centre: float, rows: int = 30) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return centre + rng.normal(size=(rows, NUMBERS)) * np.linspace(0.5, 2, NUMBERS)


def of_clouds(val_rows: int = 20) -> dict[str, Appearances]:
    return {
        name: Appearances(rows_text(cloud(i, centre)), rows_text(cloud(10 + i, centre, val_rows)))
        for i, (name, centre) in enumerate((("low", 0.0), ("high", 6.0)))
    }


def test_distances_are_those_of_a_pooled_covariance():
    appearances = of_clouds()
    router = Router(appearances)
    rows = [images.rows("train") for images in appearances.values()]
    both = np.concatenate(rows)
    scaled = [(x - both.mean(0)) / (both.std(0) + 1e-6) for x in rows]
    pooled = sum(len(x) * np.cov(x.T, bias=True) for x in scaled) / len(both)
    share = NUMBERS / (NUMBERS + len(both))
    pooled = (1 - share) * pooled + share * np.trace(pooled) / NUMBERS * np.eye(NUMBERS)
    look = cloud(5, 2.0, 1)[0]
    route = router.choose(look)
    point = (look - both.mean(0)) / (both.std(0) + 1e-6)
    expected = [mahalanobis(point, x.mean(0), np.linalg.inv(pooled)) ** 2 for x in scaled]
    assert route.nearest == "low"
    np.testing.assert_allclose([route.distance, route.distance * route.margin], expected, rtol=1e-6)


def test_images_go_to_their_own_and_strangers_to_none():
    router = Router(of_clouds())
    chosen = [
        [router.choose(row).adapter for row in cloud(seed, centre)] for seed, centre in ((20, 0), (21, 6), (22, 30))
    ]
    assert chosen[0].count("low") > 24 and "high" not in chosen[0]
    assert chosen[1].count("high") > 24 and "low" not in chosen[1]
    assert set(chosen[2]) == {None}


def test_one_adapter_without_validation_images_still_refuses_a_stranger():
    router = Router({"low": Appearances(rows_text(cloud(0, 0.0)))})
    assert router.choose(cloud(3, 0.0, 1)[0]).adapter == "low"
    stranger = router.choose(cloud(3, 30.0, 1)[0])
    assert stranger.adapter is None and stranger.nearest == "low" and stranger.margin == np.inf


def test_few_images_of_generated_kinds_are_enough():
    kinds = ("nuclei_he", "nuclei_fluo", "aerial")
    scenes = {kind: [draw_scene(kind, (1, i), 200, 200) for i in range(24)] for kind in kinds}
    router = Router({kind: appearances_of(images[:16], images[16:20]) for kind, images in scenes.items()})
    nearest = {
        kind: [router.choose(appearance(sample.image)).nearest for sample in x[20:]] for kind, x in scenes.items()
    }
    assert sum(names.count(kind) for kind, names in nearest.items()) > 9  # of twelve


def test_of_many_images_some_are_kept_evenly_and_none_is_no_fault():
    images = [draw_scene("leaves", (2, i), 64, 64) for i in range(MOST_TRAIN + 9)]
    kept = appearances_of(images, [])
    rows = kept.rows("train")
    assert rows.shape == (MOST_TRAIN, NUMBERS) and kept.rows("val").shape == (0, NUMBERS)
    np.testing.assert_allclose(rows[0], appearance(images[0].image), rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(rows[-1], appearance(images[-1].image), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize(
    "train",
    ["", "!!!!", "AAAA", rows_text(np.full((1, NUMBERS), np.nan)), rows_text(np.zeros((MOST_TRAIN + 1, NUMBERS)))],
)
def test_rows_that_are_none_are_refused_in_one_line(train):
    with pytest.raises(InputError) as refused:
        checked(Appearances, {"train": train})
    assert "train" in str(refused.value) and "\n" not in str(refused.value)


def test_without_an_adapter_there_is_nothing_to_choose():
    with pytest.raises(InputError, match="no adapter to choose from"):
        Router({})
