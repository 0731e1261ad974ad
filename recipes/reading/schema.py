"""What a recipe may say: its sections, their options, defaults and ranges.

Light on purpose: neither torch nor transformers is imported here, so a wrong recipe is refused at once. What the
sections of the adapter may say stands in `adapters/options`, that of the domain in `domain_section.py`.
"""

from __future__ import annotations

import os.path
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, make_dataclass, replace
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator

from adapters.options.backbone import EMBEDDED, BackboneOptions
from adapters.options.decoders import Decoder, Dense
from adapters.options.labels import LabelOptions
from adapters.options.lora import Lora
from adapters.options.losses import OWN_TERMS, TERMS, Losses
from adapters.options.methods import WHOLE_BITS, DecoderOnly, Method
from adapters.options.section import Options, checked
from adapters.options.tracking import Motion, Tracking
from adapters.options.training import TrainOptions
from domains.bands import channels_of
from domains.errors import InputError, suggest
from domains.registry import installed_options
from recipes.reading.domain_section import MIX, CommonSection, DomainSection, section_of_package
from recipes.reading.mix_section import MixSection


def known_backbone(backbone: BackboneOptions) -> BackboneOptions:
    """The section, `~` in its name written out. Raises OptionError for a name that can be no base."""
    name, path = backbone.name, os.path.expanduser(backbone.name)
    if not (name in EMBEDDED or "/" in name or os.sep in name or "." in name or os.path.exists(path)):
        raise backbone.wrong(
            "name", f"{suggest(name, EMBEDDED)}, a Hub id such as facebook/dinov2-small, a folder or a .pth checkpoint"
        )
    return backbone if path == name else replace(backbone, name=path)


@dataclass(frozen=True)
class AnyRecipe(Options):
    """What a recipe of fitting and one of pretraining have in common."""

    PARTS: ClassVar[Mapping[str, str]] = {"decoder": "dense"}
    """Section -> what it is called where it has no name."""

    @classmethod
    def completed(cls, sections: Any) -> Any:
        """The sections with the names of parts, and the terms of the loss, that go without saying."""
        return fill_losses(fill_names(sections, cls.PARTS))

    @classmethod
    def reader(cls, sections: Any) -> type[Self]:
        """The class that reads these sections."""
        return cls


