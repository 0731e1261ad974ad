"""`domain.scale=auto` looks at the training images."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cli import main
from domains.entities import EntityMap, EntitySample, Place
from domains.scenes.pixel_size import show_pixel_size
from recipes.build import contract_of
from recipes.reading.compose import load_recipe
from recipes.scale import at_scale, pixel_size, scale_line


def squares(*sides: int) -> list[EntitySample]:
    """An image each, with one square entity; of side 0 none."""
    samples = []
    for side in sides:
        ids = np.zeros((600, 600), np.int32)
        ids[:side, :side] = 1
        samples.append(EntitySample(np.zeros((600, 600, 3), np.uint8), (EntityMap(ids),), Place("one")))
    return samples


AUTO = load_recipe("industrial", ["domain.scale=auto", "domain.crop_px=128"])


@pytest.mark.parametrize(
    ("sides", "scale"),
    [((20,), 1.0), ((128,), 1.0), ((129,), 0.5), ((256,), 0.5), ((257,), 0.25), ((600,), 0.25), ((0,), 1.0)],
)
def test_the_largest_scale_at_which_an_entity_is_no_larger_than_a_crop(sides: tuple[int, ...], scale: float) -> None:
    assert at_scale(AUTO, squares(*sides)).domain.scale == scale


def test_one_large_entity_among_many_decides_nothing() -> None:
    assert at_scale(AUTO, squares(*[20] * 40, 500)).domain.scale == 1.0
    assert at_scale(AUTO, squares(*[20] * 40, *[500] * 4)).domain.scale == 0.25


def test_a_long_crack_is_not_large() -> None:
    ids = np.zeros((600, 600), np.int32)
    ids[:, 300:304] = 1
    sample = EntitySample(np.zeros((600, 600, 3), np.uint8), (EntityMap(ids),), Place("crack"))
    assert at_scale(AUTO, [sample]).domain.scale == 1.0


def test_a_number_stays_and_images_that_nobody_labelled_are_seen_as_they_are() -> None:
    recipe = load_recipe("industrial", ["domain.scale=0.3"])
    assert at_scale(recipe, squares(500)) is recipe
    assert contract_of(AUTO).scale == 1.0


def test_the_base_is_evaluated_at_the_scale_that_fit_would_choose(tmp_path: Path) -> None:
    for number in range(6):
        image, truth = np.full((280, 280, 3), 90 + number, np.uint8), np.zeros((280, 280), np.uint8)
        image[:270, :270], truth[:270, :270] = 200, 1
        for folder, array in (("images", image), ("labels", truth)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "data" / folder / f"{number}.png")
    base, data = ["evaluate", "--adapter", "base", "--recipe", "industrial"], str(tmp_path / "data")
    found = []
    for number, scale in enumerate(("auto", "0.25", "1")):
        file = tmp_path / f"{number}.json"
        words = [*base, "--data", data, "--split", "all", "--json", str(file), f"domain.scale={scale}"]
        assert main([*words, "domain.card=ignore"]) == 0
        found.append(json.loads(file.read_text())["metrics"])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("pixel_size_m", "side", "scale"), [(0.25e-6, 20, 0.7143), (0.7e-6, 20, 2.0), (0.25e-6, 300, 0.3571)]
)
def test_images_that_know_their_pixel_size_are_brought_to_that_of_the_domain(pixel_size_m, side, scale) -> None:
    recipe = load_recipe("pathology", ["domain.crop_px=128"])
    train = Sized(squares(side), pixel_size_m)
    settled = at_scale(recipe, train)
    assert settled.domain.scale == pytest.approx(scale, rel=1e-3)
    factor = contract_of(settled, pixel_size(train)).factor(0.5e-6)
    assert factor == pytest.approx(0.5e-6 * scale / pixel_size_m, rel=1e-3)
    assert f"seen at {show_pixel_size(pixel_size_m / settled.domain.scale)}" in scale_line(settled, pixel_size_m)


@pytest.mark.parametrize("pixel_size_m", [0.3, 5e-6, 0.01e-6])
def test_images_of_quite_another_pixel_size_are_seen_as_they_are(pixel_size_m: float) -> None:
    recipe = load_recipe("pathology", [])
    settled = at_scale(recipe, Sized(squares(20), pixel_size_m))
    assert settled.domain.scale == 1.0  # a view from above is not enlarged sixteen times
    assert contract_of(settled).factor(pixel_size_m) == contract_of(settled, pixel_size_m).factor(pixel_size_m) == 1.0


def test_images_that_do_not_say_are_seen_as_they_are_and_later_ones_that_do_at_the_size_of_the_domain() -> None:
    settled = at_scale(load_recipe("pathology", []), squares(20))
    contract = contract_of(settled)
    assert settled.domain.scale == contract.factor(None) == 1.0
    assert contract.factor(0.7e-6) == pytest.approx(2)
    halved = load_recipe("pathology", ["domain.scale=0.5"])
    assert contract_of(halved).factor(0.7e-6) == 0.5  # somebody said so


class Sized(list[EntitySample]):
    """Samples whose records know the size of a pixel."""

    def __init__(self, samples: list[EntitySample], pixel_size_m: float) -> None:
        super().__init__(samples)
        self.records = [SimpleNamespace(pixel_size_m=pixel_size_m) for _ in samples]
