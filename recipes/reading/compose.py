"""From a recipe's name or file to a checked recipe: one parent after the other, deep merge, then `key=value`.

A section that changes `name` replaces the parent's section, whose options belong to another part. YAML is read
safely: no tags, no aliases, no duplicate keys, a limit on size and depth, and `3e-4` is a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.options.methods import WHOLE_BITS, DecoderOnly, Lora, Ssf
from adapters.options.section import values_of
from adapters.sharing.texts import parse_yaml, yaml_text
from domains.errors import InputError, suggest
from recipes.reading.domain_section import BUILT_IN_DOMAINS, known_domain
from recipes.reading.mix_section import expanded, is_expanded
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.reading.schema import Recipe, check_recipe
from recipes.reading.starts import lacks_decoder

SHIPPED = Path(__file__).parents[1] / "shelf"
MAX_BYTES = 64 * 1024


def load_recipe(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of this name or file, changed by `key=value` overrides; InputError in one line where it is wrong."""
    overrides = list(overrides)
    return settled(check_recipe(Recipe, compose(name_or_path, overrides)), name_or_path, overrides)


def load_pretrain_recipe(name_or_path: str | Path = "pretrain", overrides: Iterable[str] = ()) -> PretrainRecipe:
    """As `load_recipe`, of a pretraining."""
    return check_recipe(PretrainRecipe, compose(name_or_path, overrides))


