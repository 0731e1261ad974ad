"""`cli.py compare`: several methods on one recipe, with the same seconds, seeds, crops and splits for each.

OUT/ holds a folder for each fit, with its recipe, adapter and numbers, and at the end compare.md, .csv, .json, .png and
report.html. A comparison that was stopped goes on with the same command from the fits that it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.options.methods import METHOD_NAMES
from domains.atomic import atomic_path
from domains.errors import InputError, suggest
from recipes.verbs.apart import Candidate, Fits, cells, row_of, write_tables
from recipes.verbs.numbers import plain, write_json
from recipes.verbs.tables import text_table

SHORT = {"dora": "lora:dora=true", "rslora": "lora:rslora=true"}
"""What people call by a name of its own, and is an option of another."""


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
    """Fit every candidate with every seed, and write the tables and the report; returns the rows.

    seconds: of the processor, for each fit. Raises InputError for a recipe that does not take a method, for another
    comparison in OUT, and for a fit that ended without its numbers.
    """
    fits = Fits(recipe, candidates, out, seconds, seeds, overrides)
    results = fits.run()
    rows = [
        {"method": candidate.label, "overrides": list(candidate.overrides), **row_of(results[candidate.label])}
        for candidate in candidates
    ]
    write(fits, rows)
    return rows


def write(fits: Fits, rows: Sequence[Mapping[str, Any]]) -> None:
    """compare.json, .csv, .md, .png and report.html of a comparison, and its table in the terminal."""
    from recipes.report.page import write_page  # they load slowly, and a mistake on the command line wants none of it
    from recipes.verbs.pages_of_fits import compare_page
    from recipes.verbs.pareto import frontier, pareto_plot

    out, table = fits.out, list(cells(rows, "method"))
    write_json(out / "compare.json", plain({"about": fits.about, "rows": list(rows)}))
    write_tables(out / "compare", table, fits.about)
    headline = rows[0]["headline"]
    points = {row["method"]: (row["bytes"], row["metrics"][headline]) for row in rows}
    with atomic_path(out / "compare.png") as path:
        pareto_plot(path, points, headline)
    front = frontier({label: (size, metric["mean"]) for label, (size, metric) in points.items()})
    write_page(out / "report.html", compare_page(fits, rows, front))
    print(text_table(table))
    print(f"report: {out / 'report.html'}")
