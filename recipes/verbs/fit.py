"""`cli.py fit`: labelled images in, an adapter and its numbers out.

RUN/ holds recipe.yaml, checkpoints/, history.csv, and at the end adapter/, metrics.json, preview.png and report.html.
A killed run goes on with --resume from its last round, to the same losses; of one that is finished --resume changes
nothing.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adapters.runtime import CPU, Runtime
from adapters.sharing.door import read_info
from adapters.sharing.folder import describe, save_adapter
from adapters.sharing.labels_file import set_labeller
from adapters.sharing.opening import opened
from adapters.sharing.student_file import describe_student
from adapters.training import fitting
from adapters.training.fitting import Fitted, Plan, Ranks
from adapters.training.ranks import Rank, RankEndedError, started
from adapters.training.student_fit import FittedStudent
from domains.atomic import atomic_path
from domains.datasets.cards import digest, licence_of
from domains.datasets.domain import Domain
from domains.entities import EntityMap
from domains.entities.overlay import contact_sheet, overlay
from domains.errors import InputError
from domains.formats.layout import SPLITS
from recipes import set_up
from recipes.build import domain_of, run_folder
from recipes.check_data import check_data, check_entities, check_unlabelled, tell_reading
from recipes.labels import check_map, labels_of
from recipes.learnt import images_of_fit
from recipes.plan import Prepared, Splits, calibrated_for, check_learning, plan_of, splits_of
from recipes.reading.command import command, following, size_said
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.reading.schema import Recipe
from recipes.report.page import write_page
from recipes.routing import appearances_of
from recipes.shared import own_yaml
from recipes.verbs.fit_student import student_line, student_of, unlabelled_of
from recipes.verbs.numbers import counted, defined, plain, write_json
from recipes.verbs.pages import fit_page, pictures_of
from recipes.verbs.progress import Progress, reading_shown
from recipes.verbs.rank import words_of
from recipes.verbs.tables import before_after
from recipes.verbs.training_progress import Terminal
from recipes.verbs.unlabelled import taught
from recipes.verbs.verdict import against, validation_curve, what_would_help

PREVIEWS = 6
QUICK_S = 2.0
"""A log has no line of what takes no longer."""


def fit(recipe: Recipe, out: Path | None = None, resume: bool = False) -> Path:
    """Fit, measure on the test split, save; returns RUN. Raises InputError for data or a run that won't do, and
    KeyboardInterrupt, when what was learnt is saved, where Ctrl-C ended the training.
    """
    set_up()
    domain = domain_of(recipe)
    check_learning(recipe)
    calibrated_for(recipe, domain)  # a mistake in the recipe is told before a run that stands in the way
    run = run_folder("fit", recipe.domain.name, out)
    check_run(run, recipe, resume)
    if is_finished(run):
        print(f"{run} is finished, nothing was changed; its adapter is {run / 'adapter'}")
        print(f"next: to fit it for longer, go on from that adapter: {longer_line(run, recipe)}")
        return run
    splits = read_splits(recipe, domain)
    if recipe.train.unlabelled is not None and recipe.train.unlabelled_share:
        check_unlabelled(domain, recipe.domain, recipe.train.unlabelled)
    check_map(recipe.labels, splits.train)
    prepared = taught(plan_of(recipe, domain, splits, shown=spread(len(splits.test), PREVIEWS)), domain)
    for line in prepared.lines():
        print(line)
    unlabelled = unlabelled_of(prepared)
    checkpoint = open_run(run, recipe)  # not before: a mistake in the recipe or the data leaves no folder
    reporter = Terminal(prepared.plan.budget, lambda: longer_line(run, recipe))
    try:
        fitted = fitting.fit(prepared.plan, reporter, run, checkpoint, ranks_of(recipe, run, checkpoint))
    except RankEndedError as error:
        raise RankEndedError(f"{error}; {resumed_line(run)}") from error
    student, stopped = None, fitted.training.interrupted
    try:
        student = None if stopped else student_of(prepared, unlabelled, reporter)
    except KeyboardInterrupt:  # the adapter stays, and is not called finished, so that --resume comes to its student
        stopped, fitted = True, replace(fitted, after=None)
    save(run, prepared, domain, fitted, student)
    if stopped:
        print(f"stopped after {fitted.training.steps} steps; what was learnt is in {run / 'adapter'}")
        print(following("fit", "--recipe", run / "recipe.yaml", "--out", run, "--resume"), flush=True)
        raise KeyboardInterrupt
    tell(run, prepared, domain, fitted, student)
    return run


def ranks_of(recipe: Recipe, run: Path, checkpoint: Path | None) -> Ranks:
    """What begins the other processes of a fit on several devices; they read the recipe in RUN."""
    if recipe.train.devices == 1:
        return fitting.alone

    def ranks(runtime: Runtime) -> AbstractContextManager[Rank]:
        return started(words_of(run, checkpoint), runtime)

    return ranks


def resumed_line(run: Path) -> str:
    """Where the last checkpoint is, and the command that goes on from it."""
    checkpoint = run / "checkpoints" / "last.ckpt"
    state = f"the last round is in {checkpoint}" if checkpoint.exists() else "no round was over"
    line = command("fit", "--recipe", run / "recipe.yaml", "--out", run, "--resume")
    return f"{state}; go on by {line} (on fewer devices too: train.devices=1)"


def read_splits(recipe: Recipe, domain: Domain) -> Splits:
    """The data's splits, read, counted and checked in the terminal. Raises InputError for data that won't do."""
    with reading_shown():
        splits = splits_of(domain)
    train, val, test = map(len, splits)
    print(f"{domain.name}: {recipe.domain.data}: {counted(train, 'image')} to train on, {val} val, {test} test")
    tell_reading(domain, recipe.domain)
    check_entities(domain, recipe.domain, SPLITS)
    check_data(domain, recipe.domain, SPLITS)
    return splits


def save(run: Path, prepared: Prepared, domain: Domain, fitted: Fitted, student: FittedStudent | None = None) -> None:
    """Write adapter/, preview.png, report.html and, last, metrics.json, by which a run is known to be finished."""
    plan, recipe, card = prepared.plan, prepared.recipe, domain.card()
    plan.network.place(CPU)  # where its probe will be checked
    assert prepared.method is not None
    network = None if student is None else student.student.place(CPU)
    numbers = report(fitted, run, len(plan.test), student)
    name = recipe.domain.data if recipe.domain.data == "sample" else Path(recipe.domain.data).resolve().name
    info = describe(
        plan.network,
        prepared.method,
        plan.contract,
        domain.name,
        name,
        card_digest=card and digest(card),
        metrics=numbers["metrics"],
        intervals={state: defined(metrics.interval()) for state, metrics in fitted.measured.items()},
        data_licence=card and licence_of(card.front),
        student=network and describe_student(network),
        learnt_from=images_of_fit(recipe, domain),
        appearances=appearances_of(plan.train, plan.val or []),
    )
    save_adapter(
        run / "adapter",
        plan.network,
        prepared.method,
        info,
        own_yaml(recipe),
        overwrite=True,
        student=network and network.decoder,
    )
    if fitted.after is not None:
        name_entities(run / "adapter", prepared)
    preview(run / "preview.png", plan, fitted)
    if fitted.after is not None:
        write_report(run, prepared, domain, fitted, student)
    write_json(run / "metrics.json", numbers)


def name_entities(adapter: Path, prepared: Prepared) -> None:
    """Teach the adapter the classes of its data, where they have any, and say what it knows of them, and what of the
    adapter that it goes on from it has not.
    """
    prepared.plan.network.place(prepared.plan.runtime)
    with Progress("labels", 0, unit="images", patience=QUICK_S) as progress:
        labels = labels_of(prepared, lambda done, count: progress.reach("images", done, count))
    if labels is not None:
        set_labeller(adapter, labels.labeller, labels.accuracy)
        print(labels.line(), flush=True)
    if (start := prepared.recipe.train.start_adapter) is None:
        return
    with opened(Path(start)) as folder:
        former = read_info(folder)
    if former.labels is not None and labels is None:
        print(f"labels: none; the classes of {start} are left out, as these data taught none", flush=True)
    if former.memory is not None:
        print(f"memory: none; that of {start} is left out: `adapters follow` fits one to these data", flush=True)


def write_report(
    run: Path, prepared: Prepared, domain: Domain, fitted: Fitted, student: FittedStudent | None = None
) -> None:
    """Write RUN/report.html; of its test images those are predicted again that were not kept while measuring."""
    plan, after = prepared.plan, fitted.after
    assert after is not None
    plan.network.place(plan.runtime)  # as it was measured

    def predict(index: int) -> EntityMap:
        predictions = fitted.shown_after
        return predictions[index] if index in predictions else fitting.entities_of(replace(plan, shown=[index]))[index]

    pictures = pictures_of(plan.test, after, domain.headline, predict)
    sentences = verdict(run, prepared, domain, fitted, student)
    page = fit_page(
        prepared.recipe, fitted, domain.headline, run / "adapter", sentences, pictures, facts(run, prepared, fitted)
    )
    write_page(run / "report.html", page)


def facts(run: Path, prepared: Prepared, fitted: Fitted) -> dict[str, str]:
    """What was fitted, and on what, by name."""
    plan, recipe, training = prepared.plan, prepared.recipe, fitted.training
    assert prepared.method is not None and fitted.after is not None
    return {
        "recipe": recipe.domain.name,
        "method": prepared.method.name,
        "base": Path(plan.network.backbone.name).name,
        "images": f"{len(plan.train)} training, {len(plan.val or ())} validation",
        "measured on": f"{len(plan.test)} test images in {len(set(fitted.after.groups))} groups",
        "training": f"{training.steps} steps in {training.seconds:.0f} s",
        "adapter": f"{size_of(run / 'adapter') / 1e6:.2f} MB",
    }


def size_of(adapter: Path) -> int:
    """Bytes of an adapter's files."""
    return sum(file.stat().st_size for file in adapter.iterdir())


