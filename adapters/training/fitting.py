"""The way from a plan to a network that is fitted, calibrated and measured: one for the command line and benchmarks.

    plan = Plan(network, build_loss({}), train, val, test, crops, contract, metrics, Budget(steps=400))
    fitted = fit(plan, run=Path("runs/mine"))
    fitted.after.compute()

The network is changed in place. In order: measure what it is; train, and keep the weights of lowest validation loss;
round the decoder to what an adapter's file holds; teach the scorer of regions; choose the decode's thresholds; measure.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from adapters.decoders.patch_memory import MemoryDecoder
from adapters.decoders.prompted import PromptedDecoder
from adapters.inference.calibration import TILES, Calibration, calibrate
from adapters.inference.segment import EntityMetric, InputContract, MetricSet, measure, segment
from adapters.losses import EntityLoss
from adapters.network import EntitySegmenter
from adapters.options.lora import Init
from adapters.options.training import TrainOptions
from adapters.runtime import CPU, Runtime
from adapters.training.data import EntityDataModule
from adapters.training.lora_start import BATCHES, start_updates
from adapters.training.memory_fit import Remembered, fill_memory
from adapters.training.mining import HardNegatives
from adapters.training.module import EntityModule
from adapters.training.prefix_cache import CachedData
from adapters.training.prompted_fit import PromptedModule, measured_looks
from adapters.training.quiet import quieten
from adapters.training.ranks import Rank
from adapters.training.region_fit import fit_regions
from adapters.training.rounding import learnt_weights, round_learnt, round_to_half
from adapters.training.strength import learning_weights, step_back
from adapters.training.trainer import keep_best, make_trainer, was_interrupted
from adapters.training.watching import Unwatched, Watch
from domains.crops.normalisers import Normalised
from domains.entities import EntityMap, Samples

TIMED_STEPS = 3
"""Of which the fastest says how many fit into a budget of time."""

Crops = Callable[[Samples, Samples | None, int], EntityDataModule]
"""From training samples, validation samples and steps per round to the batches of a fit."""

Ranks = Callable[[Runtime], AbstractContextManager[Rank | None]]
"""What a training is within: it begins the other processes that learn, and gives this one's rank among them."""


def alone(_: Runtime) -> AbstractContextManager[Rank | None]:
    """No other process: a training on one device, or one of which somebody else began the processes."""
    return nullcontext()


@dataclass(frozen=True)
class Budget:
    """How long a fit takes, and how often it looks at the validation split meanwhile."""

    steps: int
    """Optimiser steps; 0: nothing is trained."""
    seconds: float | None = None
    """By `clock`; they end the fit where the steps have not. The learning rate follows whichever is nearer its end."""
    clock: Callable[[], float] = time.monotonic
    """`time.process_time`: the seconds are those of the processor, so that no other load on the machine counts."""
    round_steps: int | None = None
    """Steps from one look to the next; None: as many as make `looks` of them, by a guess where time is limited."""
    looks: int = 8


@dataclass(frozen=True)
class Plan:
    """What is fitted to what, how it is seen, and for how long."""

    network: EntitySegmenter
    loss: EntityLoss | None
    """None where nothing learns by gradient."""
    train: Samples
    val: Samples | None
    """Crops of these choose the round that is kept, and tiles of them the thresholds."""
    test: Samples
    crops: Crops
    contract: InputContract
    """How scenes are seen. Where it has a stain normalisation, train and val are shown through it."""
    metrics: Callable[[], Mapping[str, EntityMetric]]
    budget: Budget
    options: TrainOptions = field(default_factory=TrainOptions)
    """Rates of learning; for how long, `budget` says."""
    seed: int = 0
    """Of the scorer of regions."""
    runtime: Runtime = CPU
    """Of the training; the network is on its device already."""
    clip: float = 1.0
    hard_negatives: bool = False
    """After every look, draw crops from where the network sees most in images without entity."""
    regions: bool = True
    """Teach the scorer of regions, where the decoder has one."""
    calibrate_for: str | None = None
    """Key of the metric that the thresholds make most of; None: they stay."""
    calibration_tiles: int = TILES
    init: Init = "random"
    """Directions that low-rank updates begin with."""
    strength: float = 1.0
    """How much of what was learnt is kept."""
    measure_before: bool = True
    shown: Sequence[int] = ()
    """Indices of the test images whose entities are kept, before and after, to be drawn."""

    @cached_property
    def learnt(self) -> Samples:
        """The training samples as the network sees their colours."""
        return self.recoloured(self.train)

    @cached_property
    def watched(self) -> Samples | None:
        """The validation samples as the network sees their colours."""
        return None if self.val is None else self.recoloured(self.val)

    def recoloured(self, samples: Samples) -> Samples:
        """The samples through the contract's stain normalisation, where it has one."""
        stain = self.contract.stain
        return Normalised(samples, stain) if stain else samples

    def measured_looks(self) -> list[Callback]:
        """What measures entities at every look, where the decoder's loss says little of them."""
        return measured_looks(self.network, self.watched, self.contract, self.metrics, self.calibrate_for)

    def module(self) -> EntityModule:
        """What trains the network for the plan's budget; it puts the network into training mode."""
        assert self.loss is not None
        budget = self.budget
        options = replace(self.options, steps=budget.steps, seconds=budget.seconds)
        kind = PromptedModule if isinstance(self.network.decoder, PromptedDecoder) else EntityModule
        return kind(self.network, self.loss, options, budget.clock)


