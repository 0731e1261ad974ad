"""The command to run next, as it can be pasted into a shell: names quoted, nothing that was said before forgotten."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

PLACE, SCRIPT = "cli.py", "entity-adapters"
PROGRAM = "python cli.py"
"""Of a process that was started in neither way, such as a notebook. In a wheel it is the console script."""


def command(*words: object) -> str:
    """The words as a command: `python cli.py fit --recipe 'my recipe.yaml'` by the path of `cli.py` that this process
    was started with, `entity-adapters fit ...` where it was the console script.
    """
    ways = {SCRIPT: [SCRIPT], PLACE: ["python", sys.argv[0]]}
    program = ways.get(Path(sys.argv[0]).name, PROGRAM.split())
    return shlex.join([*program, *map(str, words)])


def program_name() -> str:
    """The program in a line on its usage: `cli.py` or `entity-adapters`."""
    started = Path(sys.argv[0]).name
    return started if started in (PLACE, SCRIPT) else PROGRAM.split()[-1]


def following(*words: object) -> str:
    """The line that ends a verb: `next:` and the command."""
    return f"next: {command(*words)}"


def option(name: str, value: object | None) -> list[str]:
    """`[name, value]`, nothing for None."""
    return [] if value is None else [name, str(value)]


def override(key: str, value: object | None) -> list[str]:
    """`[key=value]`, nothing for None."""
    return [] if value is None else [f"{key}={value}"]


def base_elsewhere(overrides: Sequence[str]) -> list[str]:
    """`--backbone`, for verbs without overrides, of what an override says of the base."""
    from recipes.reading.compose import parse_overrides

    backbone = parse_overrides(overrides).get("backbone")
    return option("--backbone", backbone.get("name") if isinstance(backbone, dict) else None)


def size_said(pixel_size_m: float | None) -> list[str]:
    """`--pixel-size`, of images that do not say it themselves."""
    return option("--pixel-size", None if pixel_size_m is None else f"{pixel_size_m:g}m")


def verify_line(adapter: Path) -> str:
    """How to check an adapter that came; of one whose base lay in a folder of its maker, a word for the base too."""
    from adapters.sharing.door import read_info

    return following(
        "adapters", "verify", adapter, *option("--backbone", "BASE" if read_info(adapter).backbone.is_local else None)
    )
