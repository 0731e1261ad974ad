"""`cli.py compare`: several methods on one recipe, with the same seconds, seeds, crops and splits for each.

OUT/ holds a folder for each fit, with its recipe, adapter and numbers, and at the end compare.md, .csv, .json and .png.
A comparison that was stopped goes on with the same command from the fits that it lacks.
"""

from __future__ import annotations

import csv
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.options.methods import METHOD_NAMES
from domains.atomic import atomic_path
from domains.errors import InputError, suggest
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.reading.schema import Recipe
from recipes.verbs.numbers import plain, write_json
from recipes.verbs.tables import text_table

RESULT = "result.json"
"""A fit's numbers, written last, by which it is known to be done."""
SHORT = {"dora": "lora:dora=true", "rslora": "lora:rslora=true"}
"""What people call by a name of its own, and is an option of another."""
SHOWN = 4
"""Metrics of the table: the headline, then those of `USUAL` that the domain has; all of them are in compare.json."""
USUAL = ("f1", "pq", "ap50", "aji")


@dataclass(frozen=True)
class Candidate:
    """A method of a comparison: what it is called in its table, and the overrides that say it."""

    label: str
    overrides: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The label as the name of a folder."""
        return self.label.replace(":", "-").replace("=", "_").replace("/", "_")


def parse_methods(text: str) -> list[Candidate]:
    """`lora,dora,ssf:scope=both,lora:rank=4:layers=last:2` to candidates.

    Raises InputError for none, the same twice, or a method that there is not.
    """
    labels = [label.strip() for label in text.split(",")]
    if "" in labels:
        raise InputError(f"--methods is {text!r}; wanted methods with commas between, such as lora,ssf:scope=both")
    if len(set(labels)) < len(labels):
        raise InputError(f"--methods is {text!r}; a method is there twice")
    candidates = [Candidate(label, overrides_of(SHORT.get(label, label))) for label in labels]
    for candidate in candidates:
        name = candidate.overrides[0].removeprefix("method.name=")
        if name not in METHOD_NAMES:
            raise InputError(f"--methods has {name!r}; {suggest(name, [*METHOD_NAMES, *SHORT])}")
    return candidates


def overrides_of(label: str) -> tuple[str, ...]:
    """`lora:rank=4:layers=last:2` as `method.name=lora`, `method.rank=4`, `method.layers=last:2`."""
    name, *settings = label.split(":")
    joined: list[str] = []
    for setting in settings:
        if "=" in setting or not joined:
            joined.append(setting)
        else:
            joined[-1] += f":{setting}"
    return (f"method.name={name}", *(f"method.{setting}" for setting in joined))


def compare(
    recipe: str,
    candidates: Sequence[Candidate],
    out: Path,
    seconds: float,
    seeds: int = 3,
    overrides: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Fit every candidate with every seed, and write the table; returns its rows.

    seconds: of the processor, for each fit. Raises InputError for a recipe that does not take a method, for another
    comparison in OUT, and for a fit that ended without its numbers.
    """
    jobs = list(jobs_of(recipe, candidates, seconds, seeds, overrides))
    for label, seed, settled in jobs:
        claim(out / folder_name(label, seed), settled)
    results: dict[str, list[dict[str, Any]]] = {candidate.label: [] for candidate in candidates}
    for number, (candidate, seed, _) in enumerate(jobs, start=1):
        folder = out / folder_name(candidate, seed)
        if not (folder / RESULT).exists():
            print(f"{number} of {len(jobs)}: {candidate.label}, seed {seed}", flush=True)
            run_apart(folder)
        results[candidate.label].append(json.loads((folder / RESULT).read_text(encoding="utf-8")))
    rows = [row_of(candidate, results[candidate.label]) for candidate in candidates]
    write(out, rows, f"{recipe}, {seconds:g} CPU-seconds, seeds 0 to {seeds - 1}")
    return rows


def jobs_of(
    recipe: str, candidates: Sequence[Candidate], seconds: float, seeds: int, overrides: Sequence[str]
) -> Iterator[tuple[Candidate, int, Recipe]]:
    """Each fit with its recipe, all methods of a seed before the next seed, so that a table stands early."""
    for seed in range(seeds):
        for candidate in candidates:
            budget = (f"train.seconds={seconds}", "train.steps=1000000", f"train.seed={seed}")
            yield candidate, seed, load_recipe(recipe, [*overrides, *candidate.overrides, *budget])


def folder_name(candidate: Candidate, seed: int) -> str:
    """Of one fit."""
    return f"{candidate.folder}-{seed}"


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
    """One fit in a process of its own. Raises InputError with its last line where it ends without numbers."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "recipes.verbs.compare_job", str(folder / "recipe.yaml"), str(folder)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or not (folder / RESULT).exists():
        lines = [line for line in done.stdout.splitlines() if line.strip()] or ["it said nothing"]
        raise InputError(f"the fit in {str(folder)!r} ended with {done.returncode}: {lines[-1]}")


def row_of(candidate: Candidate, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A method's row: means and spreads over the seeds, the interval of the first."""
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
    return {
        "method": candidate.label,
        "overrides": list(candidate.overrides),
        "headline": headline,
        "metrics": metrics,
        "seeds": len(results),
        **{
            key: statistics.fmean(result[key] for result in results)
            for key in ("learning", "bytes", "steps", "cpu_s", "wall_s", "peak_mib")
        },
    }


def write(out: Path, rows: Sequence[Mapping[str, Any]], about: str) -> None:
    """compare.json, .csv, .md and .png of a comparison, and its table in the terminal."""
    from recipes.verbs.pareto import pareto_plot  # loads slowly, and a mistake on the command line wants none of it

    table = list(cells(rows))
    write_json(out / "compare.json", plain({"about": about, "rows": list(rows)}))
    with atomic_path(out / "compare.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)
    lines = [f"| {' | '.join(row)} |" for row in table]
    rule = "|" + " --- |" * len(table[0])
    with atomic_path(out / "compare.md") as path:
        path.write_text("\n".join([f"# {about}", "", lines[0], rule, *lines[1:], ""]), encoding="utf-8")
    headline = rows[0]["headline"]
    points = {row["method"]: (row["bytes"], row["metrics"][headline]) for row in rows}
    with atomic_path(out / "compare.png") as path:
        pareto_plot(path, points, headline)
    print(text_table(table))


def cells(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """The table's rows as text, its header first."""
    measured = rows[0]["metrics"]  # the headline first
    keys = list(dict.fromkeys([next(iter(measured)), *(key for key in USUAL if key in measured), *measured]))[:SHOWN]
    yield ["method", *keys, "weights", "kB", "steps", "CPU-s", "MiB", "seeds"]
    for row in rows:
        yield [
            row["method"],
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
