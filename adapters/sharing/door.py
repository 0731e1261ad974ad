"""The door for adapters, which come from anybody: a folder's texts checked against each other and against the seal.

Nothing here imports torch. The seal is a digest of all that decides a prediction, so that no change passes unseen, be
it by a bad disk or by hand; who wants to deceive can seal anew, and then has another adapter within the same ranges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapters.options.lora import PeftOptions
from adapters.options.section import values_of
from adapters.sharing.bounds import weight_bounds
from adapters.sharing.card import card_text
from adapters.sharing.info import (
    AGAIN,
    CARD,
    FILES,
    INFO,
    LABEL_WEIGHTS,
    MAX_TEXT_BYTES,
    MEMORY_WEIGHTS,
    PEFT,
    RECIPE,
    STUDENT_WEIGHTS,
    TEXTS,
    UNSEALED,
    WEIGHTS,
    AdapterInfo,
    Base,
    parse_info,
    present,
    read_text,
)
from adapters.sharing.texts import parse_json, parse_yaml
from domains.atomic import atomic_path
from domains.errors import InputError


def read_info(folder: Path) -> AdapterInfo:
    """What a folder says of itself, its texts checked against each other and against the seal.

    Raises InputError: not there, damaged, of a newer schema, out of range, or changed since it was saved.
    """
    if not present(folder, INFO):
        raise InputError(
            f"{str(folder)!r} is no adapter: it has no {INFO}; wanted a folder that `fit` wrote (RUN/adapter)"
        )
    info = parse_info(read_text(folder, INFO), repr(str(folder / INFO)))
    check_peft(folder, info)
    beside = {
        STUDENT_WEIGHTS: (info.student, "a student"),
        LABEL_WEIGHTS: (info.labels, "a labeller"),
        MEMORY_WEIGHTS: (info.memory, "a memory decoder"),
    }
    for name, (described, thing) in beside.items():
        if present(folder, name) != (described is not None):
            fault = "is missing" if described else f"is of {thing}, and {INFO} says nothing of one"
            raise InputError(f"{str(folder / name)!r} {fault}; {AGAIN}")
    check_sizes({name: (folder / name).stat().st_size for name in FILES if present(folder, name)}, info, str(folder))
    if info.schema_version != UNSEALED and info.digest != seal(folder, info):
        raise InputError(
            f"{str(folder)!r} is not as it was saved: its options, weights or recipe were changed; {AGAIN}"
        )
    return info


def check_sizes(sizes: Mapping[str, int], info: AdapterInfo, source: str) -> None:
    """Texts of at most a mebibyte, weights by what the options need. Raises InputError."""
    bounds = {**dict.fromkeys(TEXTS, MAX_TEXT_BYTES), **weight_bounds(info)}
    for name, size in sizes.items():
        if size > bounds[name]:
            raise InputError(f"{source!r}: {name} has {size} bytes; its options need at most {bounds[name]}; {AGAIN}")


def check_peft(folder: Path, info: AdapterInfo) -> None:
    """`adapter_config.json`, which plain peft goes by, says the same as `entity.json`. Raises InputError."""
    source, method = repr(str(folder / PEFT)), info.method
    if not isinstance(method, PeftOptions) or not method.in_backbone:
        if present(folder, PEFT):
            raise InputError(f"{source} is of a method of peft, {INFO} says {method.name!r}; {AGAIN}")
        return
    if not present(folder, PEFT):
        raise InputError(f"{source} is missing; {AGAIN}")
    config = parse_json(read_text(folder, PEFT), source)
    if not isinstance(config, dict):
        raise InputError(f"{source} holds {type(config).__name__}; wanted options; {AGAIN}")
    expected = {"peft_type": method.peft_type, **method.peft_settings()}
    for name, value in expected.items():
        came = config.get(name)
        if came != value or isinstance(came, bool) != isinstance(value, bool):
            raise InputError(f"{source}: {name} is {came!r:.80}, {INFO} says {value!r}; {AGAIN}")


def read_recipe(folder: Path) -> dict[str, Any]:
    """The sections of the recipe in an adapter, unchecked but for their form. Raises InputError."""
    source = repr(str(folder / RECIPE))
    if not present(folder, RECIPE):
        raise InputError(f"{str(folder)!r} has no {RECIPE}; {AGAIN}")
    sections = parse_yaml(read_text(folder, RECIPE), source)
    if not isinstance(sections, dict):
        raise InputError(f"{source} holds {type(sections).__name__}; wanted sections such as `domain:`; {AGAIN}")
    if "extends" in sections:
        raise InputError(f"{source} extends {sections['extends']!r:.80}; the recipe in an adapter is whole; {AGAIN}")
    return sections


def name_of(base: Base, folder: Path) -> str:
    """What the base is loaded by. Raises InputError where it is a folder or a file that this machine has not."""
    if base.is_local and (base.name == base.bare_name or not Path(base.name).exists()):
        raise InputError(
            f"{str(folder)!r} was made for a base that lay on its maker's machine as {base.name!r}: say where yours "
            "lies, by --backbone or backbone.name=..."
        )
    return base.name


# Places: what of a recipe means something on the machine of its maker alone


def without_places(sections: Mapping[str, Any], base: bool = True) -> dict[str, Any]:
    """A recipe without the files that it names: its data, their groups, images without labels, the adapter that it
    started from, its base.

    base: leave out the name of the base too.
    """
    shared = deepcopy(dict(sections))
    domain, train, backbone = (shared.get(section) for section in ("domain", "train", "backbone"))
    for section in (domain, *domains_of_mixture(shared)):
        if isinstance(section, dict):
            section.pop("groups", None)
            if section.get("data") != "sample":
                section.pop("data", None)
    if isinstance(train, dict):
        train.pop("unlabelled", None)
        if not re.fullmatch("[A-Za-z0-9_-]+", str(train.get("start"))):
            del train["start"]
    if isinstance(backbone, dict) and base:
        backbone.pop("name", None)
    return shared


def domains_of_mixture(sections: Mapping[str, Any]) -> list[Any]:
    """The section `domain` of every member of a mixture, where a recipe has some; of a recipe that is not checked."""
    mix = sections.get("mix")
    members = mix.get("members") if isinstance(mix, dict) else None
    sections_of_members = members.values() if isinstance(members, dict) else ()
    return [member.get("domain") for member in sections_of_members if isinstance(member, dict)]


# The seal


def seal(folder: Path, info: AdapterInfo) -> str:
    """SHA-256 of what decides a prediction: options, recipe and weights. The card may change, places are left out, and
    so are spaces and comments.
    """
    digest = sha256()
    left_out = {"digest": True, "backbone": {"name"}, **info.absent}
    values = values_of(info, exclude=left_out)
    digest.update(canonical({**values, "base": info.backbone.bare_name}, INFO))
    digest.update(canonical(without_places(read_recipe(folder)), RECIPE))
    if present(folder, PEFT):
        config = parse_json(read_text(folder, PEFT), PEFT)
        digest.update(canonical({key: config[key] for key in config if key != "base_model_name_or_path"}, PEFT))
    for name in WEIGHTS:
        if present(folder, name):
            digest.update(f"{name} {(folder / name).stat().st_size}\n".encode())
            with (folder / name).open("rb") as file:
                while chunk := file.read(2**20):
                    digest.update(chunk)
    return digest.hexdigest()


def sealed(folder: Path, info: AdapterInfo) -> AdapterInfo:
    """The info with the seal of a folder in which all other files are."""
    return replace(info, digest=seal(folder, info))


def canonical(values: Any, name: str) -> bytes:
    """One text for all ways to write the values, for the seal. Raises InputError for what JSON has no place for."""
    try:
        return f"{name}\n{json.dumps(values, sort_keys=True, allow_nan=False)}\n".encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"the adapter's {name} holds what has no place in it ({error}); {AGAIN}") from error


def reseal(folder: Path, info: AdapterInfo) -> AdapterInfo:
    """Seal the changed folder of an adapter, and write its card and info; returns the sealed info."""
    info = sealed(folder, info)
    with atomic_path(folder / CARD) as path:
        path.write_text(card_text(info, peft=present(folder, PEFT)), encoding="utf-8")
    with atomic_path(folder / INFO) as path:
        path.write_text(info.json_text(), encoding="utf-8")
    return info
