"""The section `mix` of a recipe: several domains that one adapter is fitted to.

A user writes `mix: {pathology: DIR, industrial: DIR2, temperature: 2}`. `expanded` makes it whole: each member gets the
section `domain` of its domain's shipped recipe, and that recipe's way from the decoder's outputs to entities; where
decoders are not shared, its method, its losses and what its decoder starts from too. Imports no torch.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from adapters.options.decoders import Decoder, Dense
from adapters.options.losses import Losses
from adapters.options.methods import DecoderOnly, Method
from adapters.options.ranges import Positive
from adapters.options.section import CONFIG, Options
from adapters.options.training import Target
from domains.errors import InputError
from recipes.reading.domain_section import BUILT_IN_DOMAINS, MIX, CommonSection, DomainSection

SECTION = "mix"
OF_DATA = ("data", "groups", "layout")
"""Options of a domain that a member alone can say."""
TO_ENTITIES = (*Dense.TUNED, "regions", "merging")
"""Options of the dense decoder on which no weight depends: a member has its domain's."""
OF_BRANCH = ("method", "losses", "start", "cache")
"""What each decoder has of its own, where they are not shared; members in which these are alike can share one."""
SETTINGS = ("temperature", "decoders")
"""Options of the section that are no member."""
WRITTEN: Any = {"additionalProperties": {"anyOf": [{"type": "string"}, {"type": "object"}]}}
"""Of the short form, for editors: a member's folder, or options of its domain."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class MemberSection(Options):
    """A domain of a mixture on its data."""

    SOURCE: ClassVar[str] = "mix."

    domain: DomainSection
    """As in a recipe of that domain alone."""
    decoder: Decoder = Dense()
    """As the mixture's, but for thresholds and what is chosen among; calibrated for this member."""
    calibrate_for: Target | None = None
    """As `train.calibrate_for`, which comes before it where it is said."""
    seconds: Positive | None = None
    """For how long the recipe of its domain trains; its share of the steps, where `temperature` is null."""
    method: Method | None = None
    """Of its decoder, where they are not shared, as in a recipe of that domain alone; it leaves the base as it is."""
    losses: Losses | None = None
    """Of its decoder."""
    start: Annotated[str, Field(min_length=1)] | None = None
    """Of its decoder, as `train.start`, which comes before it where that names an adapter."""
    cache: Literal["none", "prefix", "auto"] | None = None
    """Of its crops, as `train.cache`."""

    def shares(self, member: MemberSection) -> bool:
        """Whether one decoder can serve both."""
        alike = all(getattr(self, option) == getattr(member, option) for option in OF_BRANCH)
        return alike and self.domain.name == member.domain.name


@dataclass(frozen=True)
class MixSection(Options):
    """Several domains in place of one, each with augmentation, options, pixel size and thresholds of its own."""

    __pydantic_config__: ClassVar[ConfigDict] = {**CONFIG, "json_schema_extra": WRITTEN}
    SOURCE: ClassVar[str] = "mix."

    members: Annotated[dict[str, MemberSection], Field(min_length=2, max_length=24)]
    """By name; in short `DOMAIN: DIR`, `DOMAIN:NAME: DIR` for several of one domain, or options of the domain in place
    of DIR."""
    decoders: Literal["domain", "member", "shared"] = "shared"
    """domain: one for each domain, over the frozen base, by the method, losses and start of that domain's own recipe;
    in each step one of them learns. member: one for each set. shared: one for all, and all learn in each step."""
    temperature: Annotated[float, Field(gt=0, le=1000)] | None = None
    """A member of n training images has a share of the crops in proportion to n^(1/temperature): 1 goes by the images,
    large values give all members equal shares. null: by the seconds that the recipe of its domain trains for."""

    @property
    def branches(self) -> dict[str, str]:
        """Member -> the first of those that it shares its decoder with, whose name that has."""
        branches: dict[str, str] = {}
        for name, member in self.members.items():
            alike = (
                lead
                for lead in dict.fromkeys(branches.values())
                if self.decoders == "shared" or (self.decoders == "domain" and self.members[lead].shares(member))
            )
            branches[name] = next(alike, name)
        return branches

    def check_agreement(self) -> None:
        """Raises InputError: a folder that is there twice, and sides or bands in which a batch's crops would differ."""
        folders: dict[str, str] = {}
        for member_name, member in self.members.items():
            check_branch(member_name, member, self.decoders)
        name, lead = next(iter(self.members.items()))
        for member_name, member in self.members.items():
            check_member(member_name, member)
            if member.domain.data != "sample":
                folder = os.path.realpath(member.domain.data)
                if folder in folders:
                    raise InputError(
                        f"{member.domain.data!r} is there twice, as {folders[folder]!r} and {member_name!r}; name each "
                        "folder once"
                    )
                folders[folder] = member_name
            for option in ("crop_px", "bands"):
                sides = getattr(lead.domain, option), getattr(member.domain, option)
                if sides[0] != sides[1]:
                    raise InputError(
                        f"{option} is {sides[0]!r:.80} for {name!r} and {sides[1]!r:.80} for {member_name!r}; crops of "
                        f"one batch are alike: set domain.{option}, which holds for all"
                    )


