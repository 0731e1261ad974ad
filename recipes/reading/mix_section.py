"""The section `mix` of a recipe: several domains that one adapter is fitted to.

A user writes `mix: {pathology: DIR, industrial: DIR2, temperature: 2}`. `expanded` makes it whole: each member gets the
section `domain` of its domain's shipped recipe, and that recipe's way from the decoder's outputs to entities. Imports
no torch.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from adapters.options.decoders import Decoder, Dense
from adapters.options.section import CONFIG, Options
from adapters.options.training import Target
from domains.errors import InputError
from recipes.reading.domain_section import BUILT_IN_DOMAINS, MIX, CommonSection, DomainSection

SECTION = "mix"
OF_DATA = ("data", "groups", "layout")
"""Options of a domain that a member alone can say."""
TO_ENTITIES = (*Dense.TUNED, "regions", "merging")
"""Options of the dense decoder on which no weight depends: a member has its domain's."""
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


@dataclass(frozen=True)
class MixSection(Options):
    """Several domains in place of one, each with augmentation, options, pixel size and thresholds of its own."""

    __pydantic_config__: ClassVar[ConfigDict] = {**CONFIG, "json_schema_extra": WRITTEN}
    SOURCE: ClassVar[str] = "mix."

    members: Annotated[dict[str, MemberSection], Field(min_length=2, max_length=24)]
    """By name; in short `DOMAIN: DIR`, `DOMAIN:NAME: DIR` for several of one domain, or options of the domain in place
    of DIR."""
    temperature: Annotated[float, Field(gt=0, le=1000)] = 2.0
    """A member of n training images has a share of the crops in proportion to n^(1/temperature): 1 goes by the images,
    large values give all members equal shares."""

    def check_agreement(self) -> None:
        """Raises InputError: a folder that is there twice, and sides or bands in which a batch's crops would differ."""
        folders: dict[str, str] = {}
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


def expanded(sections: Mapping[str, Any], shelf: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
    """A recipe's sections with the section `mix` whole, where it has one. shelf: from a domain to the sections of the
    recipe that is shipped for it. Raises InputError.
    """
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
        return {**sections, "domain": domain}
    common = {key: value for key, value in domain.items() if key != "name"}
    for option in OF_DATA:
        if option in common:
            raise InputError(
                f"domain.{option} is {common[option]!r:.80}, but a mixture has several folders: say it of a member, as "
                f"mix.pathology.{option}"
            )
    settings = {key: written[key] for key in ("temperature",) if key in written}
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
    return {**sections, "domain": {**domain, "name": MIX}, SECTION: {**settings, "members": members}}


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
    decoder: dict[str, Any] = dict(sections.get("decoder") or {"name": "dense"})
    if decoder.get("name", "dense") == "dense":
        decoder |= {key: value for key, value in shipped.get("decoder", {}).items() if key in TO_ENTITIES}
        regions = shipped.get("decoder", {}).get("regions"), (sections.get("decoder") or {}).get("regions")
        decoder["regions"] = all(regions)
    chosen_for = shipped.get("train", {}).get("calibrate_for")
    return {
        "domain": {**shipped["domain"], **common, **options, "name": kind},
        "decoder": decoder,
        **({} if chosen_for is None else {"calibrate_for": chosen_for}),
    }
