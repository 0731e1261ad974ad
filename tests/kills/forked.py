"""A command in a forked process, ended at a moment of our choice: imports, which take seconds, are done once.

The parent must have imported everything and started no thread.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod")
DID_NOT_END = 124
SECONDS = 600.0  # by the clock, on a machine that others use too


@dataclass(frozen=True)
class End:
    """How a process is to be ended: before its `change`th change of files, or after `seconds`, by `signal`."""

    change: int | None = None
    seconds: float | None = None
    signal: int = signal.SIGKILL

    def __str__(self) -> str:
        when = f"before change {self.change}" if self.seconds is None else f"after {self.seconds:.2f} s"
        return f"{signal.Signals(self.signal).name} {when}"


def run(command: Callable[[], int], log: Path, end: End | None = None) -> int:
    """The exit code of the command in a process of its own, negative where a signal ended it. log: what it prints."""
    child = os.fork()
    if child == 0:
        _child(command, log, end)
    deadline, signalled = time.monotonic() + SECONDS, end is None or end.seconds is None
    started = time.monotonic()
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if not signalled and end is not None and time.monotonic() - started >= (end.seconds or 0):
            os.kill(child, end.signal)
            signalled = True
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return DID_NOT_END
        time.sleep(0.002)


def _child(command: Callable[[], int], log: Path, end: End | None) -> None:
    code = 1
    try:
        with open(log, "ab", 0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        faulthandler.dump_traceback_later(SECONDS - 5)
        if end is not None and end.change is not None:
            _watch(lambda number: number == end.change and os.kill(os.getpid(), end.signal))
        code = command()
    except KeyboardInterrupt:  # before the command could answer
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def watched(command: Callable[[], int], seen: Path) -> Callable[[], int]:
    """The command, which writes at its end, as JSON, how often it changed files and the modules that it imported."""

    def run_watched() -> int:
        latest, before = 0, set(sys.modules)

        def count(number: int) -> None:
            nonlocal latest
            latest = number

        _watch(count)
        code = command()
        seen.write_text(json.dumps({"changes": latest, "modules": sorted(sys.modules.keys() - before)}))
        return code

    return run_watched


def _watch(on_change: Callable[[int], Any]) -> None:
    """Call with 1, 2, ... before every change of files that this process makes through Python."""
    number = 0

    def changed() -> None:
        nonlocal number
        number += 1
        on_change(number)

    def hook(event: str, arguments: tuple) -> None:
        if event in CHANGES or (event == "open" and arguments[2] is not None and _writes(arguments)):
            changed()

    fsync = os.fsync

    def watched_fsync(file: Any) -> None:
        changed()
        fsync(file)
        changed()

    os.fsync = watched_fsync
    sys.addaudithook(hook)


def _writes(arguments: tuple) -> bool:
    path, mode, flags = arguments
    if str(path).startswith(("/dev", "/proc")):
        return False
    return bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else "r" not in (mode or "r")
