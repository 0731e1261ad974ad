"""Two workers over one: images a second, and the processor time of workers and of the command, turn by turn.

    python -m benchmarks.speed.cluster FOLDER [--images 96] [--px 512] [--pairs 3] [--adapter A]
    python -m benchmarks.speed.cluster FOLDER --equal INPUT [--adapter A]

`predict` of the same generated images runs in one process, by `--scheduler local:1` and by `local:2`, a thread each,
one after the other, so many times. Seconds are those from the `WARM`th result to the last, as their files say, so that
no start is in them; another job on the machine is. Processor time is what all images cost beyond the first few, in the
command's process (which holds the scheduler of `local:N`) and in its workers; it says what a free machine would give:

    cores for all     one process / max(command, workers / 2)
    two cores         2 x one process / (command + workers)

`--equal` predicts INPUT (a folder, a list, a scene) in one process and by two workers, and compares all that they
wrote byte by byte; it tells what the command's own process took.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.speed.child import KIB, run

MODULE = "benchmarks.speed.cluster"
WARM = 16  # images in which workers start
SCHEDULERS = ("", "local:1", "local:2")
NAMES = {"": "one process", "local:1": "one worker", "local:2": "two workers"}


class Took(NamedTuple):
    """Of a prediction: CPU-seconds of the command's process and of its workers, the former's peak in MiB."""

    command_s: float
    workers_s: float
    peak_mib: float

    def __str__(self) -> str:
        return f"command {self.command_s:.1f} CPU-s, peak {self.peak_mib:.0f} MiB, workers {self.workers_s:.1f} CPU-s"


class Share(NamedTuple):
    """Of a prediction, per image: seconds by the clock, CPU-seconds of the command's process and of its workers."""

    seconds: float
    command_s: float
    workers_s: float


def predicted(folder: Path, words: Sequence[str], scheduler: str) -> Took:
    """What `predict WORDS` takes, whose results lie in `folder / "out"` then."""
    out, report_file = folder / "out", folder / "took.json"
    shutil.rmtree(out, ignore_errors=True)
    by = ["--scheduler", scheduler] if scheduler else []
    run([str(report_file), *words, "--out", str(out), *by], module=MODULE, environment={"OMP_NUM_THREADS": "1"})
    return Took(*json.loads(report_file.read_text(encoding="utf-8")))


def told_predict(report_file: Path, words: Sequence[str]) -> int:
    """`cli.py predict WORDS` in this process; writes what it and its children took. Returns its exit code."""
    from cli import main as command

    code = command(["predict", *words])
    times, peak = os.times(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB / 1024
    took = Took(times.user + times.system, times.children_user + times.children_system, peak)
    report_file.write_text(json.dumps(took), encoding="utf-8")
    return code


def compare(folder: Path, words: Sequence[str]) -> str:
    """Which files differ between one process and two workers, and what both took."""
    lines, alone = [], folder / "one"
    for scheduler in ("", "local:2"):
        lines.append(f"{NAMES[scheduler]}: {predicted(folder, words, scheduler)}")
        if not scheduler:
            shutil.rmtree(alone, ignore_errors=True)
            (folder / "out").rename(alone)
    return "\n".join([*lines, difference(alone, folder / "out")])


def difference(folder: Path, again: Path) -> str:
    """How many files two folders of results hold, and which differ; the journals, which hold times, aside."""
    names = [{path.relative_to(root) for path in root.rglob("*") if path.is_file()} for root in (folder, again)]
    names = [{name for name in files if name.parts[0] != ".predict"} for files in names]
    shared = names[0] & names[1]
    differ = [f"{name}" for name in sorted(shared) if (folder / name).read_bytes() != (again / name).read_bytes()]
    lacking = [f"{name}" for name in sorted(names[0] ^ names[1])]
    return f"{len(shared)} files: {len(differ)} differ {differ[:3]}, {len(lacking)} in one folder alone {lacking[:3]}"


def share(folder: Path, images: int, scheduler: str, adapter: Sequence[str]) -> Share:
    """What an image costs, beyond the first `WARM` ones."""
    warm, full = (predicted(folder, [*adapter, str(folder / f"list{n}.txt")], scheduler) for n in (WARM, images))
    times = sorted(path.stat().st_mtime for path in (folder / "out").glob("*.labels.tif"))
    seconds, count = times[-1] - times[WARM - 1], images - WARM
    return Share(seconds / count, (full.command_s - warm.command_s) / count, (full.workers_s - warm.workers_s) / count)


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
        single.seconds / double.seconds for single, double in zip(shares["local:1"], shares["local:2"], strict=True)
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
    words.add_argument("--equal", metavar="INPUT", help="in place of the speed-up")
    options = words.parse_args()
    adapter = ["--adapter", options.adapter] if options.adapter else ["--adapter", "base", "--recipe", "pathology"]
    if options.equal:
        options.folder.mkdir(parents=True, exist_ok=True)
        print(compare(options.folder.resolve(), [*adapter, str(Path(options.equal).resolve())]))
        return
    folder = options.folder.resolve() / f"images{options.px}"
    run([str(folder), str(options.images), "--px", str(options.px)], module="benchmarks.speed.small_images")
    for count in (WARM, options.images):
        paths = (folder / "images" / f"{i:06d}.png" for i in range(count))
        (folder / f"list{count}.txt").write_text("\n".join(map(str, paths)) + "\n", encoding="utf-8")
    shares: dict[str, list[Share]] = {name: [] for name in SCHEDULERS}
    for turn in range(options.pairs):
        for name in SCHEDULERS if turn % 2 == 0 else SCHEDULERS[::-1]:
            shares[name].append(share(folder, options.images, name, adapter))
        print(f"after {turn + 1} of {options.pairs} turns\n{report(shares)}", flush=True)


if __name__ == "__main__":
    main()
