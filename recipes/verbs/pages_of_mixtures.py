"""What the report of a fit of several domains says: a table of all members, and one of each with every metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from adapters.training.mixture import FittedMixture
from recipes.reading.schema import Recipe
from recipes.report.page import Page, Section
from recipes.report.tables import Table, number, text
from recipes.verbs.digests import digest_tables, recipe_text
from recipes.verbs.pages import GROUPED, change_table, loss_section, upper
from recipes.verbs.verdict import changes


def mixture_page(
    recipe: Recipe,
    fitted: FittedMixture,
    headlines: Mapping[str, str],
    shares: Mapping[str, float],
    adapter: Path,
    sentences: Sequence[str],
    facts: Mapping[str, str],
) -> Page:
    """What a fit of several domains came to. headlines, shares: by member, the metric that is shown first, and of the
    training crops; sentences: the verdict; facts: what was fitted, by name.
    """
    tables = [
        replace(change_table(fit.before, fit.after, headlines[name]), title=name)
        for name, fit in fitted.members.items()
        if fit.before is not None and fit.after is not None
    ]
    note = " ".join(upper(sentences))
    return Page(
        "Fit",
        ", ".join(fitted.members),
        list(facts.items()),
        None,
        [
            Section("Domains", note, tables=[members_table(fitted, headlines, shares)]),
            Section("Metrics", f"On the test images of each domain, before and after. {GROUPED}", tables=tables),
            loss_section(adapter.parent / "history.csv", fitted.training),
            Section("Configuration and digests", tables=digest_tables(adapter), texts=[recipe_text(recipe)]),
        ],
    )


def members_table(fitted: FittedMixture, headlines: Mapping[str, str], shares: Mapping[str, float]) -> Table:
    """A row per member: its share of the crops, and the metric that its domain shows first, before and after."""
    rows = []
    for name, fit in fitted.members.items():
        assert fit.before is not None and fit.after is not None
        key = headlines[name]
        change = changes(fit.before, fit.after)[key]
        rows.append(
            [
                text(name),
                number(shares[name], ".2f"),
                text(key),
                number(fit.before.compute()[key], interval=fit.before.interval()[key]),
                number(fit.after.compute()[key], interval=fit.after.interval()[key]),
                number(change.value, "+.3f", (change.low, change.high)),
                number(len(fit.after), ".0f"),
            ]
        )
    return Table(["domain", "share of crops", "metric", "before", "after", "change", "test images"], rows)
