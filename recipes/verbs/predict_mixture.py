"""`cli.py predict` by an adapter of several domains, where none is said: each image by the domain that it looks like.

OUT/NAME/ holds the results of the images that went to the domain of that name, as `predict --domain NAME` would write
them, and OUT/routing.csv says which image went where. Images are told apart as by `--adapter auto`; none is refused, as
whoever names the adapter wants it and no other: what looks like none of its domains goes to the nearest.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from adapters.runtime import CPU, Runtime
from adapters.sharing.door import read_info
from adapters.sharing.opening import opened
from domains.errors import InputError
from recipes.inputs import Request
from recipes.routing import Router
from recipes.scene_files import scenes_of
from recipes.verbs.numbers import counted
from recipes.verbs.routes import ROUTES, chosen_names, routes_of, told_faults, write


def predict_by_look(request: Request, runtime: Runtime = CPU) -> None:
    """Choose a domain for every image, then predict the images of each. Raises InputError.

    An image that cannot be read is named in the end, when the others are done.
    """
    from recipes.verbs.predict import predict  # torch, of which choosing needs nothing

    with opened(Path(request.adapter)) as folder:
        members = read_info(folder).mixture or {}
    looks = {name: member.appearances for name, member in members.items() if member.appearances is not None}
    if len(looks) < len(members):
        raise InputError(f"{request.adapter!r} does not say how its images look; say --domain {', '.join(members)}")
    scenes = scenes_of(request.inputs)
    for note in scenes.notes():
        print(note, file=sys.stderr)
    routes, faults = routes_of(scenes.paths, Router(looks))
    strange = sum(route.adapter is None for route in routes.values())
    routes = {path: replace(route, adapter=route.nearest) for path, route in routes.items()}
    write(request.out, routes)
    names = chosen_names(routes)
    groups = {name: [path for path, route in routes.items() if route.adapter == name] for name in names}
    print(f"{counted(len(routes), 'image')}: {', '.join(f'{name} {len(paths)}' for name, paths in groups.items())}")
    if strange:
        print(f"{strange} look like none of its domains' images and go to the nearest; see {ROUTES}", file=sys.stderr)
    for name, paths in groups.items():
        print(f"{name}: {counted(len(paths), 'image')}", flush=True)
        try:
            predict(replace(request, inputs=paths, out=request.out / name, member=name), runtime)
        except InputError as error:
            faults.append(str(error))
    told_faults(faults)
