"""The adapters and sets that `transfer` is asked for, by the names that the reader gives them. Imports no torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from domains.errors import InputError
from recipes.reading.compose import changed, list_recipes, load_recipe
from recipes.reading.schema import Recipe
from recipes.shared import BASE, SharedRecipe, on_data, same_folder

FORMS = "wanted DOMAIN=DIR, NAME:DIR or DOMAIN:NAME=DIR, such as pathology=data/dsb2018_he or stained:data/dsb2018_he"


@dataclass(frozen=True)
class AskedSet:
    """name: of the column. domain: None for that of the adapters. groups: a table, None for the folder's own."""

    name: str
    domain: str | None
    folder: str
    groups: str | None = None


def parse_sets(words: Sequence[str], groups: Sequence[str] = ()) -> list[AskedSet]:
    """What `--data` and `--groups` say. Several sets of one domain are called by their folders. Raises InputError."""
    sets = [parse_set(word) for word in words]
    if not sets:
        raise InputError("transfer wants at least one --data DOMAIN=DIR, such as --data pathology=DIR")
    uses = Counter(asked.name for asked in sets)
    sets = [
        replace(asked, name=Path(asked.folder).name or asked.folder)
        if asked.name == asked.domain and uses[asked.name] > 1
        else asked
        for asked in sets
    ]
    name, count = Counter(asked.name for asked in sets).most_common(1)[0]
    if count > 1:
        raise InputError(f"--data has {count} sets of the name {name!r}; name them by NAME:DIR or DOMAIN:NAME=DIR")
    return with_tables(sets, groups)


def parse_set(word: str) -> AskedSet:
    """What one `--data` says, in any of `FORMS`. Raises InputError."""
    before, equals, folder = word.partition("=")
    if equals and "/" not in before:
        asked = AskedSet(before, before.partition(":")[0], folder)
    else:
        name, _, folder = word.partition(":")
        asked = AskedSet(name, None, folder)
    if not asked.name or not asked.folder or asked.domain == "":
        raise InputError(f"--data is {word!r}; {FORMS}")
    return asked


def with_tables(sets: Sequence[AskedSet], groups: Sequence[str]) -> list[AskedSet]:
    """The sets with their tables of groups, `NAME:FILE` each. Raises InputError."""
    tables: dict[str, str] = {}
    names = [asked.name for asked in sets]
    for word in groups:
        name = next((name for name in names if word.startswith(f"{name}:")), "")
        table = word[len(name) + 1 :]
        if not name or not table or name in tables:
            raise InputError(
                f"--groups is {word!r}; wanted NAME:FILE, once for each set; the sets are {', '.join(names)}"
            )
        if not Path(table).is_file():
            raise InputError(f"--groups is {word!r}, but there is no file {table!r}; wanted a CSV of file,group")
        tables[name] = table
    return [replace(asked, groups=tables.get(asked.name)) for asked in sets]


def parse_adapters(words: Sequence[str]) -> dict[str, str]:
    """The row's name of each adapter, the base first. `NAME:PATH` gives one; else it is the run's (`runs/mine/adapter`
    is `mine`), with as much of the path as tells two apart. Raises InputError.
    """
    names: dict[str, str] = {}
    for word in words:
        name, colon, path = word.partition(":")
        if colon and name and path and "/" not in name and not Path(word).exists():
            names[path] = name
        elif word != BASE:
            names.setdefault(word, "")
    reserved = [BASE, *filter(None, names.values())]
    repeated = next((name for name, count in Counter(reserved).items() if count > 1), None)
    if repeated is not None:
        raise InputError(f"--adapter has several of the name {repeated!r}; give each a name of its own, by NAME:PATH")
    short = run_names([path for path, name in names.items() if not name], set(reserved))
    return {BASE: BASE, **{path: name or short[path] for path, name in names.items()}}


def run_names(paths: Sequence[str], reserved: set[str]) -> dict[str, str]:
    """The last step of each path but for `adapter` and a file's ending, or as many steps as make all different."""
    steps = {}
    for path in paths:
        folders = Path(path).parts
        chain = folders[:-1] if folders[-1:] == ("adapter",) and len(folders) > 1 else (*folders[:-1], Path(path).stem)
        steps[path] = [step for step in chain if step not in ("/", "..")] or [path]
    depth = dict.fromkeys(paths, 1)
    while True:
        names = {path: "/".join(steps[path][-depth[path] :]) for path in paths}
        counts = Counter(names.values())
        clashing = [path for path, name in names.items() if counts[name] > 1 or name in reserved]
        if not any(depth[path] < len(steps[path]) for path in clashing):
            return {path: path if path in clashing else name for path, name in names.items()}
        for path in clashing:
            depth[path] += 1


def recipe_for(asked: AskedSet, recipes: Sequence[SharedRecipe]) -> Recipe:
    """The domain of a set on its folder, split as the adapter that was fitted on that folder had it.

    Raises InputError where nobody says the domain.
    """
    table = [] if asked.groups is None else [f"domain.groups={json.dumps(asked.groups)}"]
    fitted = [shared for shared in recipes if same_folder(asked.folder, shared.data)]
    name = asked.domain or domain_of_adapters(asked, fitted or recipes)
    for shared in fitted:
        if shared.recipe.domain.name == name:
            return changed(shared.recipe, [*shared.on_data(asked.folder, table), *table])
    recipe = load_recipe(*recipe_words(name))
    return changed(recipe, [*on_data(recipe, asked.folder), *table])


def domain_of_adapters(asked: AskedSet, recipes: Sequence[SharedRecipe]) -> str:
    """The domain of all the adapters, for a set that names none. Raises InputError where they have several or none."""
    names = sorted({shared.recipe.domain.name for shared in recipes})
    if len(names) == 1:
        return names[0]
    came = f"the adapters are of {', '.join(names)}" if names else "there is no adapter to take it from"
    line = f"DOMAIN:{asked.name}={asked.folder}"
    raise InputError(f"--data {asked.name}:{asked.folder} does not say its domain, and {came}; say it: {line}")


def recipe_words(domain: str) -> tuple[str, list[str]]:
    """The shipped recipe of a domain, of an installed domain the general one, with what is to be changed in it."""
    return (domain, []) if domain in list_recipes() else ("base", [f"domain.name={json.dumps(domain)}"])
