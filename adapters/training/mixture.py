"""One training for several domains: each crop as its own domain has it, thresholds for each.

    mixture = Mixture({"stained": plan, "tile": plan_2}, temperature=2)
    fitted = fit_mixture(mixture, run=Path("runs/mix"))
    fitted.members["stained"].after.compute()

The members are plans on one backbone. Those whose plans are on one network share its decoder, and are a branch; what
differs within is how each sees its images, what is augmented, measured and chosen: `options` are the ways from the
decoder's outputs to entities, by member, calibrated after the fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.joint_network import BranchedSegmenter
from adapters.network import EntitySegmenter
from adapters.training import fitting
from adapters.training.branches import BranchedData, BranchedPlan
from adapters.training.data import EntityDataModule, MixedDataModule
from adapters.training.fitting import UNHEARD, Fitted, Plan, Ranks, Reporter, Training, alone
from adapters.training.prefix_cache import CachedData
from adapters.training.region_fit import TILES, fit_regions_of
from adapters.training.rounding import learnt_weights, round_to_half
from domains.crops.mixed_crops import temperature_shares
from domains.entities import Samples

FEWEST_TILES = 12
"""Of a member, from whose candidates the scorer of regions learns."""


@dataclass(frozen=True)
class Mixture:
    """Plans on one backbone, by name, in which budget, rates of learning and seed are the same; and in which, of one
    network, the loss is too.

    options: of the decoder for each member, in which no weight's shape differs; those of its network by default.
    """

    members: Mapping[str, Plan]
    temperature: float | None = 2.0
    """None: shares go by `seconds`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """For how long a member would be trained alone; all alike where it is not said."""

    @property
    def lead(self) -> Plan:
        """The first member, for what all have in common."""
        return next(iter(self.members.values()))

    @property
    def shares(self) -> dict[str, float]:
        """Of the training crops, by member."""
        if self.temperature is None:
            total = sum(self.seconds.get(name, 1.0) for name in self.members)
            return {name: self.seconds.get(name, 1.0) / total for name in self.members}
        counts = [len(plan.train) for plan in self.members.values()]
        return dict(zip(self.members, temperature_shares(counts, self.temperature), strict=True))

    @property
    def branches(self) -> dict[str, list[str]]:
        """The members of every network, by the first of them, whose name the branch has."""
        of_network: dict[int, list[str]] = {}
        for name, plan in self.members.items():
            of_network.setdefault(id(plan.network), []).append(name)
        return {names[0]: names for names in of_network.values()}

    @cached_property
    def network(self) -> EntitySegmenter:
        """All that learns, as one module: the network of all members, or its branches."""
        if len(self.branches) == 1:
            return self.lead.network
        return BranchedSegmenter({branch: self.members[branch].network for branch in self.branches})

    def options_of(self, name: str) -> Any:
        """The decoder's options for a member, before they are calibrated."""
        return self.options.get(name, self.members[name].network.decoder.options)

    def together(self) -> Plan:
        """The plan of the training alone: its batches are of all members, or of the members of a branch each."""
        if len(self.branches) == 1:
            return replace(self.lead, crops=lambda _, __, round_steps: self.crops_of([*self.members], round_steps))
        plan = replace(self.lead, network=self.network, crops=self.branched_crops)
        plan = replace(plan, options=replace(plan.options, cache="none"))  # each branch has its own
        losses = {branch: loss for branch in self.branches if (loss := self.members[branch].loss) is not None}
        return BranchedPlan(**vars_of(plan), losses=losses)

    def crops_of(self, names: Sequence[str], round_steps: int) -> EntityDataModule:
        """The batches of some members together, by their shares among themselves."""
        plans = [self.members[name] for name in names]
        modules = [plan.crops(plan.learnt, plan.watched, round_steps) for plan in plans]
        total = sum(self.shares[name] for name in names)
        return MixedDataModule(modules, [self.shares[name] / total for name in names])

    def branched_crops(self, _: Samples, __: Samples | None, round_steps: int) -> BranchedData:
        """The batches of all branches, in each step of another."""
        data: dict[str, EntityDataModule | CachedData] = {}
        for branch, names in self.branches.items():
            plan = self.members[branch]
            crops, options = self.crops_of(names, plan.budget.steps), plan.options
            cached = options.cache == "prefix"
            data[branch] = CachedData(crops, plan.network, plan.runtime, options.cached_crops) if cached else crops
        shares = [sum(self.shares[name] for name in names) for names in self.branches.values()]
        return BranchedData(data, shares, round_steps)


