"""Fits of one recipe that differ in a word or two, each in a process of its own, with the same seconds and seeds.

OUT/ holds a folder for each, with its recipe, adapter and numbers. What was stopped goes on with the same command from
the fits that it lacks.
"""

from __future__ import annotations

import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from domains.atomic import atomic_path
from domains.errors import InputError
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.reading.schema import Recipe

PATIENCE_S = 5.0
"""How long a fit that is to end may take for it."""
RESULT = "result.json"
"""A fit's numbers, written last, by which it is known to be done."""
USUAL = ("f1", "pq", "ap50", "aji")
"""Metrics of a table beside the headline, where the domain has them; the JSON beside it has all."""
SHOWN = 4
"""Metrics of a table."""
MEANS = ("learning", "bytes", "steps", "cpu_s", "wall_s", "peak_mib")
"""Numbers of a fit of which a row has the mean over the seeds."""


@dataclass(frozen=True)
class Candidate:
    """A kind of fit: what its row is called, and the overrides that make it."""

    label: str
    overrides: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The label as the name of a folder."""
        return self.label.replace(":", "-").replace("=", "_").replace("/", "_")


@dataclass(frozen=True)
class Fits:
    """Every candidate with every seed, of one recipe."""

    recipe: str
    candidates: Sequence[Candidate]
    out: Path
    seconds: float
    """Of the processor, for each fit."""
    seeds: int
    overrides: Sequence[str] = ()

    @property
    def about(self) -> str:
        """What all of them have in common, in a line."""
        return f"{self.recipe}, {self.seconds:g} CPU-seconds, seeds 0 to {self.seeds - 1}"

    def settled(self, candidate: Candidate, seed: int) -> Recipe:
        """The recipe of a fit. Raises InputError where the candidate does not go with it."""
        budget = (f"train.seconds={self.seconds}", "train.steps=1000000", f"train.seed={seed}")
        return load_recipe(self.recipe, [*self.overrides, *candidate.overrides, *budget])

    def folder(self, candidate: Candidate, seed: int) -> Path:
        """Where a fit lies."""
        return self.out / f"{candidate.folder}-{seed}"

    def jobs(self) -> list[tuple[Candidate, int]]:
        """All candidates of a seed before the next seed, so that a table stands early."""
        return [(candidate, seed) for seed in range(self.seeds) for candidate in self.candidates]

    def run(self) -> dict[str, list[dict[str, Any]]]:
        """Fit what is not fitted yet; returns each candidate's results by label, a seed each.

        Raises InputError before the first fit for a recipe that does not take a candidate and for another comparison in
        OUT, and for a fit that ended without its numbers.
        """
        jobs = self.jobs()
        settled = [self.settled(*job) for job in jobs]  # all of them before a folder is made
        for job, recipe in zip(jobs, settled, strict=True):
            claim(self.folder(*job), recipe)
        results: dict[str, list[dict[str, Any]]] = {candidate.label: [] for candidate in self.candidates}
        for number, (candidate, seed) in enumerate(jobs, start=1):
            folder = self.folder(candidate, seed)
            if not (folder / RESULT).exists():
                print(f"{number} of {len(jobs)}: {candidate.label}, seed {seed}", flush=True)
                run_apart(folder)
            results[candidate.label].append(json.loads((folder / RESULT).read_text(encoding="utf-8")))
        return results


def claim(folder: Path, recipe: Recipe) -> None:
    """Write the fit's recipe into its folder. Raises InputError where another one is there."""
    text = resolved_yaml(recipe)
    file = folder / "recipe.yaml"
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise InputError(f"{str(file)!r} is of another comparison; name another folder by --out")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as path:
        path.write_text(text, encoding="utf-8")


def run_apart(folder: Path) -> None:
    """One fit in a process of its own, which ends with this one, however that ends.

    Raises InputError with its last line where it ends without numbers.
    """
    with tempfile.TemporaryFile() as output:
        with started(folder, output) as process:
            code = process.wait()
        output.seek(0)
        lines = [line for line in output.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if code or not (folder / RESULT).exists():
        raise InputError(f"the fit in {str(folder)!r} ended with {code}: {(lines or ['it said nothing'])[-1]}")


@contextmanager
def started(folder: Path, output: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a fit. It ends as soon as its standard input does: when this block is left, or this process is
    killed. It is in a group of its own, as Ctrl-C would have it write the numbers of a shorter training.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "recipes.verbs.compare_job", str(folder / "recipe.yaml"), str(folder)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, env=environment, stdin=pipe, stdout=output, stderr=subprocess.STDOUT, process_group=0
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def row_of(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the fits that differ in their seed alone: means and spreads, and the interval of the first of them."""
    headline = results[0]["headline"]
    keys = [headline, *(key for key in results[0]["metrics"] if key != headline)]
    metrics = {}
    for key in keys:
        values = [result["metrics"][key] for result in results if result["metrics"].get(key) is not None]
        metrics[key] = {
            "mean": statistics.fmean(values) if values else math.nan,
            "spread": statistics.stdev(values) if len(values) > 1 else math.nan,
            "interval_95": results[0]["intervals_95"].get(key),
        }
    means = {key: statistics.fmean(result[key] for result in results) for key in MEANS}
    return {"headline": headline, "metrics": metrics, "seeds": len(results), **means}


def table_keys(metrics: Sequence[str]) -> list[str]:
    """The metrics of a table, of all in their order, the headline first."""
    return list(dict.fromkeys([metrics[0], *(key for key in USUAL if key in metrics), *metrics]))[:SHOWN]


def cells(rows: Sequence[Mapping[str, Any]], name: str) -> Iterator[list[str]]:
    """The table's rows as text, its header first. name: what the first column is, and the key of it in a row."""
    keys = table_keys(list(rows[0]["metrics"]))
    yield [name, *keys, "weights", "kB", "steps", "CPU-s", "MiB", "seeds"]
    for row in rows:
        yield [
            str(row[name]),
            *(metric_text(row["metrics"][key]) for key in keys),
            f"{row['learning'] / 1e3:.0f} k",
            f"{row['bytes'] / 1e3:.0f}",
            f"{row['steps']:.0f}",
            f"{row['cpu_s']:.0f}",
            f"{row['peak_mib']:.0f}",
            str(row["seeds"]),
        ]


def metric_text(metric: Mapping[str, Any]) -> str:
    """`.812 ± .010 [.760, .851]`: mean, spread of the seeds, interval of the first."""
    if math.isnan(metric["mean"]):
        return "undefined"
    spread = "" if math.isnan(metric["spread"]) else f" ± {metric['spread']:.3f}"
    interval = metric["interval_95"] or (None, None)
    span = "" if interval[0] is None or math.isnan(interval[0]) else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{metric['mean']:.3f}{spread}{span}"


def write_tables(stem: Path, table: Sequence[Sequence[str]], about: str) -> None:
    """STEM.csv and STEM.md of rows of text, the header first."""
    with atomic_path(stem.with_suffix(".csv")) as path, path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)
    lines = [f"| {' | '.join(row)} |" for row in table]
    rule = "|" + " --- |" * len(table[0])
    with atomic_path(stem.with_suffix(".md")) as path:
        path.write_text("\n".join([f"# {about}", "", lines[0], rule, *lines[1:], ""]), encoding="utf-8")
