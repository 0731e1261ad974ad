"""One job of the accuracy benchmark: fit within the budget, measure on the test split, write the result."""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.inference.segment import InputContract, measure
from adapters.methods import adapter_state
from adapters.methods.decoder_update import learnt_state
from adapters.network import ONE_VIEW, EntitySegmenter, Output, Views
from adapters.options.section import values_of
from adapters.runtime import best_precision
from adapters.sharing.folder import describe, save_adapter
from adapters.training.fitting import Budget, Fitted, Plan, Training, fit, measured
from benchmarks.accuracy import classical, instanseg
from benchmarks.accuracy.plan import METHODS, SETS, Job
from benchmarks.accuracy.unet import UNETS
from domains.crops.crops import Samples
from domains.datasets.domain import Domain
from domains.entities import EntityMap
from domains.metrics import MetricSet
from recipes import set_up
from recipes.build import domain_in
from recipes.plan import Prepared, Splits, budget_of, plan_of, splits_of
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.reading.schema import DomainSection, Recipe
from recipes.routing import appearances_of
from recipes.scale import at_scale
from recipes.verbs.numbers import plain, write_json

VALIDATIONS = 3
VAL_CROPS = 24
LONG_VALIDATIONS = 8  # in the budget of minutes
LONG_VAL_CROPS = 64
ENOUGH_STEPS = 10**6  # under a budget of time
GRANULARITIES = tuple(round(0.02 * step, 2) for step in range(1, 46))  # seed heights for the oracle
WARMUP_STEPS = 8  # the recipes' 20 would be half of what some methods do in these budgets

NETWORKS: dict[str, Callable[[Recipe], EntitySegmenter]] = {
    **UNETS,
    "instanseg": lambda recipe: instanseg.InstanSegmenter(),
}
"""Method -> another network than an adapter on its backbone, from the recipe."""
FITS: dict[str, Callable[[Plan], Fitted]] = {"instanseg": instanseg.fit_instanseg}
"""Method -> another way to fit a plan."""


def result_name(job: Job) -> str:
    """Of a job's file: the same seconds buy other steps in another precision, so a fit in bf16 is a result apart."""
    learns = job.method not in ("base", "classical") and "train.precision=fp32" not in METHODS[job.method]
    return f"{job.name}-bf16" if learns and best_precision("auto", "cpu") == "bf16-mixed" else job.name


def run_job(job: Job, data: Path, path: Path, runs: Path | None = None) -> dict[str, Any]:
    """The result, also written to `path`; runs: where the adapter is kept, as `<job>/adapter`.

    Raises InputError for data that are not there.
    """
    set_up()
    torch.set_num_threads(1)
    recipe = recipe_of(job, data)
    domain = opened(recipe.domain)  # type: ignore[arg-type]  # pydantic makes frozen models hashable
    splits, others = splits_of(domain), others_of(job, data)
    entities = entities_by_stratum(splits.test)
    if job.method == "classical":
        result = classical_result(job, domain, splits, others)
        recipe = at_scale(recipe, splits.train)
    else:
        prepared = prepare(job, recipe, domain, splits)
        result = network_result(job, prepared, others, runs and runs / job.name)
        recipe = prepared.recipe
    records = records_of(splits.test)
    result = plain(
        {
            "set": job.set,
            "method": job.method,
            "budget": job.budget,
            "seed": job.seed,
            "seconds_limit": job.seconds if job.budget in ("time", "minutes") else None,
            "steps_limit": job.steps if job.budget == "steps" else None,
            "images_limit": job.images,
            "elsewhere_images": {name: len(images) for name, images in others.items()},
            **result,
            "images": len(splits.test),
            "groups": len({record.group for record in records}),
            "split": name_digest(record.name for record in records),
            "entities": sum(entities.values()),
            "stratum_entities": entities,
            "train_images": len(splits.train),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),  # of the process so far
            "threads": torch.get_num_threads(),
            "recipe": values_of(recipe, exclude={"domain": {"data", "groups"}}),
            "precision": best_precision(recipe.train.precision, "cpu"),
            "versions": versions(),
        }
    )
    write_json(path, result)
    return result


def versions() -> dict[str, str]:
    """What the figures may depend on beside the code."""
    return {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}


def others_of(job: Job, data: Path) -> dict[str, Samples]:
    """The images of other sets that a job is measured on too, of those that are there."""
    others = {other: split for other, split in SETS[job.set].elsewhere if (data / other).is_dir()}
    sections = {other: recipe_of(replace(job, set=other), data).domain for other in others}
    return {other: opened(sections[other]).dataset(split) for other, split in others.items()}  # type: ignore[arg-type]


