"""Adapters kept on this machine by a name and a version, so that `--adapter nuclei@2` means the same in every folder.

    HOME/NAME/VERSION/    an adapter's folder; versions count from 1, and none is written twice

HOME is `ENTITY_ADAPTERS_HOME`, else `entity-adapters` in the user's folder of data. Nothing here imports torch.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from adapters.sharing.door import read_info
from adapters.sharing.info import FILES, present
from domains.atomic import atomic_folder
from domains.errors import InputError, suggest

HOME = "ENTITY_ADAPTERS_HOME"
SHELVED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_-]{0,63})(@(?P<version>[1-9]\d{0,5}))?")


def home() -> Path:
    """The folder of all that is kept, which may not be there yet."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(os.environ.get(HOME) or Path(data) / "entity-adapters").expanduser()


def versions_of(name: str) -> list[int]:
    """The versions that are kept of a name, oldest first."""
    folder = home() / name
    return sorted(int(path.name) for path in folder.glob("[1-9]*") if path.name.isdecimal()) if folder.is_dir() else []


def shelf() -> dict[str, list[int]]:
    """Every name that is kept, and its versions."""
    names = sorted(path.name for path in home().glob("*") if SHELVED.fullmatch(path.name) and path.is_dir())
    return {name: versions for name in names if (versions := versions_of(name))}


def shelved(name: str) -> Path | None:
    """The folder of `NAME`, its newest version, or of `NAME@VERSION`; None for what is no such name, or is not kept.

    Raises InputError for a version that a name has not.
    """
    match = SHELVED.fullmatch(name)
    versions = versions_of(match["name"]) if match else []
    if not match or not versions:
        return None
    if match["version"] is not None and int(match["version"]) not in versions:
        raise InputError(
            f"adapter {name!r}: {match['name']} is kept in version {', '.join(map(str, versions))} in {str(home())!r}"
        )
    return home() / match["name"] / (match["version"] or str(versions[-1]))


def keep(folder: Path, name: str) -> str:
    """Copy an adapter's folder to the shelf as the next version of a name; returns `NAME@VERSION`.

    Raises InputError for what is no adapter, and for a name that has other signs than letters, digits, `_` and `-`.
    """
    match = SHELVED.fullmatch(name)
    if not match or match["version"]:
        raise InputError(f"an adapter cannot be kept as {name!r}; wanted letters, digits, _ and -, such as nuclei")
    read_info(folder)
    while True:
        version = max(versions_of(name), default=0) + 1
        place = home() / name / str(version)
        try:
            with atomic_folder(place) as copy:
                copy_files(folder, copy)
            return f"{name}@{version}"
        except OSError:
            if not place.exists():  # else another process was quicker
                raise


def copy_files(folder: Path, target: Path) -> None:
    """The files of an adapter, and nothing else that lies beside them, into another folder."""
    for name in FILES:
        if present(folder, name):
            shutil.copyfile(folder / name, target / name)


def no_adapter(name: str) -> InputError:
    """The error for what is neither a folder, nor a file, nor a name on the shelf."""
    names = shelf()
    kept = f"; {suggest(name.split('@')[0], names)}" if names else ""
    return InputError(
        f"adapter {name!r} does not exist; wanted a folder that `fit` wrote (RUN/adapter), its packed file, a name "
        f"that `adapters keep` gave, or a Hub id such as OWNER/NAME@REVISION{kept}"
    )
