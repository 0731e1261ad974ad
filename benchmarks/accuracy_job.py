"""One job of the accuracy benchmark: fit within the budget, measure on the test split, write the result."""

from __future__ import annotations

import platform
import resource
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lightning as L
import numpy as np
import torch

from adapters.decoders import Dense
from adapters.inference.calibration import calibrate
from adapters.inference.segment import InputContract, measure
from adapters.methods import Method, adapter_state
from adapters.network import ONE_VIEW, EntitySegmenter, Output, Views
from adapters.options.section import values_of
from adapters.runtime import Runtime
from adapters.sharing.folder import describe, plain_state, save_adapter
from adapters.training.data import EntityDataModule
from adapters.training.mining import HardNegatives
from adapters.training.module import EntityModule, best_precision
from adapters.training.region_fit import fit_regions
from adapters.training.trainer import keep_best, make_trainer
from benchmarks import classical
from benchmarks.accuracy_plan import METHODS, SETS, Job
from benchmarks.unet import UNETS
from domains.datasets.domain import Domain
from domains.metrics import MetricSet
from recipes import set_up
from recipes.build import backbone_of, contract_of, domain_of, method_of, module_of, segmenter_of
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.reading.schema import DomainSection, Recipe
from recipes.scale import at_scale, pixel_size
from recipes.verbs.fit import data_of, plain, write_json

VALIDATIONS = 3
VAL_CROPS = 24
LONG_VALIDATIONS = 8  # in the budget of minutes
LONG_VAL_CROPS = 64
ENOUGH_STEPS = 10**6  # under a budget of time
GRANULARITIES = tuple(round(0.02 * step, 2) for step in range(1, 46))  # seed heights for the oracle
WARMUP_STEPS = 8  # the recipes' 20 would be half of what some methods do in these budgets


@dataclass(frozen=True)
class Fitted:
    """What fitting cost and gave."""

    steps: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    val_loss: float | None = None


def result_name(job: Job) -> str:
    """Of a job's file: the same seconds buy other steps in another precision, so a fit in bf16 is a result apart."""
    fitted = job.method not in ("base", "classical")
    return f"{job.name}-bf16" if fitted and best_precision("auto", "cpu") == "bf16-mixed" else job.name


def run_job(job: Job, data: Path, path: Path, runs: Path | None = None) -> dict[str, Any]:
    """The result, also written to `path`; runs: where the adapter is kept, as `<job>/adapter`.

    Raises InputError for data that are not there.
    """
    set_up()
    torch.set_num_threads(1)
    recipe = recipe_of(job, data)
    L.seed_everything(job.seed, verbose=False)
    domain = opened(recipe.domain)  # type: ignore[arg-type]  # pydantic makes frozen models hashable
    recipe = at_scale(recipe, domain.dataset("train"))
    test = domain.dataset("test")
    entities = entities_by_stratum(test)
    kept = runs and runs / job.name
    others = others_of(job, data)
    if job.method == "classical":
        result = classical_result(job, domain, others)
    else:
        result = network_result(job, recipe, domain, kept, others)
    result = {
        "set": job.set,
        "method": job.method,
        "budget": job.budget,
        "seed": job.seed,
        "seconds_limit": job.seconds if job.budget in ("time", "minutes") else None,
        "steps_limit": job.steps if job.budget == "steps" else None,
        "images_limit": job.images,
        "elsewhere_images": {name: len(images) for name, images in others.items()},
        **result,
        "images": len(test),
        "groups": len({record.group for record in test.records}),  # type: ignore[attr-defined]
        "split": name_digest(record.name for record in test.records),  # type: ignore[attr-defined]
        "entities": sum(entities.values()),
        "stratum_entities": entities,
        "train_images": len(domain.dataset("train")),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),  # of the process so far
        "threads": torch.get_num_threads(),
        "recipe": values_of(recipe, exclude={"domain": {"data", "groups"}}),
        "precision": best_precision(recipe.train.precision, "cpu"),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()},
    }
    write_json(path, plain(result))
    return plain(result)


def others_of(job: Job, data: Path) -> dict[str, Any]:
    """The images of other sets that a job is measured on too, of those that are there."""
    others = {other: split for other, split in SETS[job.set].elsewhere if (data / other).is_dir()}
    sections = {other: recipe_of(replace(job, set=other), data).domain for other in others}
    return {other: opened(sections[other]).dataset(split) for other, split in others.items()}  # type: ignore[arg-type]