def records_of(samples: Samples) -> Sequence[Any]:
    """The records of a data set's samples."""
    return samples.records  # type: ignore[attr-defined]  # of the data sets that the benchmark is made of


@lru_cache(maxsize=3)
def opened(section: DomainSection) -> Domain:
    """The data, read once for the jobs on one set: opening it takes 3 to 7 seconds."""
    return domain_in(section)


def entities_by_stratum(samples: Samples) -> dict[str, int]:
    """True entities of each stratum."""
    counts: dict[str, int] = {}
    for i, record in enumerate(records_of(samples)):
        counts[record.stratum] = counts.get(record.stratum, 0) + samples[i].truth.count
    return counts


def name_digest(names: Iterable[str]) -> str:
    """Results are comparable only where they saw the same test images."""
    return blake2b("\n".join(names).encode(), digest_size=4).hexdigest()


def recipe_of(job: Job, data: Path) -> Recipe:
    """The recipe of a job's set, with what its method and budget say. One thread of a processor fits it."""
    overrides = [
        f"domain.data={data / job.set}",
        f"train.seed={job.seed}",
        f"train.warmup_steps={WARMUP_STEPS}",
        "train.device=cpu",
    ]
    overrides += METHODS[job.method]
    if job.method in NETWORKS:  # no frozen blocks, whose outputs could be kept
        overrides.append("train.cache=none")
    if job.images is not None:
        overrides.append(f"domain.max_images={job.images}")
    groups = data / "index" / f"{job.set}.csv"
    if groups.is_file():
        overrides.append(f"domain.groups={groups}")
    if job.budget in ("time", "minutes"):
        overrides += [f"train.steps={ENOUGH_STEPS}", f"train.seconds={job.seconds}"]
    else:
        overrides += [f"train.steps={job.steps}", "train.seconds=null"]
    return load_recipe(SETS[job.set].recipe, overrides)


def prepare(job: Job, recipe: Recipe, domain: Domain, splits: Splits) -> Prepared:
    """What `cli.py fit` would do, by the processor's clock and with few looks at the validation split.

    In the short budgets nothing is learnt or chosen after the training, and of the base as it comes nothing but
    thresholds.
    """
    thorough = job.budget == "minutes"
    looks, val_crops = (LONG_VALIDATIONS, LONG_VAL_CROPS) if thorough else (VALIDATIONS, VAL_CROPS)
    budget = Budget(steps=0) if job.method == "base" else budget_of(recipe, looks, time.process_time)
    if job.method == "instanseg":
        recipe = instanseg.at_seen_size(recipe, splits.train)
    prepared = plan_of(recipe, domain, splits, budget, NETWORKS.get(job.method), val_crops)
    contract = prepared.plan.contract
    plan = replace(
        prepared.plan,
        contract=instanseg.contract_at_seen_size(contract) if job.method == "instanseg" else contract,
        measure_before=False,
        regions=thorough and job.method != "base",
        calibrate_for=prepared.plan.calibrate_for if thorough else None,
    )
    return replace(prepared, plan=plan)


def network_result(
    job: Job, prepared: Prepared, others: Mapping[str, Samples], kept: Path | None = None
) -> dict[str, Any]:
    """Fit, and measure by one view of each tile; with minutes by the recipe's views too, with thresholds of their own.

    kept: the folder for what was learnt, if it is an adapter. others: images of other sets that it is measured on too,
    one view of each tile, by their sets' names.
    """
    asked, network = prepared.plan.contract, prepared.plan.network
    once = asked.changed(symmetries=1, window_px=0, test_scales=(1.0,))
    plan, untuned = replace(prepared.plan, contract=once), network.decoder.options
    fitted = FITS.get(job.method, fit)(plan)
    result = {
        **tested(job, plan, fitted),
        "elsewhere": {name: numbers(measured(plan, images)) for name, images in others.items()},
    }
    if job.budget == "minutes" and asked != once:
        network.decoder.options = untuned
        again = replace(prepared.plan, budget=Budget(steps=0))
        views = {"symmetries": asked.symmetries, "test_scales": asked.test_scales}
        result["views"] = {**views, **tested(job, again, fit(again)), "elsewhere": {}}
    if kept is not None and prepared.method is not None and job.method != "base":
        keep(kept, prepared)
    return {
        **result,
        **costs(fitted.training),
        "bytes": 0 if job.method == "base" else saved_bytes(prepared),
        "trainable": sum(weights.numel() for weights in network.parameters() if weights.requires_grad),
    }


