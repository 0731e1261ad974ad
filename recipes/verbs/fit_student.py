"""The last stage of `cli.py fit` with train.student=true: what the student is shown, and what it is worth."""

from __future__ import annotations

import math

from adapters.training.distilling import Distillation
from adapters.training.fitting import Fitted, Reporter
from adapters.training.student_fit import FittedStudent, fit_student
from domains.entities import EntitySample
from recipes.plan import Prepared
from recipes.verbs.unlabelled import unlabelled_samples
from recipes.verbs.verdict import paired_intervals


def unlabelled_of(prepared: Prepared) -> list[EntitySample]:
    """Windows of the images without labels that the recipe names, told in a line; none where it wants no student.

    Raises InputError for images that the network cannot be shown.
    """
    train, domain = prepared.recipe.train, prepared.recipe.domain
    if not train.student or train.unlabelled is None:
        return []
    windows = unlabelled_samples(train.unlabelled, prepared.plan.contract, domain.name, domain.crop_px, seed=train.seed)
    print(f"student: {len(windows)} windows of the images without labels in {train.unlabelled}")
    return windows


def student_of(prepared: Prepared, unlabelled: list[EntitySample], reporter: Reporter) -> FittedStudent | None:
    """The student of a plan that is fitted, where the recipe wants one."""
    train = prepared.recipe.train
    if not train.student:
        return None
    print(f"student: learns for {train.student_seconds:g} s from what the adapter says, then regions and thresholds")
    return fit_student(prepared.plan, Distillation(train.student_seconds, seed=train.seed), unlabelled, reporter)


def student_line(fitted: Fitted, student: FittedStudent, key: str) -> str:
    """What a student costs in accuracy and gains in speed, both on the test images. key: of the metric."""
    assert fitted.after is not None
    values = [metrics.compute()[key] for metrics in (fitted.after, student.measured)]
    low, high = paired_intervals(fitted.after, student.measured)[key]
    seconds = fitted.measure_cpu_s, student.measure_cpu_s
    span = "" if math.isnan(low) else f" [{low:+.3f}, {high:+.3f}]"
    return (
        f"student: {key} {values[0]:.3f} -> {values[1]:.3f}, {values[1] - values[0]:+.3f}{span}; "
        f"{seconds[0] / seconds[1]:.1f} times as fast ({seconds[0]:.1f} -> {seconds[1]:.1f} CPU-s on "
        f"{len(fitted.after)} test images, decode and measuring included); predict --fast takes it"
    )
