"""`cli.py adapters follow`: labelled images teach an adapter to follow entities through clips.

A memory decoder (`adapters/decoders/slot_decoder.py`) goes on from the base's, on pseudo-clips of the images' training
split as the adapter sees their frames, and the round of the lowest loss on pseudo-clips of the validation split is
kept; test images are not looked at. RUN/ holds follow.json, checkpoints/ and history.csv, and at the end adapter/ and
metrics.json. A killed run goes on with --resume from its last round.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch

from adapters.decoders.pretrained_memory import Looking, fitted_memory
from adapters.decoders.pretrained_memory import loaded as memory_of_base
from adapters.decoders.slot_decoder import MemoryDecoder
from adapters.options.tracking import MemoryTracking
from adapters.options.training import TrainOptions
from adapters.runtime import CPU
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.memory_file import set_memory
from adapters.sharing.opening import opened
from adapters.sharing.shelf import copy_files
from adapters.training.clip_bank import TURNS, ClipBank, ClipData
from adapters.training.remembering import MemoryModule, MemorySegmenter
from adapters.training.rounding import round_to_half
from adapters.training.trainer import keep_best, make_trainer, was_interrupted
from domains.atomic import atomic_folder, atomic_path
from domains.errors import InputError
from recipes import set_up
from recipes.build import domain_of
from recipes.learnt import images_of_fit
from recipes.load import Loaded, loaded
from recipes.plan import Splits
from recipes.reading.command import following
from recipes.reading.compose import changed
from recipes.reading.schema import Recipe
from recipes.runtime import choose
from recipes.shared import on_base
from recipes.verbs.fit import read_splits
from recipes.verbs.label_clips import clips_of_labels, mixed
from recipes.verbs.numbers import write_json
from recipes.verbs.training_progress import TrainingProgress

VALIDATION_SEED = 1_000_003
VAL_CLIPS = 16
BATCH = 2
ROUND_STEPS = 40
LR = 3e-4
"""Lower than that of pretraining, from whose weights it goes on."""
PLAN, NUMBERS, ADAPTER = "follow.json", "metrics.json", "adapter"


class Budget(NamedTuple):
    """How long the memory decoder learns, and the seed of its clips."""

    steps: int
    seconds: float | None = None
    seed: int = 0

    @property
    def options(self) -> TrainOptions:
        """Of a training of so long."""
        return TrainOptions(
            steps=self.steps,
            seconds=self.seconds,
            batch_size=BATCH,
            lr=LR,
            warmup_steps=min(20, self.steps // 2),
            validate_every=min(ROUND_STEPS, self.steps),
            seed=self.seed,
        )


def follow(
    adapter: str,
    data: str,
    run: Path,
    budget: Budget,
    overrides: Sequence[str] = (),
    backbone: str | None = None,
    *,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """Write RUN/adapter: the adapter with a memory decoder that was fitted to the labelled images of `data`.

    overrides: of the adapter's recipe, such as domain.groups. backbone: where the base lies, if not where the adapter
    says. device: of the adapter; the memory decoder learns on the CPU. A run that is resumed has both as it was begun,
    unless they are said anew. Raises InputError, and KeyboardInterrupt, when what was learnt is saved, where Ctrl-C
    ended the training.
    """
    set_up()
    place = place_of(run, Place(backbone, device)) if resume else Place(backbone, device)
    words = [*on_base(place.backbone), *overrides]
    with loaded(adapter, overrides=words, runtime=choose(place.device)) as network:
        assert network.info is not None and network.shared is not None  # the command line lets no base through
        plan = {"adapter": network.info.digest, "data": str(Path(data).resolve()), "overrides": [*overrides],
                "seed": budget.seed, **place._asdict()}  # fmt: skip
        if is_finished(run, plan, resume):
            print(f"{run} is finished, nothing was changed; its adapter is {run / ADAPTER}")
            return run
        recipe = changed(network.recipe, [*network.shared.on_data(data, overrides), *overrides])
        domain = domain_of(recipe)
        splits = read_splits(recipe, domain)
        learnt_from = images_of_fit(replace(recipe, train=replace(recipe.train, start=None)), domain)
        begin_run(run, plan)
        fitted = fit_memory(network, recipe, splits, budget, run)
    save(run, adapter, fitted, learnt_from)
    if fitted.interrupted:
        print(f"stopped after {fitted.steps} steps; what was learnt is in {run / ADAPTER}")
        again = ["--data", data, "--out", run, "--steps", budget.steps, "--seed", budget.seed]
        again += [] if budget.seconds is None else ["--seconds", budget.seconds]
        again += [] if place.backbone is None else ["--backbone", place.backbone]
        again += [] if place.device == "auto" else ["--device", place.device]
        print(following("adapters", "follow", adapter, *again, *overrides, "--resume"), flush=True)
        raise KeyboardInterrupt
    write_json(run / NUMBERS, {"val_loss": {"before": fitted.before, "after": fitted.after}, "steps": fitted.steps})
    print(fitted.line())
    print(f"adapter: {run / ADAPTER}   history: {run / 'history.csv'}")
    clip = ["CLIP.mp4", "--track", "name=memory", "--out", "OUT"]
    print(following("predict", "--adapter", run / ADAPTER, *clip))
    return run


class Place(NamedTuple):
    """Where an adapter runs meanwhile. backbone: of its base, None for where it says. device: as users say it."""

    backbone: str | None = None
    device: str = "auto"


def place_of(run: Path, said: Place) -> Place:
    """What was said of a run that is resumed, and for the rest what it was begun with."""
    begun = begun_plan(run) if (run / PLAN).exists() else {}
    backbone, device = begun.get("backbone"), begun.get("device")
    return Place(
        said.backbone or (backbone if isinstance(backbone, str) else None),
        device if said.device == "auto" and isinstance(device, str) else said.device,
    )


class FittedClips(NamedTuple):
    """A memory decoder that has learnt. before, after: its loss on the validation clips, with the weights that it began
    with and with those that it has.
    """

    decoder: MemoryDecoder
    base: str
    before: float
    after: float
    steps: int
    interrupted: bool

    def line(self) -> str:
        """What the fit was worth."""
        losses = f"loss on {VAL_CLIPS} pseudo-clips of validation images {self.before:.4g} -> {self.after:.4g}"
        if self.after < self.before:
            return f"memory: {losses} after {self.steps} steps"
        return f"memory: {losses}: no round of {self.steps} steps is better than its start, which is kept"


def fit_memory(network: Loaded, recipe: Recipe, splits: Splits, budget: Budget, run: Path) -> FittedClips:
    """Fit the memory decoder of an adapter to pseudo-clips of the training images, and keep its best round."""
    tracking = recipe.tracking if isinstance(recipe.tracking, MemoryTracking) else MemoryTracking()
    looking, decoder = memory_of_base(tracking.base, network.memory)
    start = {name: value.clone() for name, value in decoder.state_dict().items()}
    options = budget.options
    L.seed_everything(options.seed, verbose=False)
    data = clip_data(network, splits, looking, tracking.side_px, options)
    module = MemoryModule(MemorySegmenter(looking, decoder.requires_grad_(True)), options)
    weights = sum(values.numel() for values in decoder.parameters()) / 1e6
    print(f"memory: {weights:.2f} M weights, {budget.steps} steps on pseudo-clips of {len(splits.train)} images")
    bar = TrainingProgress("follow", options.steps, options.seconds)
    trainer = make_trainer(run, options.steps, options.validate_every, CPU, options.clip, [bar])
    before = validation_loss(module, data)
    checkpoint = run / "checkpoints" / "last.ckpt"
    trainer.fit(module, data, ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=True)
    interrupted = was_interrupted(trainer)
    after = keep_best(trainer, module, data)
    if after >= before:
        decoder.load_state_dict(start)
    round_to_half(decoder.parameters())
    decoder.eval().requires_grad_(False)
    return FittedClips(decoder, tracking.base, before, after, module.steps_done, interrupted)


@torch.no_grad()
def validation_loss(module: MemoryModule, data: ClipData) -> float:
    """The mean loss of the validation clips, as a round measures it; the trainer notes none before its first step."""
    costs = [(len(batch), float(sum(module.terms(batch).values()))) for batch in data.val_dataloader()]
    return sum(count * cost for count, cost in costs) / sum(count for count, _ in costs)


def clip_data(network: Loaded, splits: Splits, looking: Looking, side_px: int, options: TrainOptions) -> ClipData:
    """Clips of the training images, new ones each round, and of the validation images, the same ones each time."""
    seen = network.segmenter, network.contract, side_px
    train = mixed(clips_of_labels(splits.train, *seen, options.seed), options.seed)
    val = clips_of_labels(splits.val, *seen, VALIDATION_SEED)
    round_clips = options.validate_every * options.batch_size
    return ClipData(
        ClipBank(train, looking, round_clips, TURNS), ClipBank(val, looking, VAL_CLIPS, 1), options.batch_size
    )


def save(run: Path, adapter: str, fitted: FittedClips, learnt_from: LearntFrom | None) -> None:
    """Write RUN/adapter, in the place of one of a run that was interrupted."""
    with opened(Path(adapter)) as folder, atomic_folder(run / ADAPTER, overwrite=True) as copy:
        copy_files(folder, copy)
        set_memory(copy, fitted_memory(fitted.base, fitted.decoder), learnt_from)


def is_finished(run: Path, plan: dict[str, Any], resume: bool) -> bool:
    """Whether RUN holds all that it is to hold. Raises InputError where it may not be begun, or gone on with."""
    described = run / PLAN
    if run.exists() and not run.is_dir():
        raise InputError(f"{str(run)!r} is a file; wanted a folder for the run, name another --out")
    if not described.exists():
        if run.exists() and any(run.iterdir()):
            raise InputError(f"{str(run)!r} holds other files; name another --out")
        return False
    if not resume:
        raise InputError(f"{str(run)!r} holds a run already; go on with it by --resume, or name another --out")
    begun = begun_plan(run)
    if any(begun.get(key) != plan[key] for key in plan.keys() - {*Place._fields}):
        raise InputError(
            f"{str(run)!r} was begun with another adapter, other images or another seed; resume it with these, or name "
            "another --out"
        )
    return (run / NUMBERS).exists()


def begun_plan(run: Path) -> dict[str, Any]:
    """What RUN was begun with. Raises InputError where that is damaged."""
    described = run / PLAN
    try:
        begun = json.loads(described.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{str(described)!r} is damaged; name another --out") from error
    if not isinstance(begun, dict):
        raise InputError(f"{str(described)!r} is damaged; name another --out")
    return begun


def begin_run(run: Path, plan: dict[str, Any]) -> None:
    """Make RUN, or go on with it. Raises InputError."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {str(run)!r}: {error.strerror}; name another --out") from error
    with atomic_path(run / PLAN) as path:
        path.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