def check_member(name: str, member: MemberSection) -> None:
    """Raises InputError for what no member of a mixture can be."""
    domain: CommonSection = member.domain
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r:.80} is no name of a member; wanted up to 40 letters, digits, _ and -")
    if domain.name == MIX:
        raise InputError(f"{name!r} is itself a mixture; name its domains one by one")
    if domain.hard_negatives:
        raise InputError(f"{name!r} has hard_negatives, which are of one domain, not of a mixture: leave them out")


def check_branch(name: str, member: MemberSection, decoders: str) -> None:
    """Raises InputError for what goes with a decoder of its own alone, and for one that changes the base for all."""
    if decoders == "shared":
        for option in OF_BRANCH:
            if getattr(member, option) is not None:
                raise InputError(
                    f"mix.{name}.{option} is of a decoder of its own, but mix.decoders is 'shared': set "
                    f"mix.decoders=domain, or say {option} of all"
                )
        return
    if member.method is None:
        raise InputError(f"mix.members.{name}.method is null; mix.decoders={decoders} wants one for each")
    if changes_base(member.method):
        raise InputError(
            f"{name!r} has method.name={member.method.name}, which changes the base that all share: take "
            "method.name=decoder_only or method.scope=decoder, or mix.decoders=shared"
        )
    if getattr(member.method, "init", "random") != "random":
        raise InputError(f"{name!r} has another method.init than random, which is of mix.decoders=shared: leave it out")


def changes_base(method: Method) -> bool:
    """Whether it puts something into the backbone, or lets some of it learn."""
    return method.in_backbone and not isinstance(method, DecoderOnly)


