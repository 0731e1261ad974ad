from __future__ import annotations

import time

import pytest

from adapters.network import EntitySegmenter
from adapters.training.fitting import Budget
from benchmarks.accuracy.unet import UNETS
from recipes.build import domain_of
from recipes.plan import Prepared, budget_of, calibrated_for, plan_of, splits_of
from recipes.reading.compose import load_recipe
from recipes.reading.schema import Recipe

SMALL = ("domain.sample_count=12", "method.name=decoder_only")


def recipe_of(*overrides: str, name: str = "pathology") -> Recipe:
    return load_recipe(name, [*SMALL, *overrides])


def prepared(recipe: Recipe, **options) -> Prepared:
    domain = domain_of(recipe)
    return plan_of(recipe, domain, splits_of(domain), **options)


def test_a_plan_follows_its_recipe() -> None:
    made = prepared(
        recipe_of("train.steps=30", "train.validate_every=50", "train.seed=7", "train.lr=0.002", "train.seconds=null")
    )
    plan = made.plan
    assert (plan.budget.steps, plan.budget.round_steps, plan.budget.seconds) == (30, 30, None)
    assert plan.seed == 7 and plan.options.lr == 0.002 and plan.module().options.steps == 30
    assert plan.calibrate_for == "aji" and made.method is not None and made.method.name == "decoder_only"
    assert made.recipe.domain.scale == plan.contract.scale == 1
    assert [line.split(":")[0].split()[0] for line in made.lines()] == ["domain.scale", "decoder_only"]


def test_sides_are_rounded_for_whatever_network_is_fitted(capsys) -> None:
    def network(recipe: Recipe) -> EntitySegmenter:
        return UNETS["unet"](recipe)

    made = prepared(recipe_of("domain.crop_px=120"), network=network)
    assert made.recipe.domain.crop_px == 128 and "domain.crop_px 120 -> 128" in capsys.readouterr().err
    assert made.method is None and [line.split(":")[0] for line in made.lines()] == ["domain.scale"]
    batch = next(iter(made.plan.crops(made.plan.learnt, None, 1).train_dataloader()))
    assert batch.images.shape[-2:] == (128, 128)


def test_a_budget_of_its_own_takes_the_place_of_the_recipe_s() -> None:
    recipe = recipe_of("train.steps=30", "train.seconds=5")
    budget = budget_of(recipe, looks=3, clock=time.process_time)
    assert budget == Budget(30, 5.0, time.process_time, None, 3)
    module = prepared(recipe, budget=budget).plan.module()
    assert module.options.seconds == 5 and module.clock is time.process_time


@pytest.mark.parametrize(("words", "metric"), [((), "ap50"), (("train.calibrate_for=f1",), "f1")])
def test_thresholds_make_most_of_what_the_recipe_says(words: tuple[str, ...], metric: str) -> None:
    recipe = recipe_of("train.calibrate_for=null", *words, name="remote_sensing")
    assert prepared(recipe).plan.calibrate_for == metric


def test_first_weights_are_of_the_seed() -> None:
    states = [
        prepared(recipe_of(f"train.seed={seed}", "train.start=null", "backbone.random=true")).plan.network.state_dict()
        for seed in (1, 1, 2)
    ]
    name = next(
        name for name, value in states[0].items() if name.startswith("decoder.") and value.ndim == 4 and value.any()
    )
    assert states[0][name].equal(states[1][name]) and not states[0][name].equal(states[2][name])


@pytest.mark.parametrize(
    ("recipe", "options", "metric"),
    [("remote_sensing", [], "f1"), ("remote_sensing", ["train.calibrate_for=ap50"], "ap50"), ("pathology", [], "aji")],
)
def test_calibration_follows_the_recipe_or_the_domain(recipe: str, options: list[str], metric: str) -> None:
    loaded = load_recipe(recipe, options)
    assert calibrated_for(loaded, domain_of(loaded)) == metric
