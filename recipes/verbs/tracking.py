"""When `predict` follows entities through clips, and with which options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from adapters.options.section import checked, values_of
from adapters.options.tracking import Keyframes, Motion, Tracking, TrackingOptions
from domains.errors import InputError, suggest
from domains.exports.clip_formats import OF_CLIPS_ALONE
from domains.scenes.address import Source
from domains.scenes.video import check_films, is_film
from recipes.inputs import AUTO, Request
from recipes.reading.compose import changed, load_recipe
from recipes.shared import check_adapter, is_exported, on_base

KINDS: dict[str, type[TrackingOptions]] = {kind.name: kind for kind in get_args(get_args(Tracking)[0])}


def asks_for_tracks(inputs: Sequence[Source], formats: Sequence[str], video: bool, tracking: Sequence[str]) -> bool:
    """Whether the inputs are clips: films are, all else where `--video`, `--track` or a format of clips says so. Raises
    InputError for films beside other inputs, for what no clip is, and where films cannot be read.
    """
    films = [source for source in inputs if isinstance(source, Path) and source.is_file() and is_film(source)]
    if films:
        check_films()
    asked = video or bool(tracking) or any(word in OF_CLIPS_ALONE for word in formats)
    if not films and not asked:
        return False
    stills = [source for source in inputs if source not in films]
    if films and stills and not asked:
        raise InputError(
            f"{str(films[0])!r} is a film and {str(stills[0])!r} is none; predict them apart, or add --video where "
            "that is a clip too"
        )
    address = next((source for source in stills if not isinstance(source, Path)), None)
    if address is not None:
        raise InputError(f"{str(address)!r}: clips are read from files and folders; download it")
    return True


def check_tracking(request: Request, prompted: str = "", settings: Sequence[str] = ()) -> None:
    """Raises InputError for options of `predict` that clips do not have, and for `--track`s that no tracker has, before
    torch is imported.
    """
    unfit = {
        f"--adapter {AUTO}": request.adapter == AUTO,
        "--scheduler": request.scheduler is not None,
        "--square": request.writing.square,
        "--simplify": request.writing.simplify_px is not None,
        prompted: bool(prompted),
    }
    for option, is_set in unfit.items():
        if is_set:
            raise InputError(f"entities of clips are followed frame by frame by one adapter; leave out {option}")
    if settings:
        adapter, words = request.adapter, on_base(request.backbone)
        tracking_of(stated_tracking(adapter, request.recipe, words, request.fast, request.member), settings)


def stated_tracking(
    adapter: str,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    fast: bool = False,
    member: str | None = None,
) -> TrackingOptions:
    """The options of the tracker by the adapter's recipe, or by `recipe` in its place, before torch is imported. Raises
    InputError.
    """
    if is_exported(adapter):
        return Motion()
    shared = check_adapter(adapter, recipe, overrides, fast, member)
    return changed(shared.recipe, overrides).tracking if shared else load_recipe(str(recipe), overrides).tracking


def tracking_of(options: TrackingOptions, settings: Sequence[str]) -> TrackingOptions:
    """The options with `KEY=VALUE` settings in their place; `name=` chooses another tracker. Raises InputError."""
    changes: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign:
            raise InputError(f"--track is {setting!r}; wanted KEY=VALUE, such as memory_frames=60")
        try:
            changes[key.removeprefix("tracking.")] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(
                f"--track is {setting!r}, whose value cannot be read; wanted a number or a word"
            ) from error
    name = changes.get("name", options.name)
    if name not in KINDS:
        raise InputError(f"tracking.name is {name!r}; {suggest(str(name), KINDS)}")
    if changes.get("realtime") and not issubclass(KINDS[name], Keyframes):
        carried = ", ".join(sorted(word for word, kind in KINDS.items() if issubclass(kind, Keyframes)))
        raise InputError(
            f"the tracker {name} looks at every frame by a network of its own; --realtime goes with {carried}"
        )
    values = values_of(options) if name == options.name else {"name": name}
    return checked(KINDS[name], {**values, **changes}, TrackingOptions.SOURCE)
