"""The way of a student: distilled from the network of a plan, its scorer and thresholds learnt anew, and measured.

    fitted = fit(plan)
    student = fit_student(plan, Distillation(seconds=300))

What the scorer of regions and calibration learn from are the student's own fields, which are softer than the adapter's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.inference.calibration import Calibration
from adapters.inference.segment import MetricSet
from adapters.student import Student
from adapters.training.distilling import Distillation, distil
from adapters.training.fitting import (
    UNHEARD,
    Plan,
    Reporter,
    choose_thresholds,
    learn_regions,
    measured,
)
from adapters.training.rounding import round_to_half
from domains.entities import EntitySample, Samples

ENDLESS = 10**9
"""Batches of an epoch of crops that ends by the clock."""


@dataclass(frozen=True)
class FittedStudent:
    """A student, and what it is worth on the test samples of the plan."""

    student: Student
    steps: int
    candidates: int
    """Regions that its scorer learnt from."""
    calibration: Calibration | None
    measured: MetricSet
    measure_cpu_s: float
    """CPU-seconds of that measurement."""


def fit_student(
    plan: Plan, options: Distillation, unlabelled: Sequence[EntitySample] = (), reporter: Reporter = UNHEARD
) -> FittedStudent:
    """Distil the network of a plan, which is fitted, and do with its student what `fit` does after training.

    unlabelled: images that it is shown too, of the size of the training images, their pixels unlabelled. The plan's
    network has a dense decoder, and stays as it is.
    """
    seen = plan.recoloured(Joined(plan.train, unlabelled)) if unlabelled else plan.learnt
    crops = plan.crops(seen, None, ENDLESS)
    with reporter.stage("student") as watch:
        student, steps = distil(plan.network, crops.train_dataloader(), options, plan.runtime, watch.reach)
    round_to_half(student.parameters())
    of_student = replace(plan, network=student.place(plan.network.runtime))
    candidates = learn_regions(of_student, reporter) if plan.regions else 0
    calibration = choose_thresholds(of_student, reporter) if plan.calibrate_for else None
    start = time.process_time()
    metrics = measured(of_student, plan.test, reporter, "measure student")
    return FittedStudent(student, steps, candidates, calibration, metrics, time.process_time() - start)


@dataclass(frozen=True)
class Joined:
    """Two data sets, one after the other."""

    labelled: Samples
    unlabelled: Samples

    def __len__(self) -> int:
        return len(self.labelled) + len(self.unlabelled)

    def __getitem__(self, index: int) -> EntitySample:
        behind = index - len(self.labelled)
        return self.labelled[index] if behind < 0 else self.unlabelled[behind]