def vars_of(plan: Plan) -> dict[str, Any]:
    """The plan's fields by name, themselves and not copies of them."""
    return {option.name: getattr(plan, option.name) for option in fields(plan)}


@dataclass(frozen=True)
class FittedMixture:
    """What a mixture came to: of each member what a fit of it alone would say, and the options that were chosen."""

    training: Training
    members: Mapping[str, Fitted]
    options: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        """Whether every member was measured after the training."""
        return all(fitted.after is not None for fitted in self.members.values())


def fit_mixture(
    mixture: Mixture,
    reporter: Reporter = UNHEARD,
    run: Path | None = None,
    checkpoint: Path | None = None,
    ranks: Ranks = alone,
) -> FittedMixture:
    """Fit a mixture; its network is what comes of it. Arguments and errors as of `fitting.fit`.

    Every member is measured before, with its own options; all train together; the scorer of regions learns from those
    that have regions; then each has its thresholds chosen, and is measured, for itself.
    """
    options = {name: mixture.options_of(name) for name in mixture.members}
    before = {name: begin(plan, options[name], reporter, name) for name, plan in mixture.members.items()}
    training = fitting.train(mixture.together(), reporter, run, checkpoint, ranks)
    before = {name: replace(fitted, training=training) for name, fitted in before.items()}
    if training.interrupted:
        return FittedMixture(
            training, {name: stopped(mixture, name, fitted) for name, fitted in before.items()}, options
        )
    branches = mixture.branches
    candidates = {branch: learn_regions(mixture, options, names, reporter) for branch, names in branches.items()}
    members = {}
    for branch, names in branches.items():
        for name in names:
            plan = mixture.members[name]
            if not getattr(plan.network.decoder.options, "regions", False):
                options[name] = without_regions(options[name])
            with decoded_by(plan, options[name]):
                calibration = fitting.choose_thresholds(plan, reporter) if plan.calibrate_for else None
                pictured: dict[int, Any] = {}
                after = fitting.measured(plan, plan.test, reporter, f"measure {name} after", pictured)
                options[name] = plan.network.decoder.options
            fitted = replace(before[name], after=after, calibration=calibration, shown_after=pictured)
            members[name] = replace(fitted, candidates=candidates[branch])
    return FittedMixture(training, {name: members[name] for name in mixture.members}, options)


@contextmanager
def decoded_by(plan: Plan, options: Any) -> Iterator[None]:
    """The network's outputs become entities by these options, for the while."""
    decoder = plan.network.decoder
    own_options, decoder.options = decoder.options, options
    try:
        yield
    finally:
        decoder.options = own_options


def begin(plan: Plan, options: Any, reporter: Reporter, name: str) -> Fitted:
    """A member before the training: measured, where the plan wants that, and drawn."""
    with decoded_by(plan, options):
        if not plan.measure_before:
            return Fitted(Training(), shown_before=fitting.entities_of(plan))
        pictured: dict[int, Any] = {}
        before = fitting.measured(plan, plan.test, reporter, f"measure {name} before", pictured)
    return Fitted(Training(), before, shown_before=pictured)


def stopped(mixture: Mixture, name: str, fitted: Fitted) -> Fitted:
    """A member after a training that Ctrl-C ended: nothing is measured."""
    plan = mixture.members[name]
    with decoded_by(plan, mixture.options_of(name)):
        return replace(fitted, shown_after=fitting.entities_of(plan))


def learn_regions(
    mixture: Mixture, options: Mapping[str, Any], names: Sequence[str], reporter: Reporter = UNHEARD
) -> int:
    """Teach the scorer of regions of a branch from those of its members that have regions; returns how many candidates
    it learnt from. names: the members of the branch.
    """
    lead = mixture.members[names[0]]
    plans = [mixture.members[name] for name in names if getattr(options[name], "regions", False)]
    if not plans or not lead.regions or not getattr(lead.network.decoder.options, "regions", False):
        return 0
    with reporter.stage("regions") as watch:
        candidates = fit_regions_of(
            lead.network,
            [(plan.learnt, plan.contract) for plan in plans],
            max(FEWEST_TILES, 2 * TILES // len(plans)) if len(plans) > 1 else TILES,
            seed=lead.seed,
            given_up=reporter.regions_given_up,
            on_progress=watch.reach,
        )
    round_to_half(learnt_weights(lead.network))
    if candidates:
        reporter.regions_learnt(candidates)
    return candidates


def without_regions(options: Any) -> Any:
    """The options with the watershed in place of regions, which could not be learnt."""
    return replace(options, regions=False) if getattr(options, "regions", False) else options
