"""An adapter that is fitted and its student: accuracy and CPU-seconds of both on the same images.

    python -m benchmarks.accuracy.student ADAPTER --data DIR [--seconds 200] [--unlabelled FOLDER|SLIDE]
        [--also DIR] [--keep FOLDER] [KEY=VALUE ...]

The student is distilled as `fit train.student=true` does it, by the processor's clock, on the adapter's own recipe and
split of the data. --also: measured there too, on all images. --keep: a copy of the adapter with the student, for
`predict --fast`. Overrides are of the recipe, such as domain.groups=FILE.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from adapters.inference.segment import measure
from adapters.network import EntitySegmenter
from adapters.runtime import CPU
from adapters.sharing.student_file import add_student
from adapters.training.distilling import Distillation
from adapters.training.fitting import Plan
from adapters.training.student_fit import fit_student
from domains.entities import Samples
from recipes import set_up
from recipes.build import domain_in, domain_of
from recipes.load import Loaded, loaded
from recipes.plan import plan_of, splits_of
from recipes.reading.compose import changed
from recipes.runtime import choose
from recipes.shared import on_data
from recipes.verbs.unlabelled import unlabelled_samples

METRICS = ("f1", "aji", "pq")


def plan_on(adapter: Loaded, data: str, overrides: list[str]) -> Plan:
    """The plan that the adapter's recipe would be fitted by on the data, its network the adapter as it is."""
    moved = on_data(adapter.recipe, data) if adapter.shared is None else adapter.shared.on_data(data, overrides)
    recipe = changed(adapter.recipe, [*moved, *overrides])
    domain = domain_of(recipe)
    plan = plan_of(recipe, domain, splits_of(domain)).plan
    return replace(plan, network=adapter.segmenter, contract=adapter.contract)


def show(title: str, network: EntitySegmenter, plan: Plan, images: Mapping[str, Samples]) -> None:
    """Print the metrics of a network on sets of images, and the CPU-seconds that these took."""
    for name, samples in images.items():
        start = time.process_time()
        values = measure(network, samples, METRICS, plan.contract).compute()
        numbers = " / ".join(f"{values[key]:.4f}" for key in METRICS)
        print(f"{title} {name}: {' / '.join(METRICS)} {numbers}, {time.process_time() - start:.1f} CPU-s", flush=True)


def main() -> None:
    """Distil and measure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("adapter")
    words.add_argument("overrides", nargs="*")
    words.add_argument("--data", required=True)
    words.add_argument("--seconds", type=float, default=200.0)
    words.add_argument("--unlabelled")
    words.add_argument("--also")
    words.add_argument("--keep", type=Path)
    given = words.parse_intermixed_args()
    torch.set_num_threads(1)
    set_up()
    with loaded(given.adapter, runtime=choose("cpu")) as adapter:
        plan = plan_on(adapter, given.data, given.overrides)
        section = adapter.recipe.domain
        images: dict[str, Samples] = {"test": plan.test}
        if given.also:
            images[given.also] = domain_in(replace(section, data=given.also, groups=None)).dataset("all")
        unlabelled = []
        if given.unlabelled:
            unlabelled = unlabelled_samples(given.unlabelled, adapter.contract, section.name, section.crop_px)
        show("adapter", adapter.segmenter, plan, images)
        fitted = fit_student(plan, Distillation(given.seconds, time.process_time), unlabelled)
        print(f"{fitted.steps} steps, {len(unlabelled)} windows without labels; {fitted.calibration}", flush=True)
        show("student", fitted.student, plan, images)
        if given.keep:
            shutil.copytree(given.adapter, given.keep)
            add_student(given.keep, fitted.student.place(CPU))


if __name__ == "__main__":
    main()