@dataclass(frozen=True)
class Recipe(AnyRecipe):
    """Everything that decides a run: what to see, what is adapted, how few weights learn, and how they are trained."""

    PARTS: ClassVar[Mapping[str, str]] = {"method": "lora", "decoder": "dense", "tracking": "motion"}

    domain: DomainSection
    backbone: Annotated[BackboneOptions, AfterValidator(known_backbone)] = BackboneOptions()
    method: Method = Lora()
    decoder: Decoder = Dense()
    losses: Losses = Losses()
    train: TrainOptions = TrainOptions()
    labels: LabelOptions = LabelOptions()
    mix: MixSection | None = None
    """Several domains in place of one; null where `domain` is one."""
    tracking: Tracking = Motion()

    @classmethod
    def completed(cls, sections: Any) -> Any:
        """The sections, those of a mixture's members too, with what goes without saying."""
        sections = super().completed(sections)
        mix = sections.get("mix") if isinstance(sections, Mapping) else None
        members = mix.get("members") if isinstance(mix, Mapping) else None
        if not isinstance(mix, Mapping) or not isinstance(members, Mapping):
            return sections
        filled = {
            name: fill_losses(member) if isinstance(member, Mapping) and "losses" in member else member
            for name, member in members.items()
        }
        return {**sections, "mix": {**mix, "members": filled}}

    @classmethod
    def reader(cls, sections: Any) -> type[Recipe]:
        """Another where the domain is a package's and has options of its own, which that one takes too. Raises
        InputError."""
        section = sections.get("domain") if isinstance(sections, Mapping) else None
        name = section.get("name") if isinstance(section, Mapping) else None
        return recipe_of(name, section) if isinstance(name, str) and isinstance(section, Mapping) else cls

    def check_agreement(self) -> None:
        """Raises InputError for sections that do not go together."""
        self.losses.check_decoder(self.decoder)
        if (self.domain.name == MIX) != (self.mix is not None):
            raise InputError(
                f"domain.name is {self.domain.name!r} and the section mix is {'there' if self.mix else 'null'}; a "
                f"mixture has both domain.name={MIX} and its domains in mix"
            )
        if self.mix is not None:
            self.check_mixture(self.mix)
        if self.decoder.name == "memory":
            self.check_memory()
        if self.domain.hard_negatives and self.decoder.name != "dense":
            raise InputError(f"domain.hard_negatives wants decoder.name=dense; decoder.name is {self.decoder.name!r}")
        if self.train.student and self.decoder.name != "dense":
            raise InputError(f"train.student wants decoder.name=dense; decoder.name is {self.decoder.name!r}")
        if self.train.devices > 1 and self.decoder.name == "sam":
            raise InputError("train.devices wants another decoder.name than sam, whose loss asks each image by itself")
        if self.train.start_adapter and self.backbone.random:
            raise InputError("train.start names an adapter of the base; backbone.random=true has another: leave one")
        if self.train.cache == "prefix":
            self.check_cache()
        if channels_of(self.domain.bands) != 3 and self.train.rehearsal:
            raise InputError("train.rehearsal wants one band or three, as generated scenes are RGB; set it to 0")

    def check_memory(self) -> None:
        """Raises InputError for what does not go with a memory of good images, which no gradient reaches."""
        if not self.domain.good_only:
            raise InputError("decoder.name=memory learns from images without entity alone; say domain.good_only=true")
        if not isinstance(self.method, DecoderOnly) or self.method.in_decoder:
            raise InputError(
                f"decoder.name=memory goes by the backbone as it is; method.name is {self.method.name!r}: set "
                f"method.name=decoder_only method.bits={WHOLE_BITS}"
            )
        if self.domain.bands:
            raise InputError("decoder.name=memory wants RGB, as nothing learns to mix other bands; set domain.bands=[]")

    def check_mixture(self, mix: MixSection) -> None:
        """Raises InputError for members whose decoder is another network, and for what a mixture cannot do."""
        refused = {
            "train.student=true": self.train.student,
            "train.rehearsal": self.train.rehearsal > 0,
            "train.devices": self.train.devices > 1,
        }
        for option, is_set in refused.items():
            if is_set:
                raise InputError(f"{option} is of one domain, not of a mixture: leave it out")
        if mix.decoders != "shared":
            self.check_branches(mix)
        for name, member in mix.members.items():
            for option in ("name", "width", "detail", "embedding_dim"):
                asked, shared = getattr(member.decoder, option, None), getattr(self.decoder, option, None)
                if asked != shared:
                    raise InputError(
                        f"mix.members.{name}.decoder.{option} is {asked!r}; all share the mixture's, {shared!r}"
                    )

    def check_branches(self, mix: MixSection) -> None:
        """Raises InputError for what wants one decoder for all members."""
        refused = {
            f"decoder.name={self.decoder.name}": self.decoder.name not in ("dense", "query"),
            "train.teacher=true": self.train.teacher,
            "train.unlabelled_share": self.train.unlabelled_share > 0,
        }
        for option, is_set in refused.items():
            if is_set:
                raise InputError(f"{option} does not go with mix.decoders={mix.decoders}; set mix.decoders=shared")
        for name, member in mix.members.items():
            recipe = self.member(name)
            recipe.losses.check_decoder(member.decoder)
            if recipe.train.cache == "prefix":
                recipe.check_cache()

    def member(self, name: str) -> Recipe:
        """The recipe of a member of the mixture, as if it were alone. name: one of `mix.members`."""
        assert self.mix is not None
        member = self.mix.members[name]
        train = replace(self.train, calibrate_for=self.train.calibrate_for or member.calibrate_for)
        recipe = replace(self, domain=member.domain, decoder=member.decoder, train=train, mix=None)
        if member.method is None:
            return recipe
        start = self.train.start if self.train.start_adapter else member.start
        train = replace(train, start=start, cache=member.cache or "none")
        return replace(recipe, method=member.method, losses=member.losses or self.losses, train=train)

    def with_members(self, domains: Mapping[str, CommonSection]) -> Recipe:
        """The mixture with other sections `domain` of its members, by name."""
        assert self.mix is not None
        members = {name: replace(member, domain=domains[name]) for name, member in self.mix.members.items()}
        return replace(self, mix=replace(self.mix, members=members))

    @property
    def begins_frozen(self) -> bool:
        """Whether blocks come before the first that learns, whose outputs can be kept (`train.cache`)."""
        last = str(getattr(self.method, "layers", "")).startswith("last:")
        return (last or isinstance(self.method, DecoderOnly) or not self.method.in_backbone) and not self.against_cache

    @property
    def against_cache(self) -> list[str]:
        """The options by which crops cannot be kept, or something before the first block learns."""
        against = {
            "train.devices": self.train.devices > 1,
            "domain.hard_negatives": self.domain.hard_negatives > 0,
            "domain.bands": bool(self.domain.bands),
            "method.name": self.method.name in ("full", "biases"),
        }
        return [option for option, holds in against.items() if holds]

    def check_cache(self) -> None:
        """Raises InputError where crops cannot be kept."""
        for option in self.against_cache:
            section, name = option.split(".")
            value = getattr(getattr(self, section), name)
            raise InputError(f"train.cache=prefix does not go with {option}={value}: set train.cache=none")


