"""Damaged files, given to every reader of images and annotations: each is read, or refused in one line.

    python -m tests.fuzz.run --count 5000 --seed 0

No traceback, no crash, no trial beyond 20 seconds, no process beyond 2 GiB. What fails is printed with its seed, and
`--count 1 --seed S` tries that one again. Trials run in processes of their own, so that a crash ends only one of them.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

BATCH = 100
SECONDS = 20
MIB = 2048


class Trials(Protocol):
    def trial(self, seed: int) -> str:
        """What was damaged, and how it ended; raises what ended it otherwise than it should."""
        ...


def main(count: int, seed: int, jobs: int = 1, module: str = "tests.fuzz.run") -> list[str]:
    """The failures of `count` trials from `seed` on, a line each. module: whose `--batch` runs some of them."""
    failures: list[str] = []
    batches = [(first, min(first + BATCH, seed + count)) for first in range(seed, seed + count, BATCH)]
    while batches:
        running = [start(*batches.pop(0), module) for _ in range(min(jobs, len(batches)))]
        for process, log, last in running:
            failures += finish(process, log, last, batches)
    return failures


def start(first: int, last: int, module: str) -> tuple[subprocess.Popen, Path, int]:
    log = Path(tempfile.mkdtemp(prefix="fuzz-")) / "log"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FUZZ_LOG": str(log)}
    command = [sys.executable, "-m", module, "--batch", str(first), str(last)]
    return subprocess.Popen(command, env=environment), log, last


def finish(process: subprocess.Popen, log: Path, last: int, batches: list[tuple[int, int]]) -> list[str]:
    """What a batch found; where it crashed or hung, the rest of it becomes a batch of its own."""
    try:
        process.wait(BATCH * SECONDS)
        ended = f"ended with {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        ended = "did not end"
    lines = log.read_text().splitlines() if log.exists() else []
    failures = [line for line in lines if line.startswith("FAILED")]
    if process.returncode != 0:
        begun = [int(line.split()[1]) for line in lines if line.startswith("begin")]
        failures.append(f"FAILED {begun[-1] if begun else '?'}: the process {ended}")
        if begun and begun[-1] + 1 < last:
            batches.append((begun[-1] + 1, last))
    return failures


def batch(first: int, last: int, corpus_in: Callable[[Path], Trials], mib: int = MIB) -> None:
    """The trials of one process, which takes at most `mib`; the log says which is running."""

    def too_long(*_: Any) -> None:
        raise TimeoutError(f"a trial took more than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as root, open(os.environ["FUZZ_LOG"], "a", buffering=1) as log:
        corpus = corpus_in(Path(root))
        for seed in range(first, last):
            log.write(f"begin {seed}\n")
            signal.alarm(SECONDS)
            try:
                told = corpus.trial(seed)
                ends["refused" if "refused" in told else "read"] += 1
                log.write(f"ended {seed} {told}\n")
            except BaseException as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                log.write(f"FAILED {seed}: {reason} at {Path(place.filename).name}:{place.lineno}\n")
            finally:
                signal.alarm(0)
        peak = peak_mib()
        if peak > mib:
            log.write(f"FAILED {first}: trials {first} to {last - 1} took {peak} MiB\n")
    print(f"trials {first} to {last - 1}: {dict(ends)}, at most {peak} MiB", flush=True)


def peak_mib() -> int:
    """The most memory that this process held. Of Linux by its own account: `ru_maxrss` begins at what the process that
    started this one held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) // 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--batch", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.batch:
        from tests.fuzz.targets import Corpus

        batch(*options.batch, Corpus)
    else:
        found = main(options.count, options.seed, options.jobs)
        print("\n".join(found) or f"{options.count} damaged inputs: each read, or refused in one line")
        sys.exit(bool(found))
