from __future__ import annotations

from math import inf

import numpy as np
import pytest

from benchmarks.accuracy.classical import METHODS, Felzenszwalb, OtsuWatershed, TopHat, measure, tune
from domains.entities import EntityMap, EntitySample, Place

HEIGHT, WIDTH = 64, 80


def painted(ids: np.ndarray, background: int, entity: int) -> EntitySample:
    grey = np.where(ids > 0, entity, background) + np.random.default_rng(0).integers(-4, 5, ids.shape)
    image = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    return EntitySample(image, (EntityMap.from_ids(ids),), Place("drawn"))


def two_touching_disks() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    left, right = (y - 32) ** 2 + (x - 28) ** 2 < 144, (y - 32) ** 2 + (x - 50) ** 2 < 144
    return np.where(left & (x < 39), 1, np.where(right, 2, 0)).astype(np.int32)


def crack() -> np.ndarray:
    ids = np.zeros((HEIGHT, WIDTH), np.int32)
    ids[30:33, 5:75] = 1
    return ids


@pytest.mark.parametrize(("channel", "background", "entity"), [("dark", 200, 90), ("bright", 20, 120)])
def test_otsu_and_watershed_part_two_touching_disks(channel: str, background: int, entity: int) -> None:
    sample = painted(two_touching_disks(), background, entity)
    prediction = OtsuWatershed(channel=channel)(sample.image)
    assert prediction.count == 2
    assert measure(OtsuWatershed(channel=channel), [sample], "aji") > 0.9


def test_a_small_nucleus_beside_a_large_one_is_kept() -> None:
    ids = two_touching_disks()
    ids[ids == 2] = 0
    ids[28:36, 44:52] = 2
    assert OtsuWatershed(sigma_px=0.5, spacing_px=25)(painted(ids, 200, 60).image).count == 2


@pytest.mark.parametrize(("polarity", "entity"), [("dark", 60), ("bright", 220), ("both", 60), ("both", 220)])
def test_top_hat_finds_a_thin_crack_of_its_polarity(polarity: str, entity: int) -> None:
    sample = painted(crack(), 140, entity)
    assert measure(TopHat(polarity=polarity), [sample], "iou") > 0.7
    if polarity != "both":
        assert TopHat(polarity={"dark": "bright", "bright": "dark"}[polarity])(sample.image).count == 0


def test_felzenszwalb_gives_every_pixel_an_entity() -> None:
    sample = painted(two_touching_disks() > 0, 200, 60)
    prediction = Felzenszwalb(min_area_px=50)(sample.image)
    assert prediction.foreground.all()
    assert prediction.ids[32, 28] == prediction.ids[32, 50] != prediction.ids[2, 2]


@pytest.mark.parametrize("name", METHODS)
def test_entities_have_scores_and_a_plain_image_is_no_error(name: str) -> None:
    method = METHODS[name]()
    plain = method(np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    assert plain.count == (1 if name == "felzenszwalb" else 0)
    prediction = method(painted(crack(), 140, 60).image)
    assert prediction.scores is not None and ((prediction.scores >= 0) & (prediction.scores <= 1)).all()


def test_a_crisp_entity_outranks_a_faint_one() -> None:
    image = painted(crack(), 140, 40).image
    image[10:13, 5:75] = 100
    scores = TopHat()(image).scores
    assert scores is not None and scores[1] > scores[0]


class FewSettings(OtsuWatershed):
    grid = {"channel": ("bright", "saturation", "dark"), "sigma_px": (1.0, 9.0)}


def test_tuning_finds_a_setting_better_than_the_defaults_and_repeats() -> None:
    samples = [painted(two_touching_disks(), 20, 120)]  # bright, and the default looks for dark ones
    tuned = tune(FewSettings, samples, "aji", seconds_limit=inf)
    assert (tuned.tried, tuned.settings) == (7, 7)
    assert tuned.method == FewSettings(channel="bright", sigma_px=1.0)
    assert tuned.value == measure(tuned.method, samples, "aji") > 0.9 > measure(OtsuWatershed(), samples, "aji")
    assert tuned == tune(FewSettings, samples, "aji", seconds_limit=inf)


def test_the_value_of_a_tuned_method_is_that_on_all_samples() -> None:
    samples = [painted(np.roll(two_touching_disks(), shift, axis=1), 20, 120 - shift) for shift in range(12)]
    tuned = tune(FewSettings, samples, "aji", seconds_limit=inf)
    assert tuned.value == pytest.approx(measure(tuned.method, samples, "aji"))


def test_tuning_stops_at_its_time_with_at_least_one_setting() -> None:
    assert tune(TopHat, [painted(crack(), 140, 60)], "iou", seconds_limit=0).tried == 1


@pytest.mark.parametrize("name", METHODS)
def test_every_value_of_a_grid_is_accepted(name: str) -> None:
    image = painted(crack(), 140, 60).image
    assert METHODS[name].grid
    for key, values in METHODS[name].grid.items():
        for value in values:
            METHODS[name](**{key: value})(image)