def verdict(
    run: Path, prepared: Prepared, domain: Domain, fitted: Fitted, student: FittedStudent | None = None
) -> list[str]:
    """What the fit was worth, and what would help it, as lines."""
    recipe, before, after = prepared.recipe, fitted.before, fitted.after
    assert before is not None and after is not None
    start = "its start" if recipe.train.start_adapter else "the base"
    lines = [against(start, before, after, domain.headline)]
    if fitted.training.steps:
        curve = validation_curve(run / "history.csv")
        lines.append(what_would_help(curve, recipe.train.steps, recipe.train.seconds, len(prepared.plan.train)))
    return lines if student is None else [*lines, student_line(fitted, student, domain.headline)]


def tell(run: Path, prepared: Prepared, domain: Domain, fitted: Fitted, student: FittedStudent | None = None) -> None:
    """Print what the fit was worth, what would help it, and where its files are."""
    recipe, before, after = prepared.recipe, fitted.before, fitted.after
    assert before is not None and after is not None
    print(before_after(before, after, domain.headline))
    for line in verdict(run, prepared, domain, fitted, student):
        print(line)
    adapter = run / "adapter"
    print(f"adapter: {adapter} ({size_of(adapter) / 1e6:.2f} MB)")
    print(f"pictures: {run / 'preview.png'}   numbers: {run / 'metrics.json'}   report: {run / 'report.html'}")
    pixel_size = size_said(recipe.domain.pixel_size_m)
    print(following("predict", "--adapter", adapter, "IMAGE", "--out", run / "predictions", *pixel_size))


