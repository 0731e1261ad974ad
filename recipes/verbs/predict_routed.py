"""`cli.py predict --adapter auto`: every image by the adapter of those on a shelf that was fitted on such images.

OUT/NAME/ holds the results of the images that went to the adapter of that name, as `predict` alone would write them,
OUT/base/ those that none of them fits, and OUT/routing.csv says which image went where, and how sure that is.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from adapters.runtime import CPU, Runtime
from adapters.sharing.appearances import Appearances
from adapters.sharing.door import read_info
from adapters.sharing.info import INFO
from adapters.sharing.shelf import home, shelf, shelved
from domains.errors import InputError
from domains.scenes.address import Source
from recipes.inputs import Request, check_predictor
from recipes.routing import Route, Router
from recipes.scene_files import scenes_of
from recipes.sets import run_names
from recipes.shared import BASE, members_of
from recipes.verbs.numbers import counted
from recipes.verbs.predict_mixture import predict_by_look
from recipes.verbs.routes import ROUTES, chosen_names, routes_of, told_faults, write

BASE_RECIPE = "base"
"""Recipe by which the bare base sees what no adapter is for, unless another is said."""


def predict_routed(request: Request, folder: Path | None = None, runtime: Runtime = CPU) -> None:
    """Choose an adapter for every image, then predict the images of each. Raises InputError.

    folder: of adapters; by default those that `adapters keep` kept. An image that cannot be read is named in the end,
    when the others are done.
    """
    from recipes.verbs.predict import predict  # torch, of which choosing needs nothing

    adapters = adapters_in(folder)
    router = Router(appearances_in(adapters))
    scenes = scenes_of(request.inputs)
    for note in scenes.notes():
        print(note, file=sys.stderr)
    routes, faults = routes_of(scenes.paths, router)
    write(request.out, routes)
    for line in summary(routes):
        print(line)
    groups = [group_of(request, name, adapters, routes) for name in chosen_names(routes)]
    for group in groups:
        check_predictor(group)
    for group in groups:
        print(f"{group.out.name}: {counted(len(group.inputs), 'image')}", flush=True)
        try:
            by_look = group.adapter != BASE and members_of(group.adapter)
            (predict_by_look if by_look else predict)(group, runtime)
        except InputError as error:
            faults.append(str(error))
    told_faults(faults)


def adapters_in(folder: Path | None) -> dict[str, Path]:
    """The adapters of a folder by names that tell them apart, or the newest version of each that is kept.

    Raises InputError where there is none.
    """
    if folder is None:
        kept = {name: shelved(name) for name in shelf()}
        adapters = {name: path for name, path in kept.items() if path is not None}
        if not adapters:
            raise InputError(f"{str(home())!r} holds no adapter: keep some by `adapters keep`, or name --shelf DIR")
        return adapters
    if not folder.is_dir():
        raise InputError(f"--shelf {str(folder)!r} is no folder; wanted one with adapters in it")
    places = sorted(file.parent for pattern in (f"*/{INFO}", f"*/*/{INFO}") for file in folder.glob(pattern))
    if not places:
        raise InputError(f"--shelf {str(folder)!r} holds no adapter; wanted folders such as {folder}/nuclei/{INFO}")
    short = run_names([str(place) for place in places], {BASE})
    names = {path: name.replace("/", "-") for path, name in short.items()}
    if len({*names.values()}) < len(names):
        raise InputError(f"--shelf {str(folder)!r} holds adapters of one name, for whose results no folder is left")
    return {name: Path(path) for path, name in names.items()}


def appearances_in(adapters: Mapping[str, Path]) -> dict[str, Appearances]:
    """How the images of each adapter look. Those that do not say are left out, and told. Raises InputError."""
    infos = {name: read_info(path) for name, path in adapters.items()}
    silent = [name for name, info in infos.items() if info.appearances is None]
    if silent:
        print(f"left out: {', '.join(silent)}: fitted before adapters noted how their images look", file=sys.stderr)
    appearances = {name: info.appearances for name, info in infos.items() if info.appearances is not None}
    if not appearances:
        raise InputError("--adapter auto: no adapter says how its images look; fit one anew, or name an adapter")
    return appearances


def group_of(request: Request, name: str, adapters: Mapping[str, Path], routes: Mapping[Source, Route]) -> Request:
    """The request of one adapter's images."""
    inputs = [path for path, route in routes.items() if (route.adapter or BASE) == name]
    group = replace(request, inputs=inputs, out=request.out / name)
    if name == BASE:
        return replace(group, adapter=BASE, recipe=request.recipe or BASE_RECIPE, fast=False)
    return replace(group, adapter=str(adapters[name]), recipe=None)


def summary(routes: Mapping[Source, Route]) -> list[str]:
    """A line for people: how many images went where."""
    counts = Counter(route.adapter or BASE for route in routes.values())
    shares = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    lines = [f"{counted(len(routes), 'image')}: {shares}"]
    if counts[BASE]:
        lines.append(f"{counts[BASE]} look like no adapter's images and go to the bare base; see {ROUTES}")
    return lines
