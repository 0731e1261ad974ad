"""Every field of every options class is tried with what it does not take; a class that is new is tried unasked."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import ConfigDict, Field, Strict

from adapters.options.decoders import Query
from adapters.options.section import CONFIG, Options, checked, schema_of
from adapters.sharing.info import AdapterInfo
from adapters.sharing.texts import parse_json
from recipes.reading.domain_section import CommonSection, DomainSection
from recipes.reading.schema import Recipe
from tests.fuzz.options import ADAPTER, DOORS, RECIPE, accepted, cases

EVERY = 3
OF_MEMBERS = {"branch"}
"""Of a member of a mixture, which stands under a name of its own; tests/recipes/verbs/test_fit_mixture.py has it."""
READERS = ("adapters.options", "adapters.sharing", "recipes.reading")


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0].__name__)
def test_what_an_option_does_not_take_is_refused_in_one_line(door) -> None:
    assert accepted(*door, every=EVERY) == []


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_every_section_that_is_read_is_behind_a_door() -> None:
    """Those that others inherit from are read as their heirs, `CommonSection` as the section that is made of it."""
    assert {field.name for field in fields(CommonSection)} < {field.name for field in fields(DomainSection)}
    reached = {name for kind, *_ in DOORS for name in (*schema_of(kind).get("$defs", {}), kind.__name__)}
    read = {kind for kind in subclasses(Options) if kind.__module__.startswith(READERS)} - {CommonSection}
    leaves = {kind.__name__ for kind in read if not any(heir in read for heir in kind.__subclasses__())}
    assert leaves <= reached, "give the section a place in a recipe or in entity.json"


def options_of(schema: dict[str, Any]) -> set[str]:
    return {name for part in (schema, *schema.get("$defs", {}).values()) for name in part.get("properties", {})}


@pytest.mark.parametrize("kind, whole", [(AdapterInfo, ADAPTER), (Recipe, RECIPE)])
def test_every_option_is_tried_in_several_ways(kind: type[Options], whole: dict[str, Any]) -> None:
    tried: dict[str, set[str]] = {}
    for case in cases(kind, whole):
        tried.setdefault(next(str(step) for step in reversed(case.steps) if isinstance(step, str)), set()).add(
            case.fault
        )
    assert options_of(schema_of(kind)) - OF_MEMBERS == tried.keys()
    assert min(map(len, tried.values())) >= 12


@dataclass(frozen=True)
class Wheel(Options):
    """A section that nobody has heard of."""

    teeth: Annotated[int, Field(ge=3, le=90)] = 12
    ratio: Annotated[float, Field(gt=0, lt=1)] = 0.5
    kind: Literal["spur", "bevel"] = "spur"
    axes: Annotated[tuple[float, float], Strict(False)] = (0.0, 0.0)


@dataclass(frozen=True)
class Gearbox(Options):
    """Another, which holds it."""

    maker: Annotated[str, Field(max_length=10)]
    wheel: Wheel = Wheel()
    spare: Wheel | None = None


def test_a_new_section_is_covered_without_a_change() -> None:
    names = {case.name for case in cases(Gearbox, {"maker": "me"})}
    for option in ("wheel.teeth", "spare.teeth"):
        wrong = ("2", "91", "3.0", "'3'", "None", "NaN", "given twice", "another name")
        assert {f"{option}: {fault}" for fault in wrong} <= names
    assert {"maker: missing", "maker: '00000000000'", "wheel.ratio: 0", "wheel.axes: [0.5]", "wheel.kind: 'x'"} <= names
    assert accepted(Gearbox, {"maker": "me"}, lambda text: checked(Gearbox, parse_json(text, "it"))) == []


@dataclass(frozen=True)
class Loose(Options):
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(**{**CONFIG, "strict": False})

    teeth: Annotated[int, Field(ge=3)] = 12


def test_a_section_that_takes_what_it_should_not_is_seen() -> None:
    failures = accepted(Loose, {}, lambda text: checked(Loose, json.loads(text)))
    assert {"Loose: teeth: '3': accepted", "Loose: teeth: given twice: accepted"} <= set(failures)


def test_what_is_whole_is_read() -> None:
    for kind, whole, read in DOORS:
        assert isinstance(read(json.dumps(whole)), kind)
    assert Query(heads=8).options()["heads"] == 8
