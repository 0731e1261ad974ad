"""The self-test of `doctor`: each shipped recipe predicts a generated scene and is fitted for a few steps.

Speeds are those of the verbs: the same crops, trainer and precision as in `fit`, the same tiles as in `predict`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.inference.segment import segment
from adapters.training.fitting import Budget, Plan, data_of
from adapters.training.prefix_cache import TURNS
from adapters.training.trainer import History, make_trainer
from domains.metrics import MetricSet
from recipes import set_up
from recipes.build import domain_of
from recipes.plan import Splits, plan_of
from recipes.reading.compose import changed, load_recipe
from recipes.reading.domain_section import BUILT_IN_DOMAINS

FIT_SHARE = 0.7
"""Of a recipe's time; the rest is prediction's."""
SCENES = 2
"""To fit to: drawing them takes longer than a step."""
LEAST_PQ = 0.2
"""Of the untouched base, the mean over the recipes' scenes, where it has .6 (.97 of nuclei, 0 of a defect that it takes
for ground). Noise, or weights that were misread, have 0."""


@dataclass(frozen=True)
class Speed:
    """What a recipe does on this machine. steps_per_second: of fitting, without validation. pq: of the untouched base
    on one generated scene, in [0, 1]; entities: how many it saw there. seconds, steps: the recipe's own.
    """

    recipe: str
    precision: str
    steps_per_second: float
    megapixels_per_second: float
    entities: int
    pq: float
    seconds: float | None
    steps: int

    @property
    def expected_steps(self) -> int:
        """The steps that a fit by this recipe comes to, to two digits: its time or its steps end it."""
        if self.seconds is None:
            return self.steps
        return min(self.steps, int(float(f"{self.seconds * self.steps_per_second:.2g}")))

    def estimate(self) -> str:
        """In words, what a fit by the recipe comes to."""
        if self.expected_steps == self.steps:
            minutes = self.steps / self.steps_per_second / 60
            return f"a fit of its {self.steps} steps: about {minutes:.2g} minutes"
        return f"a fit of its {self.seconds:g} s: about {self.expected_steps} of {self.steps} steps"


def self_test(seconds: float, recipes: Sequence[str] = BUILT_IN_DOMAINS) -> list[Speed]:
    """The speed of each recipe. seconds: of work in all, without loading. What breaks raises, as it would in `fit`."""
    set_up()
    return [speed_of(recipe, seconds / len(recipes)) for recipe in recipes]


def speed_of(name: str, seconds: float) -> Speed:
    """The speed of one recipe, measured for so many seconds."""
    recipe = changed(load_recipe(name), [f"domain.max_images={SCENES}"])
    domain = domain_of(recipe)
    train = domain.dataset("train")
    prepared = plan_of(recipe, domain, Splits(train, train, domain.dataset("test")))
    plan, recipe = prepared.plan, prepared.recipe
    entities, pq = quality(plan)
    return Speed(
        name,
        plan.runtime.training,
        fit_speed(plan, FIT_SHARE * seconds),
        prediction_speed(plan, (1 - FIT_SHARE) * seconds),
        entities=entities,
        pq=pq,
        seconds=recipe.train.seconds,
        steps=recipe.train.steps,
    )


def quality(plan: Plan) -> tuple[int, float]:
    """How many entities a network sees in the first test scene, and their panoptic quality."""
    scene = plan.test[0]
    metrics = MetricSet({"pq": plan.metrics()["pq"]})
    prediction = segment(plan.network, plan.contract.photograph(scene), plan.contract)
    metrics.update(prediction, scene.truths, scene.place.scene)
    return prediction.count, metrics.compute()["pq"]


def fault_of(speeds: Sequence[Speed]) -> str:
    """What is wrong with the outputs of the untouched base, "" where they are sane."""
    pq = sum(speed.pq for speed in speeds) / len(speeds)
    if pq >= LEAST_PQ:  # nan is not
        return ""
    return (
        f"the base's entities have a PQ of {pq:.2f} in generated scenes, wanted {LEAST_PQ} or more: the weights or the "
        "arithmetic of this installation are wrong"
    )


def fit_speed(plan: Plan, seconds: float) -> float:
    """Steps per second of a fit that is given so many seconds, and ends with its step at hand; the first warms up.

    Where crops are kept (`train.cache`), a batch of them is at a time: every step that shows new ones is followed by as
    many that show them again as in a fit.
    """
    steps = plan.budget.steps
    turns = TURNS if plan.options.cache == "prefix" else 1
    plan = replace(plan, options=replace(plan.options, cached_crops=plan.options.batch_size))
    module = replace(plan, budget=Budget(steps, seconds)).module()
    with TemporaryDirectory() as folder:
        trainer = make_trainer(Path(folder), steps, steps, plan.runtime, plan.clip)
        trainer.fit(module, data_of(replace(plan, val=None), steps))
        history = next(callback for callback in trainer.callbacks if isinstance(callback, History))  # pyright: ignore[reportAttributeAccessIssue]
    return 1 / step_seconds([row["seconds"] for row in history.rows], turns)


def step_seconds(ends: Sequence[float], turns: int = 1) -> float:
    """Of a step, by the seconds at the ends of all of them, the mean over rounds of `turns` after the first step; where
    there is no whole round, the first step stands for the slow one of it.
    """
    first, further = ends[0], len(ends) - 1
    if not further:
        return first
    whole = further // turns * turns
    if whole:
        return (ends[whole] - first) / whole
    return (first + (turns - 1) * (ends[-1] - first) / further) / turns


def prediction_speed(plan: Plan, seconds: float) -> float:
    """Megapixels per second of a scene that is predicted again and again for so many seconds, once at least."""
    photograph, rounds, start = plan.contract.photograph(plan.test[0]), 0, time.perf_counter()
    while not rounds or time.perf_counter() - start < seconds:
        segment(plan.network, photograph, plan.contract)
        rounds += 1
    height, width = photograph.shape
    return rounds * height * width / 1e6 / (time.perf_counter() - start)
