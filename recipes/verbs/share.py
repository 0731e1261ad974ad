"""`cli.py adapters ...`: adapters looked at, sent, kept and compared, without their networks being loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from adapters.sharing.card import card_text
from adapters.sharing.difference import differences
from adapters.sharing.door import read_info, sealed
from adapters.sharing.hub import hub_id, pulled, push
from adapters.sharing.info import CARD, INFO, PEFT, SCHEMA, present
from adapters.sharing.opening import opened, show
from adapters.sharing.package import pack, unpack
from adapters.sharing.shelf import copy_files, home, keep, shelf
from domains.atomic import atomic_folder
from domains.errors import InputError
from recipes.reading.command import following, verify_line


def shown_text(adapter: Path) -> str:
    """What an adapter is: base, method, decoder, domain, metrics. Raises InputError for what is none."""
    return show(adapter)


def packed_text(folder: Path, file: Path) -> str:
    """Put an adapter's folder into one file; the file, and the line that unpacks it. Raises InputError."""
    pack(folder, file)
    return f"{file}\n{following('adapters', 'unpack', file, 'FOLDER')}"


def unpacked_text(file: Path, folder: Path) -> str:
    """Get an adapter's folder back from one file; the folder, and the line that verifies it. Raises InputError."""
    unpack(file, folder)
    return f"{folder}\n{verify_line(folder)}"


def difference_text(before: str, after: str) -> str:
    """What two adapters differ in, line by line. Raises InputError for what is none."""
    with opened(Path(before)) as old, opened(Path(after)) as new:
        lines = differences((read_info(old), read_info(new)), (old, new))
    return "\n".join(lines) or f"{before} and {after} are alike"


def card_of(adapter: str) -> str:
    """The card of an adapter as this version writes it. Raises InputError for what is none."""
    with opened(Path(adapter)) as folder:
        return card_text(read_info(folder), peft=present(folder, PEFT))


def migrated_text(adapter: str, folder: Path) -> str:
    """An adapter of any version as one of this version, in a new folder; and the line that verifies it.

    Options, weights and probe stay as they are; it is sealed anew and has a card of today. Raises InputError.
    """
    if folder.exists():
        raise InputError(f"{str(folder)!r} exists; name another folder")
    with opened(Path(adapter)) as old, atomic_folder(folder) as new:
        info = replace(read_info(old), schema_version=SCHEMA, digest=None)
        copy_files(old, new)
        (new / CARD).write_text(card_text(info, peft=present(old, PEFT)), encoding="utf-8")
        (new / INFO).write_text(sealed(new, info).json_text(), encoding="utf-8")
    return f"{folder}\n{verify_line(folder)}"


def kept_text(adapter: str, name: str) -> str:
    """Keep an adapter on the shelf; its name and version, and the line that shows it. Raises InputError."""
    with opened(Path(adapter)) as folder:
        kept = keep(folder, name)
    return f"{kept}\n{following('adapters', 'show', kept)}"


def shelf_text() -> str:
    """What is on the shelf: a line a name, with its versions and what the newest one is."""
    lines = []
    for name, versions in shelf().items():
        info = read_info(home() / name / str(versions[-1]))
        lines.append(
            f"{name}@{versions[-1]}  {info.domain}, {info.method.name} on {info.backbone.bare_name}, "
            f"fitted on {info.data}" + (f"; versions 1 to {versions[-1]}" if len(versions) > 1 else "")
        )
    return "\n".join(lines) or f"nothing is kept in {str(home())!r}; adapters keep ADAPTER NAME keeps one"


def pushed_text(adapter: str, repo: str, private: bool, overwrite: bool) -> str:
    """Put an adapter on the Hub; its id with the commit, and the line that gets it. Raises InputError."""
    with opened(Path(adapter)) as folder:
        pinned = push(folder, repo, private, overwrite)
    return f"{pinned}\n{following('adapters', 'pull', pinned)}"


def pulled_text(name: str) -> str:
    """Get an adapter from the Hub; its folder, and the line that verifies it. Raises InputError."""
    asked = hub_id(name)
    if asked is None:
        raise InputError(f"{name!r} is no id on the Hub; wanted OWNER/NAME@REVISION, such as lab/nuclei@main")
    folder = pulled(asked)
    return f"{folder}\n{verify_line(folder)}"
