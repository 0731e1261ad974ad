"""From a recipe of several domains and their data to the mixture that is fitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import lightning as L

from adapters.backbones import Backbone
from adapters.decoders import decoder_options
from adapters.methods import Method
from adapters.network import EntitySegmenter
from adapters.options.lora import Lora
from adapters.training.fitting import Budget
from adapters.training.mixture import Mixture
from domains.datasets.domain import Domain
from domains.errors import InputError
from domains.formats.layout import SPLITS
from recipes.build import backbone_of, domain_of, method_of, segmenter_of
from recipes.learnt import shown
from recipes.plan import VAL_CROPS, Prepared, Splits, budget_of, learning_line, plan_of, splits_of
from recipes.reading.schema import Recipe
from recipes.runtime import of_training
from recipes.sides import on_patches

LEAST_VAL_CROPS = 8
"""Of a member; all of a branch have the same number, so that its best weights are chosen by all alike."""
PREVIEWS = 2
"""Test images of each member that are drawn before and after."""


@dataclass(frozen=True)
class PreparedMixture:
    """A mixture, and the recipe that it follows in every number."""

    mixture: Mixture
    members: Mapping[str, Prepared]
    recipe: Recipe
    """Of each member the sides as the backbone takes them, its scale a number."""
    method: Method

    def lines(self) -> Iterator[str]:
        """What was settled, and what will learn, as lines for people."""
        for name, prepared in self.members.items():
            for line in prepared.lines():
                yield f"{name}: {line}"
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.mixture.shares.items())
        yield f"crops: {shares}, {shared_by(self.mixture.temperature)}"
        for branch, names in self.mixture.branches.items():
            method = method_of(self.members[branch].recipe).name
            whose = "" if len(self.mixture.branches) == 1 else f"decoder of {', '.join(names)}: "
            yield whose + learning_line(self.mixture.members[branch].network, method)


def shared_by(temperature: float | None) -> str:
    """By what the members have their shares of the crops."""
    return "by the seconds of their recipes" if temperature is None else f"by temperature {temperature:g}"


@contextmanager
def naming(name: str) -> Iterator[None]:
    """An InputError that comes through says of which member it is."""
    try:
        yield
    except InputError as error:
        error.args = (f"{name}: {error}",)
        raise


def domains_of(recipe: Recipe) -> dict[str, Domain]:
    """Each member's domain on its data. Raises InputError."""
    assert recipe.mix is not None
    domains = {}
    for name in recipe.mix.members:
        with naming(name):
            domains[name] = domain_of(recipe.member(name))
    return domains


def splits_of_all(domains: Mapping[str, Domain]) -> dict[str, Splits]:
    """Each member's splits. Raises InputError, as for an empty folder."""
    splits = {}
    for name, domain in domains.items():
        with naming(name):
            splits[name] = splits_of(domain)
    return splits


def prepare_mixture(
    recipe: Recipe,
    domains: Mapping[str, Domain],
    splits: Mapping[str, Splits],
    budget: Budget | None = None,
    val_crops: int = VAL_CROPS,
    previews: int = PREVIEWS,
) -> PreparedMixture:
    """How a recipe with a section `mix` is fitted: a network for each branch, all on one backbone, and a plan for each
    member on its own.

    budget: instead of the recipe's own. val_crops: of all members of a branch together, of each as many. previews: test
    images of each member whose entities are kept. Raises InputError for what does not fit together.
    """
    assert recipe.mix is not None
    L.seed_everything(recipe.train.seed, verbose=False)
    networks = networks_of(recipe, backbone_of(recipe))
    members, sharing = {}, Counter(recipe.mix.branches.values())
    for name, branch in recipe.mix.branches.items():
        network, method = networks[branch], method_of(recipe.member(name))
        prepared = plan_of(
            recipe.member(name),
            domains[name],
            splits[name],
            budget or budget_of(recipe),
            network=lambda _, network=network: network,
            val_crops=max(LEAST_VAL_CROPS, val_crops // sharing[branch]),
            shown=range(min(previews, len(splits[name].test))),
        )
        init = method.init if isinstance(method, Lora) else "random"
        members[name] = replace(prepared, plan=replace(prepared.plan, init=init))
    mixture = Mixture(
        {name: prepared.plan for name, prepared in members.items()},
        recipe.mix.temperature,
        {name: decoder_options(prepared.recipe.decoder) for name, prepared in members.items()},
        {name: member.seconds for name, member in recipe.mix.members.items() if member.seconds is not None},
    )
    settled = recipe.with_members({name: prepared.recipe.domain for name, prepared in members.items()})
    return PreparedMixture(mixture, members, settled, method_of(recipe.member(next(iter(members)))))


def networks_of(recipe: Recipe, backbone: Backbone) -> dict[str, EntitySegmenter]:
    """The network of every branch of a mixture, by its name, all on one backbone and on the device of training."""
    assert recipe.mix is not None
    runtime, networks = of_training(recipe.train), {}
    branches = [*dict.fromkeys(recipe.mix.branches.values())]
    for branch in branches:
        alone = on_patches(recipe.member(branch), backbone)
        if len(branches) == 1:
            alone = replace(alone, decoder=recipe.decoder)
            return {branch: segmenter_of(alone, backbone, method_of(alone), runtime)}
        L.seed_everything(recipe.train.seed, verbose=False)
        with naming(branch):
            networks[branch] = segmenter_of(alone, backbone, method_of(alone), runtime, branch)
    for network in networks.values():  # of other bands than RGB, which all have alike
        network.projection = networks[branches[0]].projection
    return networks


def check_apart(recipe: Recipe, domains: Mapping[str, Domain]) -> None:
    """Raises InputError where one member learns from an image that another is measured on, by the pixels.

    Within a member `check_data` looks.
    """
    assert recipe.mix is not None
    digests = {
        name: {split: {*shown(domains[name], member.domain, split)} for split in SPLITS}
        for name, member in recipe.mix.members.items()
    }
    for name, measured in digests.items():
        for teacher, learnt in digests.items():
            if teacher == name or recipe.mix.members[name].domain.leaks == "allow":
                continue
            if shared := measured["test"] & (learnt["train"] | learnt["val"]):
                raise InputError(
                    f"{len(shared)} test images of {name} are among those that {teacher} learns from: the table would "
                    f"flatter; take them out of one, or go on with domain.leaks=allow"
                )
