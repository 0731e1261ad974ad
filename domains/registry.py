"""Which domains there are: those of this house, by their folders, and those of installed packages, by entry points.

A folder `domains/<name>/` with a `domain.py` is a domain of this house, `DOMAIN` in that file is its entry; a package
names its own under the entry point group `GROUP`. An entry is loaded when it is asked for: what all domains share
neither names nor imports a single one, and a wrong recipe is refused before torch is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from domains.errors import InputError, suggest

GROUP = "entity_adapters.domains"
PACKAGE = __name__.rpartition(".")[0]  # another in a wheel than in a checkout
DATASETS = "datasets"  # whose domain.py says what a domain is
LAST = 1000  # the place of a domain that gives none


@cache
def house_domains() -> dict[str, str]:
    """`module:attribute` of every domain of this house by name, in the order of their `PLACE`, then of their names."""
    folders = (file.parent.name for file in Path(__file__).parent.glob("*/domain.py"))
    places = {name: getattr(import_module(f"{PACKAGE}.{name}"), "PLACE", LAST) for name in folders if name != DATASETS}
    return {name: f"{PACKAGE}.{name}.domain:DOMAIN" for name in sorted(places, key=lambda name: (places[name], name))}


@cache
def house_options() -> tuple[type[Any], ...]:
    """The options that domains of this house own, in the order of the domains: `OPTIONS` of their `options.py`.

    Nothing but these files is imported.
    """
    home = Path(__file__).parent
    owners = [name for name in house_domains() if (home / name / "options.py").is_file()]
    return tuple(import_module(f"{PACKAGE}.{name}.options").OPTIONS for name in owners)


@cache
def house_specs() -> tuple[Any, ...]:
    """The `DomainSpec` of every domain of this house, in their order."""
    return tuple(EntryPoint(name, value, GROUP).load() for name, value in house_domains().items())


def installed_options(name: str) -> type[Any] | None:
    """The dataclass of the options that an installed package's domain owns; None where it has none, for a domain of
    this house, and for a name that no package has. Raises InputError for an entry that cannot be loaded.
    """
    if name in house_domains() or name not in domain_entries():
        return None
    options = getattr(load_entry(name), "options", None)
    return options if isinstance(options, type) and is_dataclass(options) and fields(options) else None


def installed_specs() -> Iterator[Any]:
    """The entries of installed packages that can be loaded, each when it is asked for."""
    for name in domain_entries().keys() - house_domains().keys():
        try:
            yield load_entry(name)
        except InputError:
            continue  # told when that domain is asked for; the others go on working


def load_entry(name: str) -> Callable[..., Any]:
    """The entry of that name: a `DomainSpec`, or whatever a third party registered to be called in its place.

    Raises InputError for an unknown name, and for an entry that cannot be loaded or called.
    """
    entries = domain_entries()
    if name not in entries:
        raise InputError(f"domain.name is {name!r}; {suggest(name, entries)}")
    entry = entries[name]
    try:
        loaded = entry.load()
    except Exception as error:  # a stranger's package: whatever its import raises, the user gets one line
        raise InputError(
            f"domain {name!r} of {origin(entry)} cannot be loaded from {entry.value!r}: "
            f"{type(error).__name__}: {error}; repair or uninstall that package"
        ) from error
    if not callable(loaded):
        raise InputError(f"domain {name!r} of {origin(entry)}: wanted a DomainSpec or a function, got {loaded!r}")
    return loaded


def domain_entries() -> dict[str, EntryPoint]:
    """Every registered domain by name. Those of this house cannot be replaced by a package that takes their names."""
    house = {name: EntryPoint(name, value, GROUP) for name, value in house_domains().items()}
    return {entry.name: entry for entry in entry_points(group=GROUP)} | house


def origin(entry: EntryPoint) -> str:
    """Who brings a domain, for an error's line."""
    return f"the package {entry.dist.name!r}" if entry.dist else "this repository"
