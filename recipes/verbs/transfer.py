"""`cli.py transfer`: N adapters and the bare base on M data sets.

All adapters of one base share it: it is loaded once and the next adapter is swapped in.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.backbones import Backbone
from adapters.inference.segment import measure
from adapters.runtime import CPU, Runtime
from adapters.sharing.door import name_of, read_info
from adapters.sharing.info import Base
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.opening import opened
from domains.atomic import atomic_path
from domains.datasets.domain import Domain
from domains.errors import InputError
from domains.metrics import MetricSet
from recipes import set_up
from recipes.build import backbone_of, domain_of
from recipes.check_data import check_data, check_entities, tell_reading
from recipes.learnt import met_again
from recipes.load import loaded
from recipes.reading.compose import load_recipe
from recipes.reading.schema import Recipe
from recipes.report.page import write_page
from recipes.sets import AskedSet, recipe_for, recipe_words
from recipes.shared import BASE, SharedRecipe, same_folder, shared_recipe
from recipes.verbs.heatmap import heat_maps
from recipes.verbs.numbers import plain, write_json
from recipes.verbs.pages import transfer_page
from recipes.verbs.progress import Progress, reading_shown
from recipes.verbs.tables import text_table

Table = dict[str, dict[str, dict[str, float | None]]]
"""Metric -> adapter -> data set -> value."""
Fitted = Mapping[str, Mapping[str, str]]
"""Adapter -> data set -> whether it was fitted on it: OWN, MEASURED or ""."""
NOWHERE: Fitted = {}
OWN, MEASURED = "set", "measured"
MARKS = {"": "", OWN: "*", MEASURED: "!"}


def transfer(
    adapters: Mapping[str, str],
    sets: Sequence[AskedSet],
    out: Path,
    split: str = "test",
    backbone: str | None = None,
    runtime: Runtime = CPU,
) -> Table:
    """Measure every adapter on every data set; writes transfer.csv, .json, .md and .png into `out`.

    adapters: path to the name of its row, as `parse_adapters` has them. backbone: where the base of adapters lies that
    is not where they say.
    """
    set_up()
    if (out / "transfer.json").exists():
        raise InputError(f"{str(out / 'transfer.json')!r} exists; name another --out")
    about = {name: about_adapter(path) for path, name in adapters.items() if path != BASE}
    chosen = {asked.name: recipe_for(asked, [shared for shared, _ in about.values()]) for asked in sets}
    domains = {name: domain_of(recipe) for name, recipe in chosen.items()}
    with reading_shown():
        samples = {name: domain.dataset(split) for name, domain in domains.items()}  # type: ignore[arg-type]
    for name, domain in domains.items():
        tell_reading(domain, chosen[name].domain)
        check_entities(domain, chosen[name].domain, (split,))
        check_data(domain, chosen[name].domain, (split,))
    fitted: Fitted = {
        row: {name: fitted_on(shared, learnt, domains[name], chosen[name], split) for name in domains}
        for row, (shared, learnt) in about.items()
    }
    table: Table = {}
    bases: dict[str, Backbone] = {}
    with Progress("transfer", len(adapters) * sum(map(len, samples.values())), unit="images") as progress:
        for adapter, row in adapters.items():
            for name, domain in domains.items():
                recipe, overrides = recipe_words(chosen[name].domain.name) if adapter == BASE else (None, ())
                with loaded(adapter, recipe, overrides, base_of(adapter, bases, backbone), runtime) as network:
                    metrics = MetricSet(domain.metrics())
                    reports = progress.advance, progress.tick
                    metrics = measure(network.segmenter, samples[name], metrics, network.contract, *reports)
                for key, value in plain(metrics.compute()).items():
                    table.setdefault(key, {}).setdefault(row, {})[name] = value
    table = {key: values for key, values in table.items() if any(known(values))}
    rows, columns = list(adapters.values()), list(domains)
    write(out, table, rows, columns, split, {domain.headline for domain in domains.values()}, fitted)
    headline = "pq" if "pq" in table else next(iter(table))
    signs = {row: {column: MARKS[word] for column, word in inner.items()} for row, inner in fitted.items()}
    places = {row: path for path, row in adapters.items() if path != BASE}
    page = transfer_page(table, rows, columns, headline, split, note=legend(fitted), marks=signs, adapters=places)
    write_page(out / "report.html", page)
    print(f"{headline}, {split} split; rows are adapters, columns data sets")
    print(text_table(cells(table[headline], rows, columns, fitted)))
    if note := legend(fitted):
        print(note)
    print(f"all metrics: {out / 'transfer.md'}   heat maps: {out / 'transfer.png'}   report: {out / 'report.html'}")
    return table


def about_adapter(adapter: str) -> tuple[SharedRecipe, LearntFrom | None]:
    """(recipe, images that it learnt from) of an adapter, without its network. Raises InputError."""
    with opened(Path(adapter)) as folder:
        info = read_info(folder)
        return shared_recipe(folder, info), info.learnt_from


def fitted_on(shared: SharedRecipe, learnt: LearntFrom | None, domain: Domain, recipe: Recipe, split: str) -> str:
    """MEASURED where the adapter learnt from images that are measured, OWN where from others of the set, "" elsewhere.

    By the images' digests; of an adapter or data without them by the name of the folder.
    """
    measured = met_again(learnt, domain, recipe.domain, split)
    if measured is None:
        same_set = shared.recipe.domain.name == domain.name and same_folder(recipe.domain.data, shared.data)
        return OWN if same_set else ""
    if measured.images:
        return MEASURED
    anywhere = met_again(learnt, domain, recipe.domain, "all")
    return OWN if anywhere is not None and anywhere.images else ""


def base_of(adapter: str, bases: dict[str, Backbone], elsewhere: str | None = None) -> Backbone:
    """The backbone that an adapter wants, loaded when first asked for. elsewhere: where it is, if not as it says."""
    if adapter == BASE:
        recipe = load_recipe("base")
    else:
        with opened(Path(adapter)) as folder:
            base = read_info(folder).backbone
            name = elsewhere if elsewhere and base.is_local and not at_hand(base) else name_of(base, folder)
        recipe = load_recipe("base", [f"backbone.name={json.dumps(name)}", f"backbone.taps={list(base.taps)}"])
    key = f"{recipe.backbone.name} {recipe.backbone.taps or ''}"
    if recipe.backbone.taps is None or key not in bases:
        same_name = (held for held in bases.values() if held.name == recipe.backbone.name)
        fresh = next(same_name, None) or backbone_of(recipe)
        key = f"{fresh.name} {fresh.taps}"
        bases.setdefault(key, fresh)
    return bases[key]


def at_hand(base: Base) -> bool:
    """Whether a base in a folder lies where its adapter says."""
    return base.name != base.bare_name and Path(base.name).exists()


def cells(
    values: Mapping[str, Mapping[str, float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    fitted: Fitted = NOWHERE,
) -> list[list[str]]:
    """Header and rows of text, marked where fitted; a metric that a domain does not have is left empty."""

    def cell(row: str, column: str) -> str:
        value = values.get(row, {}).get(column)
        return "" if value is None else f"{value:.3f}{MARKS[fitted.get(row, {}).get(column, '')]}"

    return [["adapter", *columns], *([row, *(cell(row, column) for column in columns)] for row in rows)]


def known(values: Mapping[str, Mapping[str, float | None]]) -> list[bool]:
    """Of each cell of a metric, whether it has a value: a set may hold nothing that the metric speaks of."""
    return [value is not None for row in values.values() for value in row.values()]


def pictured(table: Table, cells: int, headlines: Collection[str]) -> Table:
    """The metrics that have a value in each of so many cells, and the headlines; all where there are none."""
    return {key: rows for key, rows in table.items() if key in headlines or sum(known(rows)) == cells} or table


def legend(fitted: Fitted) -> str:
    """What the marks mean that the table has."""
    marks = {word for row in fitted.values() for word in row.values()}
    means = {OWN: "the adapter was fitted on other images of this set", MEASURED: "on images that are measured here"}
    return "; ".join(f"{MARKS[word].strip()} {meaning}" for word, meaning in means.items() if word in marks)


def write(
    out: Path,
    table: Table,
    rows: Sequence[str],
    columns: Sequence[str],
    split: str,
    headlines: Collection[str],
    fitted: Fitted = NOWHERE,
) -> None:
    """All metrics as text; as a picture those of `headlines` and those that every set has."""
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "transfer.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["metric", "adapter", "data", "value", "fitted_on"])
        for key, values in table.items():
            writer.writerows(
                [key, row, column, values[row].get(column), fitted.get(row, {}).get(column, "")]
                for row in rows
                for column in columns
                if row in values
            )
    with atomic_path(out / "transfer.md") as path:
        path.write_text(
            f"# Transfer, {split} split\n\n"
            + (f"{legend(fitted)}\n\n" if legend(fitted) else "")
            + "\n".join(markdown(key, cells(values, rows, columns, fitted)) for key, values in table.items()),
            encoding="utf-8",
        )
    with atomic_path(out / "transfer.png") as path:
        marks = {row: {column: MARKS[word] for column, word in inner.items()} for row, inner in fitted.items()}
        heat_maps(path, pictured(table, len(rows) * len(columns), headlines), rows, columns, marks, legend(fitted))
    write_json(out / "transfer.json", as_json(table, split, fitted))  # last: its presence says the rest is there


def markdown(key: str, rows: list[list[str]]) -> str:
    """A metric's table under its heading; the first of `rows` is the table's head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"## {key}", "", lines[0], "|---|" + "---|" * (len(rows[0]) - 1), *lines[1:], ""])


def as_json(table: Table, split: str, fitted: Fitted = NOWHERE) -> dict[str, Any]:
    """fitted_on: adapter -> data set -> `set`, `measured` or "", as `fitted_on` has it."""
    return {"split": split, "metrics": table, "fitted_on": fitted}
