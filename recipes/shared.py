"""The recipe inside an adapter, which comes from anybody: read as any recipe, but no file that it names is opened.

Where the maker's data and groups lay is kept as words, to tell whether the reader's own folder is the one that the
adapter was fitted on. Nothing here imports torch.
"""

from __future__ import annotations

import json
import os.path
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters.options.decoders import Decoder
from adapters.options.section import Options
from adapters.sharing.door import name_of, read_info, read_recipe, without_places
from adapters.sharing.info import AGAIN, RECIPE, AdapterInfo, last_step, present
from adapters.sharing.opening import opened
from domains.errors import InputError
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.reading.domain_section import CommonSection
from recipes.reading.schema import Recipe, check_recipe

BASE = "base"


@dataclass(frozen=True)
class SharedRecipe:
    """An adapter's recipe without places, and what it said of them."""

    recipe: Recipe
    data: str
    """`sample`, the maker's folder, or '' where the recipe does not say, as in a packed adapter."""
    groups: str | None

    def on_data(self, data: str | None, overrides: Sequence[str] = ()) -> list[str]:
        """Overrides that put the recipe on data that the reader names, be it among the `overrides`.

        On the maker's own folder layout and pixel size are kept, since they decide which images the adapter learnt
        from; the table of groups has to be named again. Raises InputError.
        """
        data = data or next((word.partition("=")[2] for word in overrides if word.startswith("domain.data=")), None)
        if data is None:
            if self.data == "sample":
                return []
            raise InputError("an adapter does not say where its images lie; name yours by --data DIR")
        if not same_folder(data, self.data):
            return on_data(self.recipe, data)
        named = any(word.startswith("domain.groups=") for word in overrides) or (Path(data) / "groups.csv").is_file()
        if self.groups and not named:
            raise InputError(
                f"the adapter was fitted on {data!r} with its groups by {last_step(self.groups)!r}, which decides the "
                "images that it learnt from: name that table by domain.groups=FILE, or put it into the folder as "
                "groups.csv"
            )
        return [put_on(data)]


def shared_recipe(folder: Path, info: AdapterInfo, member: str | None = None) -> SharedRecipe:
    """The recipe in an adapter's folder. member: of a mixture, by its name, whose recipe it is.

    Raises InputError: damaged, out of range, or at odds with `entity.json`; of a mixture, without a member.
    """
    sections = read_recipe(folder)
    source = f"{str(folder / RECIPE)!r}: "
    recipe = check_recipe(Recipe, without_places(sections), source)
    domain: Any = sections["domain"]  # a section, or the recipe would have been refused
    if [*(recipe.mix.members if recipe.mix else ())] != [*(info.mixture or ())]:
        raise InputError(f"{source}its section mix has other domains than the adapter; {AGAIN}")
    if recipe.mix is not None:
        chosen = member_of(info, member, str(folder))
        recipe, info = recipe.member(chosen), info.of_member(chosen)
        domain = sections["mix"]["members"][chosen]["domain"]
    elif member is not None:
        raise not_mixed(member, info, str(folder))
    check_agreement(recipe, info, source)
    data, groups = domain.get("data", "" if info.data != "sample" else "sample"), domain.get("groups")
    return SharedRecipe(recipe, str(data), None if groups is None else str(groups))


def members_of(adapter: str) -> list[str]:
    """The names of an adapter's domains, where it is a mixture; [] for any other. Raises InputError."""
    with opened(Path(adapter)) as folder:
        return [*(read_info(folder).mixture or ())]


def member_of(info: AdapterInfo, word: str | None, adapter: str) -> str:
    """The name of a member of a mixture by what a user says: that name, or its domain where no other has that. Raises
    InputError, also where nothing is said.
    """
    members = info.mixture or {}
    if word in members:
        return str(word)
    names = [name for name, member in members.items() if member.domain == word]
    if len(names) == 1:
        return names[0]
    listed = ", ".join(
        f"{name} ({member.domain})" if name != member.domain else name for name, member in members.items()
    )
    if word is None:
        raise InputError(
            f"{adapter!r} is of several domains: {listed}; say which by --domain NAME to `predict` and `evaluate`, for "
            "all else make that one an adapter of its own by `adapters member`"
        )
    raise InputError(f"--domain is {word!r}; {adapter!r} is of {listed}")


def not_mixed(member: str, info: AdapterInfo, adapter: str) -> InputError:
    """The error of a domain that is said of an adapter of one."""
    return InputError(f"--domain is {member!r}, but {adapter!r} is of one domain, {info.domain}; leave --domain out")


def own_yaml(recipe: Recipe) -> str:
    """The recipe as an adapter keeps it: its data by their whole path, so that they are known again from any folder."""
    if recipe.mix is not None:
        domains = {name: in_whole(member.domain) for name, member in recipe.mix.members.items()}
        return resolved_yaml(recipe.with_members(domains))
    return resolved_yaml(replace(recipe, domain=in_whole(recipe.domain)))


def in_whole(domain: CommonSection) -> CommonSection:
    """The section with its data by their whole path."""
    return domain if domain.data == "sample" else replace(domain, data=os.path.realpath(domain.data))


