"""The command line tool in a process of its own, and what that took: processor time and memory, as the kernel says."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import NamedTuple

CLI = Path(__file__).resolve().parents[2] / "cli.py"
POLL_S = 0.1
KIB = 1024 if sys.platform == "darwin" else 1  # of `ru_maxrss`, which macOS has in bytes


class Cost(NamedTuple):
    """Of a process. seconds: by the clock on the wall; cpu_s: of all its threads, and of the processes that it waited
    for; peak_mib: resident, of the largest of these; killed: by us.
    """

    seconds: float
    cpu_s: float
    peak_mib: float
    killed: bool = False

    def __str__(self) -> str:
        how = ", killed" if self.killed else ""
        return f"{self.seconds:.0f} s, {self.cpu_s:.0f} s of processor time, peak {self.peak_mib:.0f} MiB{how}"


def run(
    words: Sequence[str],
    until: Callable[[float], bool] = lambda seconds: False,
    module: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """Run `python cli.py WORDS` and tell what it took; its output is shown, indented.

    until: kills it when it says so of the seconds so far. module: is run by `-m` in place of cli.py. Raises SystemExit
    where it fails by itself. The peak is never below that of this process, whose memory a new process has for a moment:
    whoever measures stays small.
    """
    started, killed = perf_counter(), False
    program = [str(CLI)] if module is None else ["-m", module]
    with tempfile.TemporaryFile("w+") as output:  # a pipe would fill, as nobody reads before the end
        process = subprocess.Popen(
            [sys.executable, *program, *words], cwd=CLI.parent, stdout=output, env={**os.environ, **(environment or {})}
        )
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            if not killed and until(perf_counter() - started):
                process.kill()
                killed = True
            sleep(POLL_S)
        output.seek(0)
        print("".join(f"    {line}" for line in output), end="", flush=True)
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not killed:
        raise SystemExit(f"{' '.join([*program, *words])} ended with {process.returncode}")
    seconds = perf_counter() - started
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / KIB / 1024, killed)


def peak_kib(pid: int) -> int:
    """The most that was ever resident of a process that goes on, on Linux; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
