"""One network fitted to several domains: each crop as its own domain has it, one training, thresholds for each.

    mixture = Mixture({"stained": plan, "tile": plan_2}, temperature=2)
    fitted = fit_mixture(mixture, run=Path("runs/mix"))
    fitted.members["stained"].after.compute()

The members are plans on one network. What differs is how each sees its images, what is augmented, measured and chosen:
`options` are the ways from the decoder's outputs to entities, by member, calibrated after the fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adapters.training import fitting
from adapters.training.data import EntityDataModule, MixedDataModule
from adapters.training.fitting import UNHEARD, Fitted, Plan, Ranks, Reporter, Training, alone
from adapters.training.region_fit import TILES, fit_regions_of
from adapters.training.rounding import learnt_weights, round_to_half
from domains.crops.mixed_crops import temperature_shares
from domains.entities import Samples

FEWEST_TILES = 12
"""Of a member, from whose candidates the scorer of regions learns."""


@dataclass(frozen=True)
class Mixture:
    """Plans on one network, by name, in which loss, budget, rates and seed are the same.

    options: of the decoder for each member, in which no weight's shape differs; those of the network by default.
    """

    members: Mapping[str, Plan]
    temperature: float = 2.0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lead(self) -> Plan:
        """The first member, for what all have in common."""
        return next(iter(self.members.values()))

    @property
    def shares(self) -> dict[str, float]:
        """Of the training crops, by member."""
        counts = [len(plan.train) for plan in self.members.values()]
        return dict(zip(self.members, temperature_shares(counts, self.temperature), strict=True))

    def options_of(self, name: str) -> Any:
        """The decoder's options for a member, before they are calibrated."""
        return self.options.get(name, self.lead.network.decoder.options)

    def together(self) -> Plan:
        """The plan of the training alone: its batches are of all members."""
        shares = [*self.shares.values()]

        def crops(_: Samples, __: Samples | None, round_steps: int) -> EntityDataModule:
            modules = [plan.crops(plan.learnt, plan.watched, round_steps) for plan in self.members.values()]
            return MixedDataModule(modules, shares)

        return replace(self.lead, crops=crops)


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
    network = mixture.lead.network
    options = {name: mixture.options_of(name) for name in mixture.members}
    before = {name: begin(plan, options[name], reporter, name) for name, plan in mixture.members.items()}
    training = fitting.train(mixture.together(), reporter, run, checkpoint, ranks)
    before = {name: replace(fitted, training=training) for name, fitted in before.items()}
    if training.interrupted:
        return FittedMixture(
            training, {name: stopped(mixture, name, fitted) for name, fitted in before.items()}, options
        )
    candidates = learn_regions(mixture, options, reporter)
    if not getattr(network.decoder.options, "regions", False):
        options = {name: without_regions(chosen) for name, chosen in options.items()}
    members = {}
    for name, plan in mixture.members.items():
        with decoded_by(plan, options[name]):
            calibration = fitting.choose_thresholds(plan, reporter) if plan.calibrate_for else None
            pictured: dict[int, Any] = {}
            after = fitting.measured(plan, plan.test, reporter, f"measure {name} after", pictured)
            options[name] = network.decoder.options
        measured = replace(before[name], after=after, calibration=calibration, shown_after=pictured)
        members[name] = replace(measured, candidates=candidates)
    return FittedMixture(training, members, options)


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


def learn_regions(mixture: Mixture, options: Mapping[str, Any], reporter: Reporter = UNHEARD) -> int:
    """Teach the scorer of regions from those members that have regions; returns how many candidates it learnt from."""
    lead = mixture.lead
    plans = [plan for name, plan in mixture.members.items() if getattr(options[name], "regions", False)]
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
