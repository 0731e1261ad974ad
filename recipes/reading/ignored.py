"""Options that a user says, and that the other choices of the recipe leave without effect: a line for each reason.

An option of another part is refused where the recipe is read (`adapters.options` has a class per part).
Here are those that are right and do nothing. What a recipe merely inherits is not told. Nothing here imports torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.options.backbone import EMBEDDED
from adapters.options.contract import AVERAGED
from adapters.options.decoders import OF_REGIONS_ALONE, OF_WATERSHED_ALONE, Dense
from adapters.options.methods import DecoderOnly
from recipes.reading.compose import load_any, said
from recipes.reading.domain_section import BUILT_IN_DOMAINS
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.reading.schema import Recipe
from recipes.reading.starts import unstarted

OF_BACKBONE_ALONE = ("roles", "layers", "dropout", "dora")
"""Options of LoRA that its updates of a decoder do not have."""
OF_FOLDERS = ("layout", "groups", "strict", "pixel_size_m", "band_names", "attribute", "labels", "void")
"""Options of a domain on how a folder is read; generated scenes have none."""


@dataclass(frozen=True)
class Rule:
    """Options, dotted, that do nothing in recipes of which `holds` is true."""

    options: tuple[str, ...]
    holds: Callable[[Any], bool]
    why: str


def of(section: str, names: Iterable[str]) -> tuple[str, ...]:
    """Options of a section, dotted."""
    return tuple(f"{section}.{name}" for name in names)


RULES = (
    Rule(
        of("domain", AVERAGED),
        lambda recipe: not isinstance(recipe.decoder, Dense),
        "only decoder.name=dense has fields to average",
    ),
    Rule(
        of("decoder", OF_REGIONS_ALONE),
        lambda recipe: isinstance(recipe.decoder, Dense) and not recipe.decoder.regions,
        "decoder.regions=false cuts entities out by the watershed",
    ),
    Rule(
        of("decoder", OF_WATERSHED_ALONE),
        lambda recipe: isinstance(recipe.decoder, Dense) and recipe.decoder.regions,
        "decoder.regions=true takes the place of the watershed, unless it cannot be learnt",
    ),
    Rule(
        of("decoder", ("seed_height",)),
        lambda recipe: isinstance(recipe.decoder, Dense) and recipe.decoder.granularity is not None,
        "decoder.granularity takes its place",
    ),
    Rule(
        ("train.backbone_lr", "backbone.gradient_checkpointing"),
        lambda recipe: isinstance(recipe.method, DecoderOnly) and not recipe.domain.bands,
        "method.name=decoder_only leaves the backbone as it is",
    ),
    Rule(
        ("train.backbone_lr", "backbone.gradient_checkpointing", *of("method", OF_BACKBONE_ALONE)),
        lambda recipe: not recipe.method.in_backbone and not recipe.domain.bands,
        "method.scope=decoder leaves the backbone as it is",
    ),
    Rule(("train.student_seconds",), lambda recipe: not recipe.train.student, "train.student=false"),
    Rule(
        ("train.unlabelled",),
        lambda recipe: not recipe.train.student and not recipe.train.unlabelled_share,
        "train.student=false, and train.unlabelled_share=0 leaves them to a student",
    ),
    Rule(("train.cached_crops",), lambda recipe: recipe.train.cache == "none", "train.cache=none"),
    Rule(("train.workers",), lambda recipe: recipe.train.cache != "none", "train.cache keeps crops"),
    Rule(("train.calibrate_for",), lambda recipe: not recipe.train.calibrate, "train.calibrate=false"),
    Rule(("backbone.revision",), lambda recipe: is_local(recipe.backbone.name), "backbone.name is no Hub id"),
    Rule(("train.start",), lambda recipe: starts_nowhere(recipe), "this base has no pretrained decoder of that shape"),
    Rule(("train.strength",), lambda recipe: unstarted(recipe), "this base has no pretrained decoder of that shape"),
    Rule(
        of("domain", OF_FOLDERS),
        lambda recipe: recipe.domain.data == "sample" and recipe.domain.name in BUILT_IN_DOMAINS,
        "domain.data=sample is no folder",
    ),
    Rule(("domain.sample_count",), lambda recipe: recipe.domain.data != "sample", "domain.data is a folder"),
    Rule(("domain.band_names",), lambda recipe: not recipe.domain.bands, "domain.bands=[] is RGB"),
)
OF_FITTING = (
    "train.calibrate",
    "train.calibrate_for",
    "train.rehearsal",
    "train.strength",
    "train.cache",
    "train.cached_crops",
    "train.devices",
    "train.student",
    "train.student_seconds",
    "train.unlabelled",
)
"""What pretraining does not do."""


def tell_ignored(name_or_path: str | Path, overrides: Iterable[str] = ()) -> None:
    """Print, on standard error, what a user says of a recipe without effect. Raises InputError as `load_any` does."""
    overrides = list(overrides)
    options = said(name_or_path, overrides)
    for why, ignored in reasons(load_any(name_or_path, overrides), options).items():
        print(f"ignored: {', '.join(ignored)}: {why}", file=sys.stderr)


def reasons(recipe: Recipe | PretrainRecipe, options: Collection[str]) -> dict[str, list[str]]:
    """Reason -> those of the options, dotted, that do nothing for it; each option once."""
    rules = RULES if isinstance(recipe, Recipe) else [Rule(OF_FITTING, lambda _: True, "pretraining does none of it")]
    ignored_for: dict[str, list[str]] = {}
    effective = set(options)
    for rule in [*rules, *weightless(recipe), *classless(recipe, options)]:
        ignored = [option for option in rule.options if option in effective]
        if ignored and rule.holds(recipe):
            ignored_for[rule.why] = ignored
            effective -= set(ignored)
    return ignored_for


def weightless(recipe: Recipe | PretrainRecipe) -> list[Rule]:
    """Of each term of the loss that weighs nothing, its other options."""
    return [
        Rule(of(f"losses.{term}", [name for name in options if name != "weight"]), lambda _: True, f"{term} weighs 0")
        for term, options in recipe.losses.options().items()
        if not options["weight"]
    ]


def classless(recipe: Recipe | PretrainRecipe, options: Collection[str]) -> list[Rule]:
    """Of classes in a mixture, which learns none."""
    if not isinstance(recipe, Recipe) or recipe.mix is None:
        return []
    why = "a mixture learns no classes; `adapters member`, then `adapters teach`"
    return [Rule(tuple(sorted(name for name in options if name.startswith("labels."))), lambda _: True, why)]


def is_local(name: str) -> bool:
    """Whether a base lies on this machine: embedded, a folder or a file."""
    return name in EMBEDDED or Path(name).expanduser().exists()


def starts_nowhere(recipe: Recipe) -> bool:
    """Whether `train.start` names a kind of scene, and the base has no decoder that could start from it."""
    return recipe.train.start_kind is not None and unstarted(recipe)
