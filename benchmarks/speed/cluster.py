"""Two workers over one: images a second, and the processor time of workers and of the command, turn by turn.

    python -m benchmarks.speed.cluster FOLDER [--images 96] [--px 512] [--pairs 3] [--adapter A]

`predict` of the same generated images runs in one process, by `--scheduler local:1` and by `local:2`, a thread each,
one after the other, so many times. Seconds are those from the `WARM`th result to the last, as their files say, so that
no start is in them; another job on the machine is. Processor time is what all images cost beyond the first few, in the
command's process (which holds the scheduler of `local:N`) and in its workers; it says what a free machine would give:

    cores for all     one process / max(command, workers / 2)
    two cores         2 x one process / (command + workers)
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.speed.child import run

WARM = 16  # images in which workers start
SCHEDULERS = ("", "local:1", "local:2")
NAMES = {"": "one process", "local:1": "one worker", "local:2": "two workers"}


class Share(NamedTuple):
    """Of a prediction, per image: seconds by the clock, CPU-seconds of the command's process and of its workers."""

    seconds: float
    command_s: float
    workers_s: float


def predicted(folder: Path, images: int, scheduler: str, adapter: Sequence[str]) -> tuple[float, float, float]:
    """(seconds from the `WARM`th result to the last, CPU-seconds of the command, of its workers) of one run."""
    out, told = folder / "out", folder / "told.json"
    shutil.rmtree(out, ignore_errors=True)
    words = [str(told), *adapter, str(folder / f"list{images}.txt"), "--out", str(out)]
    run(
        [*words, *(["--scheduler", scheduler] if scheduler else [])],
        module="benchmarks.speed.cluster",
        environment={"OMP_NUM_THREADS": "1"},
    )
    times = sorted(path.stat().st_mtime for path in out.glob("*.labels.tif"))
    command, workers = json.loads(told.read_text(encoding="utf-8"))
    return times[-1] - times[min(WARM, len(times)) - 1], command, workers


def told_predict(told: Path, words: Sequence[str]) -> int:
    """`cli.py predict WORDS` in this process; writes what it and its children took. Returns its exit code."""
    from cli import main as command

    code = command(["predict", *words])
    took = os.times()
    told.write_text(json.dumps([took.user + took.system, took.children_user + took.children_system]), encoding="utf-8")
    return code


def share(folder: Path, images: int, scheduler: str, adapter: Sequence[str]) -> Share:
    """What an image costs, beyond the first `WARM` ones."""
    _, *few = predicted(folder, WARM, scheduler, adapter)
    seconds, *many = predicted(folder, images, scheduler, adapter)
    count = images - WARM
    command, workers = ((after - before) / count for before, after in zip(few, many, strict=True))
    return Share(seconds / count, command, workers)


def report(shares: dict[str, list[Share]]) -> str:
    """The medians as lines, and the speed-ups that they say."""
    middle = {name: Share(*map(median, zip(*turns, strict=True))) for name, turns in shares.items()}
    lines = [
        f"{NAMES[name]:<12} {1 / cost.seconds:8.2f} images/s   CPU-s an image: command {cost.command_s:.4f}, "
        f"workers {cost.workers_s:.4f}"
        for name, cost in middle.items()
    ]
    alone, single, double = (middle[name] for name in SCHEDULERS)
    ratios = [
        first.seconds / second.seconds for first, second in zip(shares["local:1"], shares["local:2"], strict=True)
    ]
    plain = alone.command_s + alone.workers_s
    lines += [
        f"two workers over one, by the clock: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), over one "
        f"process {alone.seconds / double.seconds:.2f}",
        "two workers over one, by processor time: "
        f"{max(single.command_s, single.workers_s) / max(double.command_s, double.workers_s / 2):.2f} with cores for "
        f"all; over one process {plain / max(double.command_s, double.workers_s / 2):.2f}, on two cores "
        f"{2 * plain / (double.command_s + double.workers_s):.2f}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure turn by turn."""
    if sys.argv[1:2] and sys.argv[1].endswith(".json"):
        sys.exit(told_predict(Path(sys.argv[1]), sys.argv[2:]))
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folder", type=Path, help="for images and results")
    words.add_argument("--images", type=int, default=96)
    words.add_argument("--px", type=int, default=512, help="side of an image")
    words.add_argument("--pairs", type=int, default=3, help="turns")
    words.add_argument("--adapter", help="the bare base by default")
    given = words.parse_args()
    folder = given.folder.resolve() / f"images{given.px}"
    run([str(folder), str(given.images), "--px", str(given.px)], module="benchmarks.speed.small_images")
    for count in (WARM, given.images):
        paths = (folder / "images" / f"{i:06d}.png" for i in range(count))
        (folder / f"list{count}.txt").write_text("\n".join(map(str, paths)) + "\n", encoding="utf-8")
    adapter = ["--adapter", given.adapter] if given.adapter else ["--adapter", "base", "--recipe", "pathology"]
    shares: dict[str, list[Share]] = {name: [] for name in SCHEDULERS}
    for turn in range(given.pairs):
        for name in SCHEDULERS if turn % 2 == 0 else SCHEDULERS[::-1]:
            shares[name].append(share(folder, given.images, name, adapter))
        print(f"after {turn + 1} of {given.pairs} turns\n{report(shares)}", flush=True)


if __name__ == "__main__":
    main()
