"""Bases that several adapters share: each is loaded once, by the adapter that first wants it."""

from __future__ import annotations

import json
from pathlib import Path

from adapters.backbones import Backbone
from adapters.sharing.door import name_of, read_info
from adapters.sharing.info import AdapterInfo, Base
from adapters.sharing.opening import opened
from recipes.build import backbone_of
from recipes.reading.compose import load_recipe
from recipes.reading.schema import Recipe
from recipes.shared import BASE


def base_of(adapter: str, bases: dict[str, Backbone], elsewhere: str | None = None) -> Backbone:
    """The backbone that an adapter wants, loaded when first asked for. elsewhere: where it is, if not as it says."""
    recipe = recipe_of_base(adapter, elsewhere)
    name, taps = recipe.backbone.name, recipe.backbone.taps
    for base in bases.values():
        if base.name == name and taps in (None, base.taps):
            return base
    base = backbone_of(recipe)
    return bases.setdefault(f"{base.name} {base.taps}", base)


def recipe_of_base(adapter: str, elsewhere: str | None = None) -> Recipe:
    """The general recipe on the base that an adapter wants. Raises InputError where that is not at hand."""
    if adapter == BASE:
        return load_recipe("base")
    with opened(Path(adapter)) as folder:
        return load_recipe("base", words_of_base(folder, read_info(folder), elsewhere))


def words_of_base(folder: Path, info: AdapterInfo, elsewhere: str | None = None) -> list[str]:
    """The overrides that name the base of an adapter. Raises InputError where it is not at hand."""
    base = info.backbone
    name = elsewhere if elsewhere and base.is_local and not at_hand(base) else name_of(base, folder)
    return [f"backbone.name={json.dumps(name)}", f"backbone.taps={list(base.taps)}"]


def at_hand(base: Base) -> bool:
    """Whether a base in a folder lies where its adapter says."""
    return base.name != base.bare_name and Path(base.name).exists()