@lru_cache(maxsize=3)
def opened(section: DomainSection) -> Domain:
    """The data, read once for the jobs on one set: opening it takes 3 to 7 seconds."""
    return domain_of(Recipe(domain=section))


def entities_by_stratum(test: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record, sample in zip(test.records, test, strict=True):
        counts[record.stratum] = counts.get(record.stratum, 0) + sample.truth.count
    return counts


def name_digest(names: Iterable[str]) -> str:
    """Results are comparable only where they saw the same test images."""
    return blake2b("\n".join(names).encode(), digest_size=4).hexdigest()


def recipe_of(job: Job, data: Path) -> Recipe:
    overrides = [f"domain.data={data / job.set}", f"train.seed={job.seed}", f"train.warmup_steps={WARMUP_STEPS}"]
    overrides += METHODS[job.method]
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


def network_result(
    job: Job, recipe: Recipe, domain: Domain, kept: Path | None = None, others: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Fit unless it is the base as it comes, and measure; kept: the folder for what was learnt, if it is an adapter.
    others: images of other sets that it is measured on too, one view of each tile, by their sets' names.
    """
    method = None if job.method in UNETS else method_of(recipe)
    if method is None:
        segmenter: EntitySegmenter = UNETS[job.method](Dense(**recipe.decoder.options()))
    else:
        segmenter = segmenter_of(recipe, backbone_of(recipe), method)
    train, val = domain.dataset("train"), domain.dataset("val")
    long = job.budget == "minutes"
    fitted = Fitted() if job.method == "base" else fit(recipe, segmenter, domain, train, val, long)
    asked, untuned = contract_of(recipe, pixel_size(train)), segmenter.decoder.options
    once = asked.changed(symmetries=1, window_px=0, test_scales=(1.0,))
    measured = tested(job, segmenter, domain, once, long, others)
    if long and asked != once:
        segmenter.decoder.options = untuned
        measured["views"] = {
            "symmetries": asked.symmetries,
            "test_scales": asked.test_scales,
            **tested(job, segmenter, domain, asked, long, {}),
        }
    if kept is not None and method is not None and job.method != "base":
        keep(kept, recipe, segmenter, method, asked)
    return {
        **measured,
        **costs(fitted),
        "bytes": 0 if job.method == "base" else saved_bytes(segmenter, method),
        "trainable": sum(p.numel() for p in segmenter.parameters() if p.requires_grad),
    }


def tested(
    job: Job, segmenter: EntitySegmenter, domain: Domain, contract: InputContract, long: bool, others: Mapping[str, Any]
) -> dict[str, Any]:
    """Metrics on the test split; long: with thresholds chosen on the validation split, which the segmenter keeps."""
    val, test = domain.dataset("val"), domain.dataset("test")
    if long and job.method != "base":
        fit_regions(segmenter, domain.dataset("train"), contract, seed=job.seed)
    calibration = calibrate(segmenter, val, domain.metrics, domain.headline, contract) if long else None
    start = time.process_time()
    measured = measure(segmenter, test, MetricSet(domain.metrics()), contract)
    oracle = {}
    if long and "covering_ois" in SETS[job.set].columns:
        oracle = {"covering_ois": best_of_granularities(segmenter, test, "covering", contract)}
    return {
        **numbers(measured, oracle),
        "calibration": None if calibration is None else asdict(calibration),
        "eval_cpu_s": round(time.process_time() - start, 1),
        "elsewhere": {
            name: numbers(measure(segmenter, images, MetricSet(domain.metrics()), contract))
            for name, images in others.items()
        },
    }


def keep(run: Path, recipe: Recipe, segmenter: EntitySegmenter, method: Method, contract: InputContract) -> None:
    """The parts of a run's folder that `figure.py` and `cli.py predict` read."""
    info = describe(segmenter, method, contract, recipe.domain.name, Path(recipe.domain.data).name)
    save_adapter(run / "adapter", segmenter, method, info, resolved_yaml(recipe), overwrite=True)


def fit(recipe: Recipe, segmenter: EntitySegmenter, domain: Domain, train: Any, val: Any, long: bool) -> Fitted:
    """Train as `cli.py fit` does, by the process's own clock; the best of a few validated states is kept."""
    validations, val_crops = (LONG_VALIDATIONS, LONG_VAL_CROPS) if long else (VALIDATIONS, VAL_CROPS)
    options = recipe.train
    module = module_of(recipe, segmenter)
    module.clock = time.process_time

    def data(round_steps: int) -> EntityDataModule:
        return data_of(recipe, domain, train, val, round_steps, val_crops)

    whole = options.steps if options.seconds is None else options.seconds / seconds_per_step(module, data(3))
    round_steps = max(1, round(whole / validations))
    start_cpu, start_wall = time.process_time(), time.monotonic()
    with tempfile.TemporaryDirectory() as run:
        precision = best_precision(options.precision, "cpu")
        fitting = data(round_steps)
        mining = [HardNegatives(fitting.crops)] if recipe.domain.hard_negatives else []
        trainer = make_trainer(Path(run), options.steps, round_steps, Runtime(training=precision), options.clip, mining)
        trainer.fit(module, fitting)
        best = keep_best(trainer, module, fitting)
    return Fitted(module.steps_done, time.process_time() - start_cpu, time.monotonic() - start_wall, best)


def seconds_per_step(module: EntityModule, data: EntityDataModule) -> float:
    """Of CPU, without a change to any weight: how far apart validations lie under a budget of time needs a guess."""
    took = []
    module.train()
    start = time.process_time()
    for batch in data.train_dataloader():
        terms = module.loss(module(batch.images), batch)
        torch.stack(list(terms.values())).sum().backward()
        took.append(time.process_time() - start)
        start = time.process_time()
    module.zero_grad()
    return min(took)


def classical_result(job: Job, domain: Domain, others: Mapping[str, Any]) -> dict[str, Any]:
    """Tune on the training images, and measure there and on the images of `others`."""
    train = domain.dataset("train")
    samples = [train[i] for i in range(len(train))]
    start_cpu, start_wall = time.process_time(), time.monotonic()
    kind = classical.METHODS[SETS[job.set].classical]
    tuned = classical.tune(kind, samples, domain.headline, job.seconds, job.seed)
    fitted = Fitted(0, time.process_time() - start_cpu, time.monotonic() - start_wall)
    start = time.process_time()
    measured = classically(tuned.method, domain, domain.dataset("test"))
    parameters = asdict(tuned.method)  # type: ignore[call-overload]
    return {
        **numbers(measured),
        "eval_cpu_s": round(time.process_time() - start, 1),
        "elsewhere": {name: numbers(classically(tuned.method, domain, images)) for name, images in others.items()},
        **costs(fitted),
        "bytes": len(repr(parameters)),
        "trainable": 0,
        "parameters": parameters,
        "settings_tried": tuned.tried,
        "settings": tuned.settings,
    }


def classically(method: classical.Classical, domain: Domain, images: Any) -> MetricSet:
    """Metrics of a classical method over labelled images."""
    metrics = MetricSet(domain.metrics())
    for record, sample in zip(images.records, images, strict=True):
        metrics.update(method(sample.image), sample.truths, record.group, record.stratum)
    return metrics


def best_of_granularities(segmenter: EntitySegmenter, test: Any, key: str, contract: InputContract) -> float:
    """A metric's mean over images when each is cut at the seed height that suits it best: BSDS500's OIS."""
    options, best = segmenter.decoder.options, []
    for sample in test:
        looked, values = OneLook(segmenter), []
        for height in GRANULARITIES:
            looked.again(replace(options, seed_height=height))
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


def numbers(measured: MetricSet, oracle: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Metrics, their intervals, and per stratum; oracle: further values that have no interval."""
    return {
        "metrics": {**measured.compute(), **(oracle or {})},
        "intervals_95": measured.interval(),
        "by_stratum": measured.by_stratum(),
    }


def costs(fitted: Fitted) -> dict[str, Any]:
    return {
        "steps": fitted.steps,
        "fit_cpu_s": round(fitted.cpu_s, 1),
        "fit_wall_s": round(fitted.wall_s, 1),
        "val_loss": fitted.val_loss,
    }


def saved_bytes(segmenter: EntitySegmenter, method: Method | None) -> int:
    """Of the tensors that an adapter folder would hold."""
    states = [plain_state(segmenter.decoder)]
    if method is not None:
        states.append(adapter_state(segmenter.backbone, method))  # type: ignore[arg-type]
    return sum(tensor.nbytes for state in states for tensor in state.values())