@dataclass(frozen=True)
class Training:
    """What the training took, and where it ended."""

    steps: int = 0
    seconds: float = 0.0
    """By the budget's clock, over all parts of a run that was interrupted."""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    """Of this part, best weights kept."""
    val_loss: float | None = None
    """Of the weights that were kept."""
    interrupted: bool = False
    """Ctrl-C ended it."""


@dataclass(frozen=True)
class Fitted:
    """What a plan came to. After an interrupted training nothing is learnt further, and nothing measured."""

    training: Training
    before: MetricSet | None = None
    after: MetricSet | None = None
    candidates: int = 0
    """Regions that their scorer learnt from."""
    calibration: Calibration | None = None
    measure_cpu_s: float = 0.0
    """CPU-seconds of the measurement `after`."""
    shown_before: Mapping[int, EntityMap] = field(default_factory=dict)
    shown_after: Mapping[int, EntityMap] = field(default_factory=dict)

    @property
    def measured(self) -> dict[str, MetricSet]:
        """The measurements that were made, `before` and `after`."""
        both = {"before": self.before, "after": self.after}
        return {state: metrics for state, metrics in both.items() if metrics is not None}


class Reporter:
    """Hears how a fit goes, and says nothing of it: override what is to be shown."""

    def stage(self, title: str, images: int = 0) -> AbstractContextManager[Watch]:
        """A stage other than training begins; it lasts as long as the context. images: 0 where it counts for itself."""
        return nullcontext(Unwatched())

    def callbacks(self, budget: Budget) -> Sequence[Callback]:
        """Lightning callbacks of the training."""
        return ()

    def loggers(self, run: Path) -> Sequence[Logger]:
        """Lightning loggers of the training, which may write into RUN."""
        return ()

    def trained(self, training: Training) -> None:
        """The training came to its end, not by Ctrl-C."""

    def regions_learnt(self, candidates: int) -> None:
        """The scorer of regions has learnt from so many of them."""

    def regions_given_up(self, candidates: int) -> None:
        """There were too few of them to learn from, and the network has no other scorer: a watershed decodes."""

    def calibrated(self, calibration: Calibration) -> None:
        """Thresholds were chosen."""

    def remembered(self, remembered: Remembered) -> None:
        """A memory of good images was filled, and its threshold chosen."""


UNHEARD = Reporter()


def fit(
    plan: Plan,
    reporter: Reporter = UNHEARD,
    run: Path | None = None,
    checkpoint: Path | None = None,
    ranks: Ranks = alone,
) -> Fitted:
    """Run a plan; its network is what comes of it.

    run: folder of checkpoints and history, a temporary one by default. checkpoint: of an interrupted fit of this plan,
    to go on from. ranks: begins the other processes that train, `adapters.training.ranks.started`. Raises
    `NotFiniteError` where the loss ran away, and `RankEndedError` where another process of the training ended.
    """
    before, shown_before = None, {}
    if plan.measure_before:
        before = measured(plan, plan.test, reporter, "measure before", shown_before)
    else:
        shown_before = entities_of(plan)
    training = train(plan, reporter, run, checkpoint, ranks)
    fitted = Fitted(training, before, shown_before=shown_before)
    if training.interrupted:
        return replace(fitted, shown_after=entities_of(plan))
    if isinstance(plan.network.decoder, MemoryDecoder):
        with reporter.stage("memory") as watch:
            seen = plan.learnt, plan.watched, plan.contract
            reporter.remembered(fill_memory(plan.network, *seen, plan.seed, watch.reach))
    candidates = learn_regions(plan, reporter) if plan.regions else 0
    calibration = choose_thresholds(plan, reporter) if plan.calibrate_for else None
    start, shown_after = time.process_time(), {}
    after = measured(plan, plan.test, reporter, "measure after", shown_after)
    return replace(
        fitted,
        after=after,
        candidates=candidates,
        calibration=calibration,
        measure_cpu_s=time.process_time() - start,
        shown_after=shown_after,
    )


