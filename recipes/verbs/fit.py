"""`cli.py fit`: labelled images in, an adapter and its numbers out.

RUN/ holds recipe.yaml, checkpoints/, history.csv, and at the end adapter/, metrics.json and preview.png. A killed run
goes on with --resume from its last round, to the same losses; of one that is finished --resume changes nothing.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np

from adapters.inference.calibration import calibrate
from adapters.inference.segment import InputContract, measure, segment
from adapters.network import EntitySegmenter
from adapters.runtime import CPU, Runtime
from adapters.sharing.folder import describe, round_to_half, save_adapter
from adapters.training.data import BatchOptions, EntityDataModule
from adapters.training.mining import HardNegatives
from adapters.training.module import EntityModule
from adapters.training.region_fit import FEWEST, fit_regions
from adapters.training.trainer import keep_best, make_trainer, was_interrupted
from domains.atomic import atomic_path
from domains.crops.crops import CropOptions
from domains.crops.normalisers import Normalised, fit_normaliser
from domains.datasets.cards import digest
from domains.datasets.domain import Domain
from domains.entities import EntityMap
from domains.entities.overlay import contact_sheet, overlay
from domains.errors import InputError
from domains.formats.layout import SPLITS
from domains.metrics import MetricSet
from recipes import set_up
from recipes.build import backbone_of, contract_of, domain_of, method_of, module_of, run_folder, segmenter_of
from recipes.check_data import check_data, check_entities, tell_reading
from recipes.learnt import images_of_fit
from recipes.reading.command import command, following, size_said
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.reading.schema import Recipe
from recipes.runtime import of_fit
from recipes.scale import at_scale, in_numbers, pixel_size, scale_line, unsized_note
from recipes.shared import own_yaml
from recipes.sides import on_patches
from recipes.verbs.progress import PATIENCE, Progress, reading_shown
from recipes.verbs.tables import before_after
from recipes.verbs.training_progress import TrainingProgress
from recipes.verbs.verdict import against, validation_curve, what_would_help

PREVIEWS = 6


def fit(recipe: Recipe, out: Path | None = None, resume: bool = False) -> Path:
    """Fit, measure on the test split, save; returns RUN. Raises InputError for data or a run that won't do, and
    KeyboardInterrupt, when what was learnt is saved, where Ctrl-C ended the training.
    """
    set_up()
    runtime = of_fit(recipe.train)
    domain = domain_of(recipe)
    wanted = calibrated_for(recipe, domain)
    run = run_folder("fit", recipe.domain.name, out)
    check_run(run, recipe, resume)
    if is_finished(run):
        print(f"{run} is finished, nothing was changed; its adapter is {run / 'adapter'}")
        print(f"next: to fit it for longer, go on from that adapter: {longer_line(run, recipe)}")
        return run
    L.seed_everything(recipe.train.seed, verbose=False)
    with reading_shown():
        train, val, test = (domain.dataset(split) for split in ("train", "val", "test"))
    print(f"{domain.name}: {recipe.domain.data}: {len(train)} images to train on, {len(val)} val, {len(test)} test")
    tell_reading(domain, recipe.domain)
    check_entities(domain, recipe.domain, SPLITS)
    check_data(domain, recipe.domain, SPLITS)
    backbone, asked = backbone_of(recipe), recipe
    recipe = at_scale(on_patches(recipe, backbone), train)
    if asked.domain.scale != recipe.domain.scale:
        print(scale_line(recipe, pixel_size(train)))
    method = method_of(recipe)
    segmenter = segmenter_of(recipe, backbone, method, runtime)
    print(learning_line(segmenter, method.name))
    stain = recipe.domain.stain and fit_normaliser(recipe.domain.stain, train)
    contract = contract_of(recipe, pixel_size(train), stain)
    if note := unsized_note(contract.pixel_size_m, train, val, test):
        print(note)

    module = module_of(recipe, segmenter)
    learnt, watched = (Normalised(part, stain) if stain else part for part in (train, val))
    data = data_of(recipe, domain, learnt, watched, pixel_size_m=contract.pixel_size_m)

    checkpoint = open_run(run, asked)  # not before: a mistake in the recipe or the data leaves no folder
    before = measured("before", segmenter, test, domain, contract)
    shown = {i: segment(segmenter, contract.photograph(test[i]), contract) for i in spread(len(test), PREVIEWS)}

    finished = train_module(run, recipe, module, data, checkpoint, runtime)
    states: dict[str, MetricSet] = {"before": before}
    if finished:
        if recipe.train.seconds and module.steps_done < recipe.train.steps:
            tell_ended_by_time(run, recipe, module.steps_done)
        learnt_from = regions_of(segmenter, learnt, contract, recipe.train.seed)
        round_to_half(segmenter.decoder)
        if learnt_from:
            print(f"regions: learnt from {learnt_from} candidates of the training images")
        if recipe.train.calibrate:
            with Progress("calibrate", 0, patience=PATIENCE) as progress:
                chosen = calibrate(segmenter, watched, domain.metrics, wanted, contract, on_progress=progress.reach)
            print(chosen)
        states["after"] = measured("after", segmenter, test, domain, contract)

    segmenter.place(CPU)  # where its probe will be checked
    values = {state: found.compute() for state, found in states.items()}
    card = domain.card()
    name = recipe.domain.data if recipe.domain.data == "sample" else Path(recipe.domain.data).resolve().name
    info = describe(
        segmenter,
        method,
        contract,
        domain.name,
        name,
        card and digest(card),
        plain(values),
        images_of_fit(recipe, domain),
    )
    save_adapter(run / "adapter", segmenter, method, info, own_yaml(recipe), overwrite=True)
    preview(run / "preview.png", segmenter.place(runtime), test, shown, contract)
    write_json(run / "metrics.json", report(states, module, run, len(test)))
    if not finished:
        print(f"stopped after {module.steps_done} steps; what was learnt is in {run / 'adapter'}")
        print(following("fit", "--recipe", run / "recipe.yaml", "--out", run, "--resume"), flush=True)
        raise KeyboardInterrupt
    print(before_after(states["before"], states["after"], domain.headline))
    start = "its start" if recipe.train.start_adapter else "the base"
    print(against(start, states["before"], states["after"], domain.headline))
    curve = validation_curve(run / "history.csv")
    print(what_would_help(curve, recipe.train.steps, recipe.train.seconds, len(train)))
    adapter = run / "adapter"
    size = sum(file.stat().st_size for file in adapter.iterdir())
    print(f"adapter: {adapter} ({size / 1e6:.2f} MB)")
    print(f"pictures: {run / 'preview.png'}   numbers: {run / 'metrics.json'}")
    said = size_said(recipe.domain.pixel_size_m)
    print(following("predict", "--adapter", adapter, "IMAGE", "--out", run / "predictions", *said))
    return run


def check_run(run: Path, recipe: Recipe, resume: bool) -> None:
    """Raises InputError where RUN may not be begun, or gone on with: an existing run is never overwritten."""
    described = run / "recipe.yaml"
    if described.exists():
        if not resume:
            raise InputError(f"{str(run)!r} holds a run already; go on with it by --resume, or name another --out")
        begun = described.read_text(encoding="utf-8")
        if begun == resolved_yaml(recipe):
            return
        if begun == resolved_yaml(with_budget_of(recipe, load_recipe(described))):
            state = "is finished" if is_finished(run) else "is not finished; finish it by --resume without it first"
            raise InputError(
                f"train.steps or train.seconds is another than {str(run)!r} was started with, whose learning rate has "
                f"followed that, and which {state}; to fit for longer go on from its adapter: "
                f"{longer_line(run, recipe)}"
            )
        raise InputError(f"{str(run)!r} was started with another recipe; resume with --recipe {described}")


def with_budget_of(recipe: Recipe, other: Recipe) -> Recipe:
    """The recipe, to be trained for as long as the other."""
    return replace(recipe, train=replace(recipe.train, steps=other.train.steps, seconds=other.train.seconds))


def is_finished(run: Path) -> bool:
    """Whether RUN was trained to its end and measured: metrics.json is written last, and says what came after."""
    try:
        return "after" in json.loads((run / "metrics.json").read_text(encoding="utf-8"))["metrics"]
    except (OSError, ValueError, LookupError, TypeError):
        return False


def longer_line(run: Path, recipe: Recipe) -> str:
    """The command that goes on from the adapter of RUN, for as long as the recipe says, in a folder beside it."""
    number = 2
    while (out := run.with_name(f"{run.name}-{number}")).exists():
        number += 1
    words = ["--recipe", str(run / "recipe.yaml"), "--out", str(out), f"train.start={run / 'adapter'}"]
    seconds = [f"train.seconds={recipe.train.seconds:g}"] if recipe.train.seconds else []
    return command("fit", *words, f"train.steps={recipe.train.steps}", *seconds)


def tell_ended_by_time(run: Path, recipe: Recipe, steps: int) -> None:
    """Print, on standard error, that the seconds ended the fit before its steps were done, and how to go on."""
    print(
        f"ended by time: train.seconds={recipe.train.seconds:g} were over at step {steps} of {recipe.train.steps}; "
        f"train.seconds=null does all steps, and to go on from this adapter: {longer_line(run, recipe)}",
        file=sys.stderr,
    )


def tell_no_regions(candidates: int) -> None:
    """Print, on standard error, that `decoder.regions` was given up."""
    print(
        f"regions: not learnt, the training images gave {candidates} candidates, wanted {FEWEST} or more: entities are "
        "cut out by the watershed instead",
        file=sys.stderr,
    )


def open_run(run: Path, recipe: Recipe) -> Path | None:
    """Make RUN, which `check_run` has passed, or go on with it; returns the checkpoint to go on from."""
    described, checkpoint = run / "recipe.yaml", run / "checkpoints" / "last.ckpt"
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {str(run)!r}: {error.strerror}; name another --out") from error
    with atomic_path(described) as path:
        path.write_text(resolved_yaml(recipe), encoding="utf-8")
    return checkpoint if checkpoint.exists() else None


def data_of(
    recipe: Recipe,
    domain: Domain,
    train: Any,
    val: Any,
    round_steps: int | None = None,
    val_crops: int = 64,
    pixel_size_m: float | None = None,
) -> EntityDataModule:
    """The crops that a recipe is fitted on; round_steps: None for the recipe's `validate_every`."""
    options, seen = recipe.train, recipe.domain
    crops = CropOptions(
        crop_px=seen.crop_px,
        scale=in_numbers(seen.scale),
        pixel_size_m=pixel_size_m,
        balance=seen.balance,
        paste_share=seen.paste_share,
        drawn_share=seen.drawn_defects,
        draw=getattr(domain, "draw", None),
        hard_share=seen.hard_negatives,
    )
    batches = BatchOptions(
        batch_size=options.batch_size,
        round_steps=round_steps or min(options.validate_every, options.steps),
        seed=options.seed,
        workers=options.workers,
        val_crops=val_crops,
    )
    rehearsal = domain.rehearsal(seen.crop_px * 4 // 3) if options.rehearsal else None
    return EntityDataModule(train, val, domain.augmentation(), crops, batches, rehearsal, options.rehearsal)


def calibrated_for(recipe: Recipe, domain: Domain) -> str:
    """The metric that calibration makes most of. Raises InputError where the domain does not measure it."""
    key, measured = recipe.train.calibrate_for or domain.headline, domain.metrics()
    if key not in measured:
        raise InputError(f"train.calibrate_for is {key!r}; {domain.name} measures {', '.join(measured)}")
    return key


def train_module(
    run: Path,
    recipe: Recipe,
    module: EntityModule,
    data: EntityDataModule,
    checkpoint: Path | None,
    runtime: Runtime = CPU,
) -> bool:
    """Train from the checkpoint or from the start, best weights kept; False when Ctrl-C ended it."""
    options = recipe.train
    mining = [HardNegatives(data.crops)] if recipe.domain.hard_negatives else []
    trainer = make_trainer(
        run,
        options.steps,
        min(options.validate_every, options.steps),
        runtime,
        options.clip,
        [TrainingProgress("fit", options.steps, options.seconds), *mining],
        tensorboard(run),
    )
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    interrupted = was_interrupted(trainer)
    keep_best(trainer, module, data)
    round_to_half(module.segmenter.decoder)
    return not interrupted


def regions_of(segmenter: EntitySegmenter, samples: Any, contract: InputContract, seed: int) -> int:
    """Fit the scorer of regions where the decoder has one; returns how many candidates it learnt from."""
    if not getattr(segmenter.decoder.options, "regions", False):
        return 0
    with Progress("regions", 0, patience=PATIENCE) as progress:
        return fit_regions(
            segmenter, samples, contract, seed=seed, given_up=tell_no_regions, on_progress=progress.reach
        )


def tensorboard(run: Path) -> list[Any]:
    """A TensorBoard log where tensorboard is installed."""
    try:
        import tensorboard as _  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        return []
    from lightning.pytorch.loggers import TensorBoardLogger

    return [TensorBoardLogger(str(run), name="tensorboard", version="")]


def measured(
    state: str, segmenter: EntitySegmenter, samples: Any, domain: Domain, contract: InputContract
) -> MetricSet:
    with Progress(f"measure {state}", len(samples), unit="images") as progress:
        return measure(segmenter, samples, MetricSet(domain.metrics()), contract, progress.advance, progress.tick)


def learning_line(segmenter: EntitySegmenter, method: str) -> str:
    counts = [
        sum(p.numel() for p in part.parameters() if p.requires_grad) for part in (segmenter.backbone, segmenter.decoder)
    ]
    total = sum(p.numel() for p in segmenter.parameters())
    return (
        f"{method} on {segmenter.backbone.name}: {counts[0] / 1e3:.0f} k weights learn in the backbone, "
        f"{counts[1] / 1e3:.0f} k in the decoder, of {total / 1e6:.2f} M"
    )


def spread(count: int, most: int) -> list[int]:
    """Up to `most` indices, evenly over all: data sets are sorted by kind or patient."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def preview(
    path: Path, segmenter: EntitySegmenter, test: Any, before: dict[int, EntityMap], contract: InputContract
) -> None:
    """A row per image: as it is, truth, before, after."""
    rows = []
    for i, then in before.items():
        sample = test[i]
        now = segment(segmenter, contract.photograph(sample), contract)
        shown = [("truth", sample.truth), ("before", then), ("after", now)]
        pictures = [(f"{word}: {entities.count}", overlay(sample.image, entities)) for word, entities in shown]
        rows.append([(sample.place.scene, sample.image), *pictures])
    with atomic_path(path) as temporary:
        contact_sheet(rows).save(temporary)


def report(states: dict[str, MetricSet], module: EntityModule, run: Path, images: int) -> dict[str, Any]:
    """What metrics.json says."""
    intervals = {state: found.interval() for state, found in states.items()}
    return {
        "metrics": plain({state: found.compute() for state, found in states.items()}),
        "intervals_95": {state: plain(value) for state, value in intervals.items()},
        "images": images,
        "split": "test",
        "steps": module.steps_done,
        "seconds": round(module.seconds, 1),
        "adapter": str(run / "adapter"),
    }


def plain(value: Any) -> Any:
    """For JSON: numpy numbers to Python's, nan to null."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return None if not np.isfinite(value) else float(value)
    return value


def write_json(path: Path, content: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