def tested(job: Job, plan: Plan, fitted: Fitted) -> dict[str, Any]:
    """What a plan came to on the test split, and what it took to measure it."""
    assert fitted.after is not None
    start, oracle = time.process_time(), {}
    if job.budget == "minutes" and "covering_ois" in SETS[job.set].columns:
        oracle = {"covering_ois": best_of_granularities(plan.network, plan.test, "covering", plan.contract)}
    return {
        **numbers(fitted.after, oracle),
        "calibration": None if fitted.calibration is None else asdict(fitted.calibration),
        "eval_cpu_s": round(fitted.measure_cpu_s + time.process_time() - start, 1),
    }


def keep(run: Path, prepared: Prepared) -> None:
    """The parts of a run's folder that `figure.py` and `cli.py predict` read."""
    plan, section = prepared.plan, prepared.recipe.domain
    assert prepared.method is not None
    looks = appearances_of(plan.train, plan.val or [])
    data = Path(section.data).name
    info = describe(plan.network, prepared.method, plan.contract, section.name, data, appearances=looks)
    save_adapter(run / "adapter", plan.network, prepared.method, info, resolved_yaml(prepared.recipe), overwrite=True)


def classical_result(job: Job, domain: Domain, splits: Splits, others: Mapping[str, Samples]) -> dict[str, Any]:
    """Tune on the training images, and measure there and on the images of `others`."""
    samples = [splits.train[i] for i in range(len(splits.train))]
    start_cpu, start_wall = time.process_time(), time.monotonic()
    kind = classical.METHODS[SETS[job.set].classical]
    tuned = classical.tune(kind, samples, domain.headline, job.seconds, job.seed)
    took = Training(cpu_s=time.process_time() - start_cpu, wall_s=time.monotonic() - start_wall)
    start = time.process_time()
    metrics = by_function(tuned.method, domain, splits.test)
    parameters = asdict(tuned.method)  # type: ignore[call-overload]  # a dataclass, which a protocol cannot say
    return {
        **numbers(metrics),
        "eval_cpu_s": round(time.process_time() - start, 1),
        "elsewhere": {name: numbers(by_function(tuned.method, domain, images)) for name, images in others.items()},
        **costs(took),
        "bytes": len(repr(parameters)),
        "trainable": 0,
        "parameters": parameters,
        "settings_tried": tuned.tried,
        "settings": tuned.settings,
    }


def by_function(method: Callable[[np.ndarray], EntityMap], domain: Domain, images: Samples) -> MetricSet:
    """The domain's metrics of a function of the whole image (H, W, 3) uint8."""
    metrics = MetricSet(domain.metrics())
    for i, record in enumerate(records_of(images)):
        sample = images[i]
        metrics.update(method(sample.image), sample.truths, record.group, record.stratum)
    return metrics


def best_of_granularities(segmenter: EntitySegmenter, test: Samples, key: str, contract: InputContract) -> float:
    """A metric's mean over images when each is cut at the seed height that suits it best: BSDS500's OIS."""
    options, best = segmenter.decoder.options, []
    for sample in test:
        looked, values = OneLook(segmenter), []
        for height in GRANULARITIES:
            looked.again(replace(options, granularity=round(1 - height, 2)))
            values.append(measure(looked, [sample], [key], contract).compute()[key])
        best.append(max(values))
    segmenter.decoder.options = options
    return float(np.nanmean(best))


class OneLook(EntitySegmenter):
    """A segmenter that is asked for the same images in the same order again and again, and runs its network once."""

    def __init__(self, segmenter: EntitySegmenter) -> None:
        super().__init__(segmenter.backbone, segmenter.decoder, segmenter.projection)
        self.kept: list[list[Output]] = []
        self.next = 0

    def again(self, options: Any) -> None:
        """From the first image on, decoded by other options."""
        self.decoder.options = options
        self.next = 0

    def outputs(self, images: Sequence[np.ndarray], views: Views = ONE_VIEW) -> list[Output]:
        if self.next == len(self.kept):
            self.kept.append(super().outputs(images, views))
        self.next += 1
        return self.kept[self.next - 1]


def numbers(metrics: MetricSet, oracle: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Metrics, their intervals, and per stratum; oracle: further values that have no interval."""
    return {
        "metrics": {**metrics.compute(), **(oracle or {})},
        "intervals_95": metrics.interval(),
        "by_stratum": metrics.by_stratum(),
    }


def costs(training: Training) -> dict[str, Any]:
    """What a fit took, rounded."""
    return {
        "steps": training.steps,
        "fit_cpu_s": round(training.cpu_s, 1),
        "fit_wall_s": round(training.wall_s, 1),
        "val_loss": training.val_loss,
    }


def saved_bytes(prepared: Prepared) -> int:
    """Of the tensors that an adapter folder would hold."""
    network, method = prepared.plan.network, prepared.method
    states = [learnt_state(network.decoder)]
    if method is not None:
        states.append(adapter_state(network.backbone, method))
    return sum(tensor.nbytes for state in states for tensor in state.values())