def check_agreement(recipe: Recipe, info: AdapterInfo, source: str) -> None:
    """Raises InputError where a recipe is not that of the adapter."""
    domain, contract = recipe.domain, info.input
    dense = recipe.decoder.name == "dense"
    pairs: list[tuple[str, Any, Any]] = [
        ("domain.name", domain.name, info.domain),
        ("domain.scale", domain.scale if domain.scale != "auto" else contract.scale, contract.scale),
        ("domain.tile_px", domain.tile_px, contract.tile_px),
        ("domain.overlap_px", domain.overlap_px, contract.overlap_px),
        ("domain.bands", domain.bands, contract.bands),
        ("domain.band_names", domain.band_names, contract.band_names),
        ("domain.stain", domain.stain, (contract.stain or {}).get("name")),
        ("domain.symmetries", domain.symmetries if dense else 1, contract.symmetries),
        ("domain.test_scales", domain.test_scales if dense else (1.0,), contract.test_scales),
        ("domain.window_px", domain.window_px if dense else None, contract.window_px),
        ("method.name", recipe.method.name, info.method.name),
        ("decoder.name", recipe.decoder.name, info.decoder.name),
        *options_of("method", recipe.method, info.method),
        *options_of("decoder", recipe.decoder, info.decoder, set_by_fit(info.decoder)),
    ]
    for option, asked, has in pairs:
        if asked != has:
            raise InputError(f"{source}{option} is {asked!r:.80}; the adapter has {has!r:.80}; {AGAIN}")


def set_by_fit(decoder: Decoder) -> set[str]:
    """Options that `fit` may have set otherwise than the recipe says: calibration, regions unlearnt, and a memory of
    fewer patches than it may keep."""
    return {*decoder.TUNED, "regions", "size"} & decoder.options().keys()


def options_of(
    section: str, asked: Options, stored: Options, skipped: Collection[str] = ()
) -> list[tuple[str, object, object]]:
    """(option, as the recipe says it, as the adapter has it)."""
    has = stored.options()
    return [
        (f"{section}.{name}", value, has.get(name)) for name, value in asked.options().items() if name not in skipped
    ]


def check_adapter(
    adapter: str,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    fast: bool = False,
    member: str | None = None,
) -> SharedRecipe | None:
    """All that can be said of an adapter before torch is imported; None where the reader named a recipe.

    fast: its student is asked for, which wants no base. member: of a mixture. Raises InputError.
    """
    if adapter == BASE:
        if member is not None:
            raise InputError("--domain is of an adapter of several domains; of the base say --recipe")
        check_student(adapter, None, fast)
        base_recipe(recipe, overrides)
        return None
    if is_exported(adapter):
        raise InputError(f"{adapter!r} is an exported graph, which `predict` alone takes; name the adapter itself")
    with opened(Path(adapter)) as folder:
        info = read_info(folder)
        shared = shared_recipe(folder, info, member) if recipe is None or present(folder, RECIPE) else None
        check_student(adapter, info, fast)
        if not fast and not any(word.startswith("backbone.name=") for word in overrides):
            name_of(info.backbone, folder)
    if recipe is None:
        return shared
    load_recipe(recipe, overrides)
    return None


def check_student(adapter: str, info: AdapterInfo | None, fast: bool = True) -> None:
    """Raises InputError where `--fast` is asked for and there is no student. info: None for the bare base."""
    if not fast or (info is not None and info.student is not None):
        return
    if info is None:
        raise InputError(f"--fast wants an adapter with a student; {adapter!r} has none, leave --fast out")
    raise InputError(
        f"{adapter!r} has no student, which --fast predicts by: leave --fast out, or fit with train.student=true (and "
        f"train.start={adapter} to go on from this adapter)"
    )


def is_exported(adapter: str) -> bool:
    """Whether an adapter is called by the name of an exported graph."""
    return Path(adapter).suffix.lower() == ".onnx"


def base_recipe(recipe: str | None, overrides: Sequence[str] = ()) -> Recipe:
    """What the bare base is measured by. Raises InputError."""
    if recipe is None:
        raise InputError("--adapter base wants a --recipe, which says the domain; for instance --recipe pathology")
    return load_recipe(recipe, overrides)


def on_data(recipe: Recipe, data: str | None) -> list[str]:
    """Overrides that put a recipe on other data: groups, layout and pixel size of its old folder do not go along."""
    if data is None or same_folder(data, recipe.domain.data):
        return []
    of_folder = ("layout", "groups", "max_images", "max_val_images", "pixel_size_m")
    return [put_on(data), *(f"domain.{name}=null" for name in of_folder)]


def on_base(name: str | None) -> list[str]:
    """Overrides that say where the base lies; none where it is where the adapter says."""
    return [] if name is None else [f"backbone.name={json.dumps(name)}"]


def put_on(data: str) -> str:
    """The override that sets the recipe's data."""
    return f"domain.data={json.dumps(data)}"


def same_folder(folder: str, makers: str) -> bool:
    """By their names alone: a maker's path is not so much as looked for, since on some systems that calls a host."""
    if "" in (folder, makers) or "sample" in (folder, makers):
        return folder == makers != ""
    return os.path.abspath(makers) in (os.path.abspath(folder), os.path.realpath(folder))
