"""What the reports say, from numbers that are made up."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from adapters.training.fitting import Training
from recipes.reading.compose import load_recipe
from recipes.report.page import page_html
from recipes.verbs.digests import is_place, recipe_text
from recipes.verbs.pages import data_name, loss_section, transfer_page, upper

TABLE = {
    "pq": {"base": {"a": 0.1, "b": 0.2}, "mine": {"a": 0.4, "b": None}},
    "aji": {"base": {"a": 0.3, "b": 0.1}, "mine": {"a": 0.5, "b": 0.0}},
}


def test_transfer_is_a_heat_map_of_the_headline_and_a_folded_one_of_each_other_metric():
    spans = {"pq": {"mine": {"a": (0.35, 0.45)}}}
    marks = {"mine": {"a": "*"}}
    page = transfer_page(TABLE, ["base", "mine"], ["a", "b"], "pq", note="* its own", marks=marks, intervals=spans)
    first, others, digests = page.sections
    assert page.title == "1 adapter and the base on 2 sets" and digests.is_empty
    (heat,) = first.tables
    cell = heat.rows[1][1]
    assert (cell.text, cell.note, cell.mark, cell.shade) == ("0.400", "0.350 to 0.450", "*", 20)
    assert heat.note == "* its own" and heat.rows[1][2].text == ""
    assert [(table.title, table.folded) for table in others.tables] == [("aji", True)]
    assert "1 adapter and the base on 2 sets" in page_html(page)


def test_losses_are_read_from_the_history_and_a_fit_of_no_steps_has_none(tmp_path: Path):
    history = tmp_path / "history.csv"
    with history.open("w", newline="") as file:
        csv.writer(file).writerows([["step", "loss", "val/loss"], [1, 0.9, ""], [2, 0.7, ""], [2, "", 0.5]])
    training, validation = loss_section(history, Training(val_loss=0.5)).charts[0].series
    assert training.points == [(1.0, 0.9), (2.0, 0.7)] and validation.points == [(2.0, 0.5)]
    assert "0.5000, are kept" in loss_section(history, Training(val_loss=0.5)).note
    assert loss_section(tmp_path / "none.csv", Training()).is_empty


def test_a_recipe_is_shown_without_the_places_of_its_machine():
    places = [
        "domain.data=/home/someone/cells",
        "domain.groups=/home/someone/g.csv",
        "backbone.name=/home/someone/base",
    ]
    recipe = load_recipe("pathology", places)
    text = recipe_text(recipe).content
    assert "someone" not in text and "train:" in text and data_name(recipe) == "cells"
    assert "entity-small" in recipe_text(load_recipe("pathology")).content
    assert data_name(load_recipe("pathology")) == "pathology sample"


@pytest.mark.parametrize(
    "name, place",
    [
        ("entity-small", False),
        ("facebook/dinov2-small", False),
        ("./base", True),
        ("/base", True),
        ("a/b/c", True),
        ("x", True),
    ],
)
def test_a_base_that_is_neither_embedded_nor_on_the_hub_is_a_place(name, place):
    assert is_place(name) is place


def test_lines_become_sentences():
    assert upper(["against the base: better", ""]) == ["Against the base: better."]
