"""`cli.py recipes list|check` and `cli.py domains list|check`: texts for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from domains.errors import InputError
from recipes.compose import list_recipes, load_any
from recipes.schema import BUILT_IN_DOMAINS, DOMAINS_GROUP, PretrainRecipe


def recipes_text() -> str:
    """A line per shipped recipe."""
    lines = [f"{name:<16} {about}" for name, about in list_recipes().items()]
    return "\n".join([*lines, "next: python cli.py recipes show pathology"])


def checked_text(recipe: str, overrides: Iterable[str] = ()) -> str:
    """That the recipe is right, and how to run it; InputError where it is not."""
    verb = "pretrain" if isinstance(load_any(recipe, overrides), PretrainRecipe) else "fit"
    return f"{recipe} is right\nnext: python cli.py {verb} --recipe {recipe}"


def domains_text() -> str:
    """A line per domain: its name and who brings it."""
    ours = dict.fromkeys(BUILT_IN_DOMAINS, "built in")
    installed = {point.name: point.value for point in entry_points(group=DOMAINS_GROUP)}
    lines = [f"{name:<16} {origin}" for name, origin in {**ours, **installed, **ours}.items()]
    return "\n".join([*lines, "next: python cli.py domains check DIR"])


def check_data(folder: Path, groups: Path | None = None, strict: bool = False) -> str:
    """What the folder holds; InputError where it is unusable, and under `strict` for any fault."""
    from domains.check import check_folder

    report = check_folder(folder, groups)
    if strict and report.faults:
        raise InputError(f"{str(folder)!r}: {len(report.faults)} faults, the first is {report.faults[0]}")
    return f"{report.text()}\nnext: python cli.py fit --recipe {'|'.join(BUILT_IN_DOMAINS)} --data {folder}"