def train(
    plan: Plan,
    reporter: Reporter = UNHEARD,
    run: Path | None = None,
    checkpoint: Path | None = None,
    ranks: Ranks = alone,
) -> Training:
    """Train within the budget, keep the weights of lowest validation loss, and round what learnt to half precision."""
    budget = plan.budget
    if not budget.steps:
        return Training()
    module = plan.module()
    start = learning_weights(plan.network) if plan.strength < 1 else {}
    round_steps = budget.round_steps or steps_of_round(plan, module)
    start_cpu, start_wall = time.process_time(), time.monotonic()
    if plan.init != "random" and checkpoint is None:
        start_updates(module, plan.crops(plan.learnt, plan.watched, BATCHES).train_dataloader(), plan.init)
    with ExitStack() as stack:
        folder = run or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rank = stack.enter_context(ranks(plan.runtime))
        data = data_of(plan, round_steps)
        looking = [*([HardNegatives(data.crops)] if plan.hard_negatives else []), *plan.measured_looks()]
        trainer = make_trainer(
            folder,
            budget.steps,
            round_steps,
            plan.runtime,
            plan.clip,
            callbacks=[*reporter.callbacks(budget), *looking],
            loggers=reporter.loggers(folder),
            rank=rank,
        )
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
        interrupted = was_interrupted(trainer)
        val_loss = keep_best(trainer, module, data)
    if start and not interrupted:
        step_back(plan.network, start, plan.strength)
    round_learnt(plan.network)
    training = Training(
        module.steps_done,
        module.seconds,
        time.process_time() - start_cpu,
        time.monotonic() - start_wall,
        val_loss,
        interrupted,
    )
    if not interrupted:
        reporter.trained(training)
    return training


def steps_of_round(plan: Plan, module: EntityModule) -> int:
    """Steps between looks, so that `budget.looks` of them fit into the budget, whose seconds take a guess."""
    budget, whole = plan.budget, plan.budget.steps
    if budget.seconds is not None:
        with plan.runtime.training_autocast():
            whole = min(whole, budget.seconds / seconds_per_step(module, data_of(plan, TIMED_STEPS)))
    return max(1, round(whole / budget.looks))


def data_of(plan: Plan, round_steps: int) -> EntityDataModule | CachedData:
    """The batches of a plan's training, with so many steps between two looks."""
    data = plan.crops(plan.learnt, plan.watched, round_steps)
    options = plan.options
    return CachedData(data, plan.network, plan.runtime, options.cached_crops) if options.cache == "prefix" else data


def seconds_per_step(module: EntityModule, data: EntityDataModule | CachedData) -> float:
    """By the module's clock, of the fastest of the first steps, a cache filled; no weight is changed."""
    durations = []
    module.train()
    start = module.clock()
    loader = data.train_dataloader()
    for batch in chain(loader, loader if isinstance(data, CachedData) else ()):
        torch.stack(list(module.terms(batch.to(module.segmenter.device)).values())).sum().backward()
        durations.append(module.clock() - start)
        start = module.clock()
    module.zero_grad()
    return min(durations)


def learn_regions(plan: Plan, reporter: Reporter = UNHEARD) -> int:
    """Teach the scorer of regions, where the decoder has one; returns how many candidates it learnt from."""
    decoder = plan.network.decoder
    if not getattr(decoder.options, "regions", False):
        return 0
    with reporter.stage("regions") as watch:
        candidates = fit_regions(
            plan.network,
            plan.learnt,
            plan.contract,
            seed=plan.seed,
            given_up=reporter.regions_given_up,
            on_progress=watch.reach,
        )
    round_to_half(learnt_weights(plan.network))
    if candidates:
        reporter.regions_learnt(candidates)
    return candidates


def choose_thresholds(plan: Plan, reporter: Reporter = UNHEARD) -> Calibration:
    """Set the decode's thresholds to what makes most of `plan.calibrate_for` on tiles of the validation samples."""
    assert plan.watched is not None and plan.calibrate_for is not None
    network, contract, rate = plan.network, plan.contract, plan.options.false_alarms
    with reporter.stage("calibrate") as watch:
        options = plan.metrics, plan.calibrate_for, contract, plan.calibration_tiles, watch.reach
        calibration = calibrate(network, plan.watched, *options)
        if rate is not None:
            quiet = quieten(network, plan.watched, contract, rate, watch.reach)
            calibration = replace(calibration, remark=f"; {quiet}")
    reporter.calibrated(calibration)
    return calibration


def measured(
    plan: Plan,
    samples: Samples,
    reporter: Reporter = UNHEARD,
    title: str = "measure",
    shown: dict[int, EntityMap] | None = None,
) -> MetricSet:
    """The plan's metrics of its network, as it is, over the samples; `shown` is given the entities of those at the
    indices `plan.shown`.
    """

    def show(index: int, prediction: EntityMap) -> None:
        if shown is not None and index in plan.shown:
            shown[index] = prediction

    network, metrics, contract = plan.network, MetricSet(plan.metrics()), plan.contract
    with reporter.stage(title, len(samples)) as watch:
        return measure(network, samples, metrics, contract, watch.advance, watch.tick, on_prediction=show)


def entities_of(plan: Plan) -> dict[int, EntityMap]:
    """What the network, as it is, finds in the test images of `plan.shown`."""
    scenes = {i: plan.contract.photograph(plan.test[i]) for i in plan.shown}
    return {i: segment(plan.network, scene, plan.contract) for i, scene in scenes.items()}