def check_run(run: Path, recipe: Recipe, resume: bool) -> None:
    """Raises InputError where RUN may not be begun, or gone on with: an existing run is never overwritten."""
    described = run / "recipe.yaml"
    if described.exists():
        if not resume:
            raise InputError(f"{str(run)!r} holds a run already; go on with it by --resume, or name another --out")
        begun = described.read_text(encoding="utf-8")
        recipe = on_devices_of(recipe, load_recipe(described))
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


def with_budget_of(recipe: Recipe, model: Recipe) -> Recipe:
    """The recipe, to be trained for as long as the other."""
    budget = {"steps": model.train.steps, "seconds": model.train.seconds}
    return replace(recipe, train=replace(recipe.train, **budget))


def on_devices_of(recipe: Recipe, model: Recipe) -> Recipe:
    """The recipe, on as many devices as the other: their number changes no loss, but that several keep no crops."""
    if recipe.train.devices == model.train.devices:
        return recipe
    return replace(recipe, train=replace(recipe.train, devices=model.train.devices, cache=model.train.cache))


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


def spread(count: int, limit: int) -> list[int]:
    """Up to `limit` indices, evenly over all: data sets are sorted by kind or patient."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, limit))})


def preview(path: Path, plan: Plan, fitted: Fitted) -> None:
    """A row per image: as it is, truth, before, after."""
    with atomic_path(path) as temporary:
        contact_sheet(rows_of(plan, fitted)).save(temporary)


def rows_of(plan: Plan, fitted: Fitted) -> list[list[tuple[str, np.ndarray]]]:
    """The rows of `preview`: pictures with a line below each."""
    rows = []
    for i, before in fitted.shown_before.items():
        sample = plan.test[i]
        maps = {"truth": sample.truth, "before": before, "after": fitted.shown_after[i]}
        pictures = [(f"{word}: {entities.count}", overlay(sample.image, entities)) for word, entities in maps.items()]
        rows.append([(sample.place.scene, sample.image), *pictures])
    return rows


def report(fitted: Fitted, run: Path, images: int, student: FittedStudent | None = None) -> dict[str, Any]:
    """What metrics.json says."""
    measured = fitted.measured | ({} if student is None else {"student": student.measured})
    return {
        "metrics": plain({state: metrics.compute() for state, metrics in measured.items()}),
        "intervals_95": {state: plain(metrics.interval()) for state, metrics in measured.items()},
        "images": images,
        "split": "test",
        "steps": fitted.training.steps,
        "seconds": round(fitted.training.seconds, 1),
        "adapter": str(run / "adapter"),
    }
