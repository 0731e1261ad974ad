"""Kills while results are written: afterwards the same command ends with nothing lost, altered or left behind.

    python -m tests.kills.run --count 200 --seed 0 --jobs 2

Each trial runs a command in a process of its own, ends that by SIGKILL (of `predict` by Ctrl-C too) at a random moment
or before its n-th change of files, one in four a second time, and runs the command again to its end. Results must be
those of a run that nobody stopped, inputs and files of others unchanged, and no temporary file may be left. What fails
is printed with its seed; `--count 1 --seed S` tries that one again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch

from tests.kills.forked import End, run, watched
from tests.kills.scenarios import Scenario, contents, left_behind, make_shared, scenarios

TURNS = ("images", "slide", "pack", "images", "save", "slide", "images", "slide", "fit", "pack", "transfer")
"""Scenarios of eleven trials; what is slow comes seldom."""


@dataclass(frozen=True)
class Whole:
    """A run of a scenario that nobody stopped."""

    scenario: Scenario
    results: dict[str, object]
    changes: int
    seconds: float


def main(count: int, seed: int, jobs: int) -> list[str]:
    """The failures, a line each."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        root = Path(name)
        rehearsed(lambda: make_shared(root / "shared"), root)
        given = {scenario.name: scenario for scenario in scenarios(root / "shared")}
        needed = {TURNS[number % len(TURNS)] for number in range(seed, seed + count)}
        wholes = {name: whole(root, given[name]) for name in given if name in needed}
        print(f"prepared in {time.monotonic() - started:.0f} s", flush=True)
        lines = trials(root, wholes, range(seed, seed + count), jobs)
    ends = Counter(line.partition(": ")[0] for line in lines)
    print(f"{count} trials in {time.monotonic() - started:.0f} s: {dict(sorted(ends.items()))}", flush=True)
    return [line for line in lines if line.startswith("FAILED")]


def whole(root: Path, scenario: Scenario) -> Whole:
    folder = root / f"whole-{scenario.name}"
    folder.mkdir()
    prepare(scenario, folder)
    changes, seconds = rehearsed(lambda: scenario.command(folder), root)
    return Whole(scenario, scenario.results(folder), changes, seconds)


def rehearsed(command: Callable[[], int], root: Path) -> tuple[int, float]:
    """How often a command changes files, and its seconds without those of its imports, which are then done here once.

    Raises RuntimeError where it fails.
    """
    started = time.monotonic()
    code = run(watched(command, root / "watched"), root / "log")
    if code:
        raise RuntimeError(f"it ends with {code}: {(root / 'log').read_text()}")
    ended, seen = time.monotonic(), json.loads((root / "watched").read_text())
    for name in seen["modules"]:
        with suppress(ImportError):  # what its maker put there by another name
            import_module(name)
    return seen["changes"], max(0.1, ended - started - (time.monotonic() - ended))


def prepare(scenario: Scenario, folder: Path) -> None:
    """The inputs, and files of somebody else where results go."""
    scenario.prepare(folder)
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("mine")
    (folder / "out" / ".mine.png").write_text("mine too")


def trials(root: Path, wholes: dict[str, Whole], seeds: range, jobs: int) -> list[str]:
    """A line for each, "scenario, how often killed: ..." or "FAILED ..."; each in a process, which has processes."""
    running: dict[int, Path] = {}
    lines, waiting = [], list(seeds)
    while waiting or running:
        if waiting and len(running) < jobs:
            seed = waiting.pop(0)
            told = root / f"told-{seed}"
            pid = os.fork()
            if pid == 0:
                try:
                    told.write_text(trial(root, wholes[TURNS[seed % len(TURNS)]], seed))
                finally:
                    os._exit(0)
            running[pid] = told
            continue
        told = running.pop(os.wait()[0])
        line = told.read_text() if told.exists() else f"FAILED {told.name}: the trial itself ended"
        if line.startswith("FAILED"):
            print(line, flush=True)
        lines.append(line)
    return lines


def trial(root: Path, whole: Whole, seed: int) -> str:
    rng, scenario = random.Random(seed), whole.scenario
    folder, log = root / f"trial-{seed}", root / f"log-{seed}"
    folder.mkdir()
    prepare(scenario, folder)
    before = state(folder / "in")
    ends: list[str] = []
    for _ in range(1 + (rng.random() < 0.25)):
        end = drawn(rng, whole)
        code = run(lambda: scenario.command(folder), log, end)
        ends.append(f"{end} ({code})")
        if code not in (0, -signal.SIGKILL, 130 if end.signal == signal.SIGINT else 0):
            return f"FAILED {seed} {scenario.name}: {'; '.join(ends)} {last(log)}"
    code = run(lambda: scenario.command(folder), log)
    fault = wrong(folder, whole, before) if code == 0 else f"the last run ended with {code}: {last(log)}"
    if fault:
        return f"FAILED {seed} {scenario.name}: {'; '.join(ends)}: {fault}"
    shutil.rmtree(folder)
    kinds = Counter("ended before" if "(0)" in end else end.split()[0] for end in ends)
    return f"{scenario.name}, {', '.join(f'{kind} {number}' for kind, number in sorted(kinds.items()))}: {seed}"


def drawn(rng: random.Random, whole: Whole) -> End:
    """Two of three at a change of files, where the order of writing shows; the others at any moment."""
    number = signal.SIGINT if whole.scenario.interrupts and rng.random() < 0.25 else signal.SIGKILL
    if rng.random() < 2 / 3:
        return End(change=rng.randint(1, whole.changes), signal=number)
    return End(seconds=rng.uniform(0, whole.seconds), signal=number)


def wrong(folder: Path, whole: Whole, before: dict[str, object]) -> str:
    """What is otherwise than it should be, "" where nothing is."""
    results = whole.scenario.results(folder)
    names = results.keys() | whole.results.keys()
    if others := sorted(name for name in names if results.get(name) != whole.results.get(name)):
        return f"other results: {others[:5]}"
    if state(folder / "in") != before:
        return "inputs were altered"
    mine = contents(folder / "out")
    if (mine.get("mine.txt"), mine.get(".mine.png")) != (b"mine", b"mine too"):
        return "files of others were altered"
    return f"left behind: {left}" if (left := left_behind(folder)) else ""


def state(folder: Path) -> dict[str, object]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def last(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-3:])[-600:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)  # a forked process may not use its parent's threads
    failures = main(options.count, options.seed, options.jobs)
    print("\n".join(failures) or f"{options.count} kills: nothing lost, altered or left behind")
    sys.exit(bool(failures))
