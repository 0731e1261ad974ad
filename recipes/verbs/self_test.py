"""The self-test of `doctor`: each shipped recipe predicts a generated scene and is fitted for a few steps.

Speeds are those of the verbs: the same crops, trainer and precision as in `fit`, the same tiles as in `predict`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adapters.inference.segment import InputContract, segment
from adapters.network import EntitySegmenter
from adapters.training.module import EntityModule
from adapters.training.trainer import History, make_trainer
from domains.datasets.domain import Domain
from domains.entities import EntitySample
from domains.metrics import MetricSet
from recipes import set_up
from recipes.build import backbone_of, contract_of, domain_of, method_of, module_of, segmenter_of
from recipes.reading.compose import changed, load_recipe
from recipes.reading.schema import BUILT_IN_DOMAINS, Recipe
from recipes.runtime import of_fit
from recipes.scale import at_scale
from recipes.sides import on_patches
from recipes.verbs.fit import data_of

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
    backbone = backbone_of(recipe)
    recipe = at_scale(on_patches(recipe, backbone), train)  # pyright: ignore[reportArgumentType]
    segmenter = segmenter_of(recipe, backbone, method_of(recipe))
    contract = contract_of(recipe)
    scene = domain.dataset("test")[0]
    entities, pq = quality(segmenter, scene, contract, domain)
    return Speed(
        name,
        of_fit(recipe.train).training,
        fit_speed(recipe, segmenter, domain, train, FIT_SHARE * seconds),
        prediction_speed(segmenter, scene, contract, (1 - FIT_SHARE) * seconds),
        entities,
        pq,
        recipe.train.seconds,
        recipe.train.steps,
    )


def quality(
    segmenter: EntitySegmenter, scene: EntitySample, contract: InputContract, domain: Domain
) -> tuple[int, float]:
    """How many entities a network sees in a labelled scene, and their panoptic quality."""
    metrics = MetricSet({"pq": domain.metrics()["pq"]})
    prediction = segment(segmenter, contract.photograph(scene), contract)
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


def fit_speed(recipe: Recipe, segmenter: EntitySegmenter, domain: Domain, train: Any, seconds: float) -> float:
    """Steps per second of a fit that is given so many seconds, and ends with its step at hand; the first warms up."""
    recipe = changed(recipe, [f"train.seconds={seconds}"])
    options = recipe.train
    module: EntityModule = module_of(recipe, segmenter)
    runtime = of_fit(options)
    with TemporaryDirectory() as folder:
        trainer = make_trainer(Path(folder), options.steps, options.steps, runtime, options.clip)
        trainer.fit(module, data_of(recipe, domain, train, None, round_steps=options.steps))
        history = next(callback for callback in trainer.callbacks if isinstance(callback, History))  # pyright: ignore[reportAttributeAccessIssue]
    ends = [row["seconds"] for row in history.rows]
    if len(ends) == 1:
        return 1 / ends[0]
    return (len(ends) - 1) / (ends[-1] - ends[0])


def prediction_speed(segmenter: EntitySegmenter, scene: EntitySample, contract: InputContract, seconds: float) -> float:
    """Megapixels per second of a scene that is predicted again and again for so many seconds, once at least."""
    photograph, rounds, start = contract.photograph(scene), 0, time.perf_counter()
    while not rounds or time.perf_counter() - start < seconds:
        segment(segmenter, photograph, contract)
        rounds += 1
    height, width = photograph.shape
    return rounds * height * width / 1e6 / (time.perf_counter() - start)
