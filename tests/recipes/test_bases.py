"""Bases are loaded once, and again only for other taps."""

from __future__ import annotations

from pathlib import Path

from adapters.backbones import Backbone, BackboneOptions, build_backbone
from recipes.bases import base_of, recipe_of_base
from recipes.shared import BASE


def test_adapters_of_one_base_share_it(run: Path, base: Path) -> None:
    bases: dict[str, Backbone] = {}
    adapter = str(run / "adapter")
    assert base_of(adapter, bases) is base_of(adapter, bases) and [held.name for held in bases.values()] == [str(base)]
    assert base_of(BASE, bases).name == "entity-small" and len(bases) == 2
    assert base_of(BASE, bases) is base_of(BASE, bases)


def test_another_base_is_loaded_where_one_has_other_taps(run: Path, base: Path) -> None:
    adapter = str(run / "adapter")
    assert recipe_of_base(adapter).backbone.taps == (1, 2)
    shallow = build_backbone(BackboneOptions(str(base), taps=(2,)))
    bases = {"shallow": shallow}
    assert base_of(adapter, bases).taps == (1, 2) and len(bases) == 2
