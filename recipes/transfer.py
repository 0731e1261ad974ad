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
from adapters.door import name_of, read_info
from adapters.inference import measure
from adapters.sharing import opened
from domains.atomic import atomic_path
from domains.errors import InputError
from domains.metrics import MetricSet
from recipes import set_up
from recipes.build import backbone_of, domain_of
from recipes.check_data import check_data, check_entities, tell_reading
from recipes.compose import changed, load_recipe
from recipes.fit import plain, write_json
from recipes.heatmap import heat_maps
from recipes.load import loaded
from recipes.progress import Progress, reading_shown
from recipes.schema import Recipe
from recipes.shared import BASE, SharedRecipe, on_data, same_folder, shared_recipe
from recipes.tables import text_table

Table = dict[str, dict[str, dict[str, float | None]]]
"""Metric -> adapter -> data set -> value."""


def transfer(adapters: Sequence[str], data: Mapping[str, str], out: Path, split: str = "test") -> Table:
    """Measure every adapter on every data set; writes transfer.csv, .json, .md and .png into `out`.

    data: a label to a folder; the label is a domain's name, or `domain:anything` for several sets of one domain.
    """
    set_up()
    if not data:
        raise InputError("transfer wants at least one --data NAME=DIR, such as --data pathology=DIR")
    if (out / "transfer.json").exists():
        raise InputError(f"{str(out / 'transfer.json')!r} exists; name another --out")
    rows = labels([BASE, *(adapter for adapter in adapters if adapter != BASE)])
    recipes = [adapter_recipe(adapter) for adapter in rows if adapter != BASE]
    chosen = {label: recipe_for(label, folder, recipes) for label, folder in data.items()}
    sets = {label: domain_of(recipe) for label, recipe in chosen.items()}
    with reading_shown():
        samples = {label: domain.dataset(split) for label, domain in sets.items()}  # type: ignore[arg-type]
    for label, domain in sets.items():
        tell_reading(domain, chosen[label].domain)
        check_entities(domain, chosen[label].domain, (split,))
        check_data(domain, chosen[label].domain, (split,))
    table: Table = {}
    bases: dict[str, Backbone] = {}
    with Progress("transfer", len(rows) * sum(len(one) for one in samples.values()), unit="images") as progress:  # type: ignore[arg-type]
        for adapter, row in rows.items():
            for label, domain in sets.items():
                with loaded(
                    adapter, label.partition(":")[0] if adapter == BASE else None, (), base_of(adapter, bases)
                ) as network:
                    metrics = MetricSet(domain.metrics())
                    shown = progress.advance, progress.tick
                    found = measure(network.segmenter, samples[label], metrics, network.contract, *shown)  # type: ignore[arg-type]
                for key, value in plain(found.compute()).items():
                    table.setdefault(key, {}).setdefault(row, {})[label] = value
    table = {key: values for key, values in table.items() if any(known(values))}
    write(out, table, list(rows.values()), list(sets), split, {domain.headline for domain in sets.values()})
    headline = "pq" if "pq" in table else next(iter(table))
    print(f"{headline}, {split} split; rows are adapters, columns data sets")
    print(text_table(cells(table[headline], list(rows.values()), list(sets))))
    print(f"all metrics: {out / 'transfer.md'}   heat maps: {out / 'transfer.png'}")
    return table


def labels(adapters: Sequence[str]) -> dict[str, str]:
    """A short name per adapter for the tables: the folder's, or as much of the path as tells them apart."""
    short = {}
    for adapter in dict.fromkeys(adapters):
        path = Path(adapter)
        name = path.parent.name if path.name == "adapter" and path.parent.name else path.stem
        short[adapter] = name if name not in short.values() else adapter
    return short


def recipe_for(label: str, folder: str, recipes: Sequence[SharedRecipe]) -> Recipe:
    """The domain of a label on its folder, split as the adapter that was fitted on that folder had it."""
    name = label.partition(":")[0]
    for shared in recipes:
        if shared.recipe.domain.name == name and same_folder(folder, shared.data):
            return changed(shared.recipe, shared.on_data(folder))
    recipe = load_recipe(name)
    return changed(recipe, on_data(recipe, folder))


def adapter_recipe(adapter: str) -> SharedRecipe:
    with opened(Path(adapter)) as folder:
        return shared_recipe(folder, read_info(folder))


def base_of(adapter: str, bases: dict[str, Backbone]) -> Backbone:
    """The backbone that an adapter wants, loaded when first asked for."""
    if adapter == BASE:
        parts = load_recipe("base")
    else:
        with opened(Path(adapter)) as folder:
            base = read_info(folder).backbone
            name = name_of(base, folder)
        parts = load_recipe("base", [f"backbone.name={json.dumps(name)}", f"backbone.taps={list(base.taps)}"])
    key = f"{parts.backbone.name} {parts.backbone.taps or ''}"
    if parts.backbone.taps is None or key not in bases:
        fresh = next((one for one in bases.values() if one.name == parts.backbone.name), None) or backbone_of(parts)
        key = f"{fresh.name} {fresh.taps}"
        bases.setdefault(key, fresh)
    return bases[key]


def cells(
    values: Mapping[str, Mapping[str, float | None]], rows: Sequence[str], columns: Sequence[str]
) -> list[list[str]]:
    """Header and rows of text; a metric that a domain does not have is left empty."""

    def cell(row: str, column: str) -> str:
        value = values.get(row, {}).get(column)
        return "" if value is None else f"{value:.3f}"

    return [["adapter", *columns], *([row, *(cell(row, column) for column in columns)] for row in rows)]


def known(values: Mapping[str, Mapping[str, float | None]]) -> list[bool]:
    """Of each cell of a metric, whether it has a value: a set may hold nothing that the metric speaks of."""
    return [value is not None for row in values.values() for value in row.values()]


def pictured(table: Table, cells: int, headlines: Collection[str]) -> Table:
    """The metrics that have a value in each of so many cells, and the headlines; all where there are none."""
    return {key: one for key, one in table.items() if key in headlines or sum(known(one)) == cells} or table


def write(
    out: Path, table: Table, rows: Sequence[str], columns: Sequence[str], split: str, headlines: Collection[str]
) -> None:
    """All metrics as text; as a picture those of `headlines` and those that every set has."""
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "transfer.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["metric", "adapter", "data", "value"])
        for key, values in table.items():
            writer.writerows(
                [key, row, column, values[row].get(column)] for row in rows for column in columns if row in values
            )
    with atomic_path(out / "transfer.md") as path:
        path.write_text(
            f"# Transfer, {split} split\n\n"
            + "\n".join(markdown(key, cells(values, rows, columns)) for key, values in table.items()),
            encoding="utf-8",
        )
    with atomic_path(out / "transfer.png") as path:
        heat_maps(path, pictured(table, len(rows) * len(columns), headlines), rows, columns)
    write_json(out / "transfer.json", as_json(table, split))  # last: its presence says the rest is there


def markdown(key: str, rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"## {key}", "", lines[0], "|---|" + "---|" * (len(rows[0]) - 1), *lines[1:], ""])


def as_json(table: Table, split: str) -> dict[str, Any]:
    return {"split": split, "metrics": table}