def recipe_of(domain: str, options: Collection[str] = ()) -> type[Recipe]:
    """The class of recipes that name a domain. options: of its section, as they are said.

    Raises InputError where the package of the domain cannot be loaded and options are said that only it can know, and
    where those that it has cannot be read. Else a package that cannot be loaded is told when the domain is built.
    """
    try:
        owned = installed_options(domain)
    except InputError:
        if {*options} <= {option.name for option in fields(DomainSection)}:
            return Recipe
        raise
    if owned is None:
        return Recipe
    try:
        return recipe_with(section_of_package(owned))
    except InputError as error:
        raise InputError(f"domain {domain!r}: {error}") from error


@cache
def recipe_with(section: type[CommonSection]) -> type[Recipe]:
    """A recipe whose `domain` is that section."""
    namespace = {"__doc__": Recipe.__doc__, "__module__": __name__}
    return make_dataclass("Recipe", [("domain", section)], bases=(Recipe,), namespace=namespace, frozen=True)


def fill_names(sections: Any, names: Mapping[str, str]) -> Any:
    """The sections, with a `name` where a mapping lacks it: `method: {rank: 4}` means LoRA."""
    if not isinstance(sections, Mapping):
        return sections
    named = {
        key: {"name": name, **sections[key]} for key, name in names.items() if isinstance(sections.get(key), Mapping)
    }
    return {**sections, **named}


def fill_losses(sections: Any) -> Any:
    """The sections, with the decoder's own terms among the losses; a term that is null is as if it were not there."""
    losses = sections.get("losses", {}) if isinstance(sections, Mapping) else None
    decoder = sections.get("decoder", {"name": "dense"}) if isinstance(sections, Mapping) else None
    name = decoder.get("name") if isinstance(decoder, Mapping) else getattr(decoder, "name", None)
    if not isinstance(losses, Mapping) or not isinstance(name, str) or name not in OWN_TERMS:
        return sections
    terms = {term: options for term, options in losses.items() if options is not None or term not in TERMS}
    return {**sections, "losses": {**dict.fromkeys(OWN_TERMS[name], {}), **terms}}


Checked = TypeVar("Checked", bound=AnyRecipe)


def check_recipe(kind: type[Checked], sections: Mapping[str, Any], source: str = "") -> Checked:
    """The recipe that the sections spell. Raises InputError in one line that opens with `source`: the option, what
    came, what was wanted.
    """
    return checked(kind.reader(sections), kind.completed(sections), source)