def load_any(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Recipe | PretrainRecipe:
    """Either kind: a recipe with `scenes` is one for pretraining."""
    overrides = list(overrides)
    recipe = _as_written(name_or_path, overrides)
    return settled(recipe, name_or_path, overrides) if isinstance(recipe, Recipe) else recipe


def settled(recipe: Recipe, name_or_path: str | Path, overrides: Sequence[str]) -> Recipe:
    """The recipe with what a section leaves to others: whether the decoder learns whole, and `train.cache=auto`."""
    recipe = with_branches(beside_decoder(recipe, name_or_path, overrides))
    if recipe.train.cache != "auto":
        return recipe
    return replace(recipe, train=replace(recipe.train, cache="prefix" if recipe.begins_frozen else "none"))


def with_branches(recipe: Recipe) -> Recipe:
    """The recipe, in which what the decoders of a mixture's members leave to others is settled, as by `settled`. One
    that was to update a pretrained decoder, of which the base has none, learns whole.
    """
    if recipe.mix is None:
        return recipe
    members = {}
    for name, member in recipe.mix.members.items():
        if member.method is not None and member.method.in_decoder and lacks_decoder(recipe):
            member = replace(member, method=DecoderOnly(bits=WHOLE_BITS))
        if member.cache == "auto":
            member = replace(member, cache="none" if recipe.member(name).against_cache else "prefix")
        members[name] = member
    return replace(recipe, mix=replace(recipe.mix, members=members))


def beside_decoder(recipe: Recipe, name_or_path: str | Path, overrides: Sequence[str]) -> Recipe:
    """The recipe, its decoder learning whole where it was to update a pretrained one and the base has none: an option
    that is inherited gives way, one that the reader says stays, and is refused when the network is built.
    """
    method, spoken = recipe.method, said(name_or_path, overrides)
    if not method.in_decoder or not lacks_decoder(recipe):
        return recipe
    if isinstance(method, DecoderOnly) and "method.bits" not in spoken:
        return replace(recipe, method=replace(method, bits=WHOLE_BITS))
    if isinstance(method, Lora | Ssf) and "method.scope" not in spoken:
        return replace(recipe, method=replace(method, scope="backbone"))
    return recipe


def _as_written(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Recipe | PretrainRecipe:
    """Either kind, nothing in it settled by another part."""
    sections = compose(name_or_path, overrides)
    return check_recipe(PretrainRecipe if "scenes" in sections else Recipe, sections)


def list_recipes() -> dict[str, str]:
    """Names of the shipped recipes, each with the line that its file opens with."""
    return {path.stem: _first_comment(path) for path in sorted(SHIPPED.glob("*.yaml"))}


def resolved_yaml(recipe: Recipe | PretrainRecipe) -> str:
    """The whole recipe as YAML that needs no parent; reading it gives an equal recipe."""
    return yaml_text(values_of(recipe, exclude_none=True))


def changed(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """A checked recipe, changed by `key=value` overrides and checked again."""
    return check_recipe(Recipe, merge(values_of(recipe, exclude_none=True), parse_overrides(overrides)))


def compose(name_or_path: str | Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The merged sections, unchecked."""
    merged: dict[str, Any] = {}
    spoken: dict[str, Any] = {}
    files = [*_lineage(find_recipe(name_or_path))]
    for path, sections in [*reversed(files), (None, parse_overrides(overrides))]:
        if _renames(merged.get("decoder"), sections.get("decoder")):
            merged.pop("losses", None)  # they are terms of the decoder that goes
        merged = merge(merged, sections)
        if path is None or (path.parent != SHIPPED and not is_expanded(sections)):
            spoken = merge(spoken, sections)
    return expanded(merged, shelf_of, spoken)


def shelf_of(domain: str) -> dict[str, Any]:
    """The sections of the recipe that is shipped for a domain; of an installed domain the general one. Raises
    InputError for a domain that is not there."""
    try:
        known_domain(domain)
    except ValueError as error:
        raise InputError(f"mix has the domain {domain!r}; {error}") from error
    if domain in BUILT_IN_DOMAINS:
        return compose(domain)
    return merge(compose("base"), {"domain": {"name": domain}})


def said(name_or_path: str | Path, overrides: Iterable[str] = ()) -> set[str]:
    """The options, dotted, that a user says: in files of their own and by overrides, not what these inherit.

    A file that is whole, as a run and `recipes show` write it, says all that it inherited, so none of it counts.
    """
    files = [*_lineage(find_recipe(name_or_path))]
    written = [sections for path, sections in files if path.parent != SHIPPED and not _is_whole(path)]
    return {option for sections in [*written, parse_overrides(overrides)] for option in _dotted(sections)}


def _is_whole(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8") == resolved_yaml(_as_written(path))
    except InputError:  # what it lacks, overrides say
        return False


def _dotted(sections: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in sections.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def find_recipe(name_or_path: str | Path) -> Path:
    """The file of a shipped recipe's name, or of a path to a .yaml file."""
    name = str(name_or_path)
    if name in list_recipes():
        return SHIPPED / f"{name}.yaml"
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"recipe is {name!r}; {suggest(name, list_recipes())}, or the path of a .yaml file")
    if not path.is_file():
        raise InputError(f"recipe {name!r} is not a file; {suggest(path.stem, list_recipes())}")
    return path


def _lineage(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The file with its sections, then its parent, and so on."""
    seen: list[Path] = []
    while True:
        if path.resolve() in seen:
            names = " -> ".join(file.name for file in [*seen, path])
            raise InputError(f"{path}: extends goes in a circle: {names}")
        seen.append(path.resolve())
        sections = read_yaml(path)
        parent = sections.pop("extends", None)
        yield path, sections
        if parent is None:
            return
        path = _parent(path, parent)


def _parent(child: Path, parent: object) -> Path:
    """A shipped recipe, or a file in the child's folder or below it."""
    if not isinstance(parent, str):
        raise InputError(f"{child}: extends is {parent!r}; wanted one recipe's name or file")
    if parent in list_recipes():
        return SHIPPED / f"{parent}.yaml"
    folder = child.resolve().parent
    path = (folder / parent).resolve()
    if not path.is_relative_to(folder):
        raise InputError(f"{child}: extends is {parent!r}; wanted a shipped recipe or a file in {str(folder)!r}")
    if not path.is_file():
        names = suggest(parent, list_recipes())
        raise InputError(f"{child}: extends is {parent!r}; {names}, or a .yaml file beside it")
    return path


def merge(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """The parent with the child's values; mappings merge, unless the child's `name` is another."""
    merged = dict(parent)
    for key, value in child.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and not _renames(old, value):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def _renames(old: object, new: object) -> bool:
    """Whether a section changes `name`."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return False
    return new.get("name", old.get("name")) != old.get("name")


# Overrides


def parse_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """`["train.lr=3e-4", "method.rank=4"]` to {"train": {"lr": 0.0003}, "method": {"rank": 4}}."""
    sections: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        steps = key.strip().split(".")
        if not equals or not all(steps):
            raise InputError(f"override {override!r}; wanted key=value, for instance train.steps=100")
        _set(sections, steps, parse_value(text), override)
    return sections


def _set(sections: dict[str, Any], steps: Sequence[str], value: object, override: str) -> None:
    for step in steps[:-1]:
        sections = sections.setdefault(step, {})
        if not isinstance(sections, dict):
            raise InputError(f"override {override!r} reaches into {step!r}, which another override gives a value")
    sections[steps[-1]] = value


def parse_value(text: str) -> object:
    """The value of an override: a number, true, false, null, a [list] or a {mapping} as in YAML; else the text itself.

    The text itself, because a folder may be called `a: b` or `x #2`.
    """
    text = text.strip()
    if text[:1] in ("[", "{", '"', "'"):
        return parse_yaml(text, f"override value {text!r}")
    try:
        value = parse_yaml(text, "")
    except InputError:
        return text
    return value if isinstance(value, (int, float)) or value is None else text


# YAML


def read_yaml(path: Path) -> dict[str, Any]:
    """The sections of a recipe file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes; wanted a recipe of at most {MAX_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read recipe {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: byte {error.start}") from error
    sections = parse_yaml(text, str(path))
    if sections is None:
        return {}
    if not isinstance(sections, dict):
        raise InputError(f"{path} holds {type(sections).__name__}; wanted sections such as `train:`")
    return sections


def _first_comment(path: Path) -> str:
    """The first comment that is not for the editor."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# yaml-language-server"):
            return line[2:]
    return ""