def expanded(
    sections: Mapping[str, Any],
    shelf: Callable[[str], Mapping[str, Any]],
    spoken: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A recipe's sections with the section `mix` whole, where it has one. shelf: from a domain to the sections of the
    recipe that is shipped for it. spoken: those sections that a reader says, not what these inherit. Raises InputError.
    """
    spoken = spoken or {}
    written = sections.get(SECTION)
    domain = sections.get("domain")
    domain = {"name": domain} if domain == MIX else domain
    if written is None:
        named = isinstance(domain, Mapping) and domain.get("name") == MIX
        return {**sections, "domain": domain, **({SECTION: {}} if named else {})} if named else dict(sections)
    if not isinstance(written, Mapping) or not isinstance(domain, Mapping):
        raise InputError(f"mix is {written!r:.80}; wanted domains with their folders, such as {{pathology: DIR}}")
    if domain.get("name") != MIX:
        raise InputError(
            f"mix names domains, and domain.name is {domain.get('name')!r:.80}; fit them together by --recipe mix, or "
            f"set domain.name={MIX}"
        )
    if "members" in written:
        return {**sections, "domain": domain, SECTION: with_said(written, sections, spoken)}
    common = {key: value for key, value in domain.items() if key != "name"}
    for option in OF_DATA:
        if option in common:
            raise InputError(
                f"domain.{option} is {common[option]!r:.80}, but a mixture has several folders: say it of a member, as "
                f"mix.pathology.{option}"
            )
    settings = {key: written[key] for key in SETTINGS if key in written}
    words = {key: value for key, value in written.items() if key not in settings and value is not None}
    members: dict[str, Any] = {}
    for key, value in (words or dict.fromkeys(BUILT_IN_DOMAINS, "sample")).items():
        kind, _, name = str(key).partition(":")
        name = name or kind
        if name in members:
            raise InputError(f"mix has {name!r} twice; name several sets of a domain by {kind}:NAME, each once")
        members[name] = member_sections(kind, name, value, common, sections, shelf)
    if len(members) < 2:
        raise InputError(f"mix has {', '.join(members)} alone; wanted two sets or more, or the recipe of that domain")
    mix = with_said({**settings, "members": members}, sections, spoken)
    return {**sections, "domain": {**domain, "name": MIX}, SECTION: mix, "train": budget_of(members, sections, spoken)}


def is_expanded(sections: Mapping[str, Any]) -> bool:
    """Whether a recipe's section `mix` is whole, as a run writes it."""
    mix = sections.get(SECTION)
    return isinstance(mix, Mapping) and "members" in mix


def with_said(mix: Mapping[str, Any], sections: Mapping[str, Any], spoken: Mapping[str, Any]) -> dict[str, Any]:
    """The section, in which what a reader says of `method`, `losses` and `train` holds for every member; where decoders
    are shared that is so anyway.
    """
    members, train = mix["members"], spoken.get("train")
    if mix.get("decoders", "shared") == "shared" or not isinstance(members, Mapping):
        return dict(mix)
    for_all = {name: sections[name] for name in ("method", "losses") if spoken.get(name) and name in sections}
    for_all |= {name: train[name] for name in ("start", "cache") if isinstance(train, Mapping) and name in train}
    return {
        **mix,
        "members": {
            name: {**member, **for_all} if isinstance(member, Mapping) else member for name, member in members.items()
        },
    }


def budget_of(members: Mapping[str, Any], sections: Mapping[str, Any], spoken: Mapping[str, Any]) -> Any:
    """The section `train`, for as long as the recipes of all members together, where a reader does not say how long."""
    train, budget = sections.get("train"), spoken.get("train")
    if not isinstance(train, Mapping) or not isinstance(train.get("steps"), int):
        return train
    budget = budget if isinstance(budget, Mapping) else {}
    sums = {"steps": train["steps"] * len(members), "seconds": sum(member["seconds"] for member in members.values())}
    return {**train, **{name: value for name, value in sums.items() if name not in budget}}


def member_sections(
    kind: str,
    name: str,
    value: Any,
    common: Mapping[str, Any],
    sections: Mapping[str, Any],
    shelf: Callable[[str], Mapping[str, Any]],
) -> dict[str, Any]:
    """A member by its domain and what is said of it: a folder, or options. Raises InputError."""
    if not isinstance(value, str | Mapping):
        raise InputError(f"mix.{name} is {value!r:.80}; wanted a folder, or options of its domain with data: DIR")
    options = {"data": value} if isinstance(value, str) else dict(value)
    if "data" not in options:
        raise InputError(f"mix.{name} has no data; wanted data: DIR among its options")
    shipped = shelf(kind)
    of_branch = branch_sections(sections, shipped) if decoders_of(sections) != "shared" else {}
    for option in (*OF_BRANCH, "seconds"):
        if option in options:
            of_branch[option] = options.pop(option)
    decoder: dict[str, Any] = dict(sections.get("decoder") or {"name": "dense"})
    if decoder.get("name", "dense") == "dense":
        decoder |= {key: value for key, value in shipped.get("decoder", {}).items() if key in TO_ENTITIES}
        regions = shipped.get("decoder", {}).get("regions"), (sections.get("decoder") or {}).get("regions")
        decoder["regions"] = all(regions)
    chosen_for = shipped["train"].get("calibrate_for")
    return {
        "domain": {**shipped["domain"], **common, **options, "name": kind},
        "decoder": decoder,
        **({} if chosen_for is None else {"calibrate_for": chosen_for}),
        "seconds": shipped["train"]["seconds"],
        **of_branch,
    }


def decoders_of(sections: Mapping[str, Any]) -> Any:
    """`mix.decoders` as it is written."""
    written = sections.get(SECTION)
    return written.get("decoders", "shared") if isinstance(written, Mapping) else "shared"


def branch_sections(sections: Mapping[str, Any], shipped: Mapping[str, Any]) -> dict[str, Any]:
    """What the shipped recipe of a domain says of its decoder; the mixture's method where that changes the base."""
    method, train, decoders = shipped["method"], shipped["train"], (shipped["decoder"], sections.get("decoder") or {})
    alike = decoders[0].get("name") == decoders[1].get("name", "dense")
    frozen = method.get("name") == "decoder_only" or method.get("scope") == "decoder"
    return {
        "method": method if frozen else sections.get("method"),
        "losses": (shipped if alike else sections).get("losses", {}),
        "start": train.get("start"),
        "cache": train.get("cache", "none"),
    }
