"""Which image goes where: chosen by how images look, written as a table."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from domains.atomic import atomic_path
from domains.errors import InputError, printable
from domains.scenes import open_scene
from domains.scenes.address import Source
from domains.scenes.appearance import appearance_of_scene
from recipes.routing import Route, Router
from recipes.shared import BASE
from recipes.verbs.progress import Progress

ROUTES = "routing.csv"


def routes_of(paths: Sequence[Source] | Mapping[Source, None], router: Router) -> tuple[dict[Source, Route], list[str]]:
    """The route of every image, and what is wrong with those that cannot be read."""
    routes: dict[Source, Route] = {}
    faults = []
    with Progress("choose", len(paths), unit="images") as progress:
        for path in paths:
            try:
                with closing(open_scene(path)) as scene:
                    routes[path] = router.choose(appearance_of_scene(scene))
            except InputError as error:
                faults.append(str(error))
            progress.advance()
    if not routes:
        raise InputError(f"no image could be read; {faults[0]}")
    return routes, faults


def chosen_names(routes: Mapping[Source, Route]) -> list[str]:
    """Adapters that images went to, most images first; `base` for those that went to none."""
    return [name for name, _ in Counter(route.adapter or BASE for route in routes.values()).most_common()]


def told_faults(faults: Sequence[str]) -> None:
    """Raises InputError where images were left out."""
    if faults:
        further = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise InputError(f"not all is predicted, the others are done: {faults[0]}{further}")


def write(out: Path, routes: Mapping[Source, Route]) -> None:
    """OUT/routing.csv: image, adapter, the nearest one, squared distance, its utmost, and how far the second is."""
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / ROUTES) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "adapter", "nearest", "distance", "limit", "margin"])
        for image, route in routes.items():
            numbers = (f"{value:.4g}" for value in (route.distance, route.limit, route.margin))
            writer.writerow([printable(str(image)), route.adapter or BASE, route.nearest, *numbers])
