"""entity-adapters: every distinct region of an image with its own id, by a small adapter on a frozen vision model.

The command line and nothing else: a command called, an exit code out. Which commands there are says
`recipes/verbs/commands.py`; `recipes/verbs/arguments.py` has the arguments that several take.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer
from typer.main import get_command

from domains.errors import InputError, RunError, printable
from recipes import collect_rarely
from recipes.verbs.commands import DONE, FAILED, STOPPED, WRONG_INPUT, app

UsageError = typer.BadParameter.__mro__[1]  # of the click that this typer brings along


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 failed, 2 wrong input, 130 stopped by Ctrl-C.

    Whatever goes wrong is one line on standard error; `--debug`, anywhere on the line, lets the trace through.
    """
    from recipes.reading.command import program_name

    if arguments is None:
        collect_rarely()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        plain = [word for word in words if word != "--debug"]
        result = commands().main(plain, prog_name=program_name(), standalone_mode=False)
        code = result if isinstance(result, int) else DONE  # typer gives the code of an Exit, 130 for Ctrl-C
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except Exception as error:
        if debug:
            raise
        code, line = verdict(error)
        print("\n".join(map(printable, line.split("\n"))), file=sys.stderr)
    if code == STOPPED:
        print("stopped by Ctrl-C", file=sys.stderr)
    return code


@cache
def commands() -> Any:
    """The commands with their options, which typer would otherwise build for every call of `main` (20 ms)."""
    return get_command(app)


def verdict(error: Exception) -> tuple[int, str]:
    """Exit code and line for an error that ended a command."""
    if isinstance(error, UsageError):
        return WRONG_INPUT, usage_text(error)
    if isinstance(error, InputError | RunError):
        return WRONG_INPUT if isinstance(error, InputError) else FAILED, f"error: {one_line(error)}"
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
        place = getattr(error, "filename", None)
        where = f" to write {place!r}" if place else ""
        return FAILED, f"error: no space is left{where}; free some, or choose another --out"
    if isinstance(error, OSError) and error.filename:
        return FAILED, f"error: {error.filename!r}: {error.strerror}"
    return FAILED, f"error: {type(error).__name__}: {one_line(error)} (--debug shows where)"


def one_line(error: Exception) -> str:
    """The message; of an error that a worker process sent with its trace, the last line, which is the reason."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    if any(line.startswith("Original Traceback") for line in lines):
        return lines[-1].partition(": ")[2] or lines[-1]
    return " ".join(line.strip() for line in lines)


def usage_text(error: Any) -> str:
    """One line, but the whole help where a group of commands was called without any."""
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        return message
    from recipes.reading.command import program_name

    command = error.ctx.command_path if error.ctx else program_name()
    return f"error: {message} ({command} --help shows what is possible)"


if __name__ == "__main__":
    sys.exit(main())
