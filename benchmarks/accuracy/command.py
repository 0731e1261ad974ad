"""How good the adapters are on real images, beside what a user would do instead.

    python benchmarks/accuracy.py --data DIR                      every job that has no result yet
    python benchmarks/accuracy.py --data DIR --shard 0/2          half of them, for two processes side by side
    python benchmarks/accuracy.py --table                         results -> benchmarks/accuracy.md
    python benchmarks/accuracy.py --data DIR --method instanseg   which wants a package more; it says which

DIR holds a folder per set and, in `index/<set>.csv`, the group of every image. Every job is one thread, and its result
one JSON file: what exists is skipped, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.accuracy.plan import BUDGETS, METHODS, PACKAGES, SETS, Job, jobs

HERE = Path(__file__).resolve().parents[1]
METHOD_HELP = f"of {', '.join(METHODS)}; by default all but {', '.join(PACKAGES)}"


def main(
    data: Annotated[Path | None, typer.Option(help="folder of the data sets and their index/")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help=f"of {', '.join(SETS)}; all by default")] = None,
    method: Annotated[list[str] | None, typer.Option(help=METHOD_HELP)] = None,
    seed: Annotated[list[int] | None, typer.Option(help="those of the set by default")] = None,
    budget: Annotated[list[str] | None, typer.Option(help="of time, steps, minutes; the first two by default")] = None,
    seconds: Annotated[float | None, typer.Option(help="CPU-seconds of fitting, instead of the set's")] = None,
    steps: Annotated[int | None, typer.Option(help="optimiser steps, instead of the set's")] = None,
    images: Annotated[int | None, typer.Option(help="fit on this many training images; all by default", min=1)] = None,
    out: Annotated[Path, typer.Option(help="folder of the results")] = HERE / "results",
    runs: Annotated[Path | None, typer.Option(help="folder to keep the adapters in; none by default")] = None,
    shard: Annotated[str, typer.Option(help="i/n: every n-th job, from the i-th")] = "0/1",
    table: Annotated[bool, typer.Option("--table", help="write the table of the results, and run nothing")] = False,
) -> None:
    """Fit and measure every method on every set; one JSON file each."""
    if table:
        from benchmarks.accuracy.table import write_table

        write_table(out, out.parent / "accuracy.md")
        return
    choices = {"--set": (set_, SETS), "--method": (method, METHODS), "--budget": (budget, BUDGETS)}
    for option, (values, names) in choices.items():
        for value in values or ():
            if value not in names:
                raise typer.BadParameter(f"{value!r}; known: {', '.join(names)}", param_hint=option)
    if data is None or not data.is_dir():
        raise typer.BadParameter(f"wanted the folder that holds {', '.join(SETS)}, got {data}", param_hint="--data")
    for name, (module, line) in PACKAGES.items():
        if name in (method or ()) and find_spec(module) is None:
            raise typer.BadParameter(f"{name!r} wants a package that is not installed: {line}", param_hint="--method")
    budgets = budget or ("time", "steps")
    methods = method or [name for name in METHODS if name not in PACKAGES]
    planned = list(jobs(set_ or list(SETS), methods, seed, budgets, seconds, steps, images))
    start, count = map(int, shard.split("/"))
    sys.exit(run_all(planned[start::count], data, out, runs))


def run_all(chosen: Sequence[Job], data: Path, out: Path, runs: Path | None = None) -> int:
    """Run the jobs that have no result yet; returns how many failed."""
    from benchmarks.accuracy.job import result_name, run_job

    out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for number, job in enumerate(chosen, 1):
        path = out / f"{result_name(job)}.json"
        if path.exists():
            continue
        print(f"[{number}/{len(chosen)}] {job.name}", flush=True)
        try:
            result = run_job(job, data, path, runs)
        except Exception:  # a job that fails must not take the night's others with it
            traceback.print_exc()
            failed += 1
        else:
            metrics = ", ".join(f"{key} {result['metrics'].get(key)}" for key in SETS[job.set].columns)
            print(f"    {result['steps']} steps, {result['fit_cpu_s']} CPU-s; {metrics}", flush=True)
    return failed
