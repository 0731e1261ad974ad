"""The table of `transfer`: intervals, paired differences, and what is said of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from domains.entities import EntityMap
from domains.metrics import MetricSet
from recipes.verbs.transfer_table import (
    MEASURED,
    OWN,
    Measurements,
    Report,
    Table,
    cells,
    legend,
    pictured,
    printed,
    write,
)

TABLE: Table = {
    "pq": {"base": {"a": 0.1, "b": 0.2}, "one": {"a": 0.3, "b": 0.0}},
    "aji": {"base": {"a": 0.1}, "one": {"a": 0.3}},
    "dice": {"base": {"a": 0.1, "b": None}, "one": {"a": 0.3, "b": 0.4}},
}


def test_a_picture_has_what_every_set_has_and_what_a_domain_shows_first() -> None:
    assert pictured(TABLE, 4, {"aji"}).keys() == {"pq", "aji"}
    assert pictured(TABLE, 4, ()).keys() == {"pq"}


def test_where_sets_share_nothing_all_is_pictured() -> None:
    assert pictured({"aji": TABLE["aji"]}, 4, ()).keys() == {"aji"}


def test_cells_that_were_fitted_on_are_marked_and_the_marks_explained() -> None:
    fitted = {"one": {"a": OWN, "b": MEASURED}}
    table = cells(TABLE["pq"], ["base", "one"], ["a", "b"], fitted)
    assert table[1:] == [["base", "0.100", "0.200"], ["one", "0.300*", "0.000!"]]
    assert legend(fitted) == "* the adapter was fitted on other images of this set; ! on images that are measured here"
    assert legend({"one": {"a": ""}}) == ""


def seen(hits: str, groups: int = 6) -> MetricSet:
    """One entity per image, found where there is an x."""
    ids = np.zeros((8, 8), np.int32)
    ids[2:6, 2:6] = 1
    metrics = MetricSet(["pq", "f1", "image_auroc"])
    for i, hit in enumerate(hits):
        metrics.update(EntityMap(ids if hit == "x" else np.zeros_like(ids)), [EntityMap(ids)], f"group-{i % groups}")
    return metrics


def report() -> Report:
    measured = Measurements(
        "test",
        ["base", "mine", "hers"],
        ["a", "b", "single"],
        dict.fromkeys("ab", "pq") | {"single": "f1"},
        {"mine": {"a": "", "b": "", "single": ""}, "hers": {"a": OWN, "b": "", "single": ""}},
        {
            ("base", "a"): seen("......"), ("mine", "a"): seen("xxxxx."), ("hers", "a"): seen("xxxxxx"),
            ("base", "b"): seen("x.x.x."), ("mine", "b"): seen(".x.x.x"), ("hers", "b"): seen("......"),
            ("base", "single"): seen("x.", 1), ("mine", "single"): seen("xx", 1), ("hers", "single"): seen("..", 1),
        },
    )  # fmt: skip
    return Report.of(measured)


def test_every_cell_has_its_interval_and_its_paired_differences(tmp_path: Path) -> None:
    write(tmp_path, report())
    content = json.loads((tmp_path / "transfer.json").read_text())
    assert content["metrics"]["f1"]["mine"] == {"a": 10 / 11, "b": 2 / 3, "single": 1.0}
    assert "image_auroc" not in content["metrics"]  # no image without an entity
    low, high = content["intervals_95"]["pq"]["mine"]["a"]
    assert 0.5 < low < 10 / 11 < high == 1.0 and content["intervals_95"]["pq"]["mine"]["single"] == [None, None]
    verdicts = {
        name: {row: {column: cell["verdict"] for column, cell in of_row.items()} for row, of_row in rows.items()}
        for name, rows in ((name, content[f"against_{name}"]["pq"]) for name in ("base", "specialist"))
    }
    assert verdicts["base"] == {
        "mine": {"a": "better", "b": "undecided", "single": ""},
        "hers": {"a": "better", "b": "worse", "single": ""},
    }
    assert content["specialists"] == {"a": "hers", "b": None, "single": None}
    assert verdicts["specialist"] == {"base": {"a": "worse"}, "mine": {"a": "undecided"}}
    assert content["sets"]["single"] == {"images": 2, "groups": 1, "headline": "f1"}


def test_differences_are_paired_so_that_what_two_share_cancels() -> None:
    """Half of the groups are hard for both: each interval is wide, that of the difference is not."""
    measured = Measurements("test", ["base", "mine"], ["a"], {"a": "f1"}, {}, {})
    measured.sets = {("base", "a"): seen("xx.." * 6, 24), ("mine", "a"): seen("xx.." * 5 + "xx.x", 24)}
    table = Report.of(measured)
    change, (low, high) = table.change("base", "f1", "mine", "a"), table.intervals["f1"]["base"]["a"]
    assert change is not None and change.high - change.low < (high - low) / 2


def test_the_old_columns_come_before_the_new_ones(tmp_path: Path) -> None:
    write(tmp_path, report())
    with (tmp_path / "transfer.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["metric", "adapter", "data", "value", "fitted_on"]
    row = next(row for row in rows if (row["metric"], row["adapter"], row["data"]) == ("pq", "mine", "a"))
    assert (
        row["base_verdict"] == "better" and row["specialist_verdict"] == "undecided" and row["specialist_is"] == "hers"
    )
    assert float(row["low"]) < float(row["value"]) < float(row["high"]) == 1.0
    assert row["base_change"] == row["value"] and float(row["base_low"]) > 0
    row = next(row for row in rows if (row["metric"], row["adapter"], row["data"]) == ("pq", "base", "single"))
    assert (row["low"], row["base_change"], row["specialist_is"]) == ("", "", "")


def test_it_is_said_plainly_what_differs_beyond_chance(tmp_path: Path) -> None:
    lines = [*printed(report(), tmp_path)]
    assert "mine against the base, pq: better on a; not told apart on b; cannot be told on single" in lines
    assert "hers against the base, pq: better on a; worse on b; cannot be told on single" in lines
    assert "mine against the adapter that was fitted on the set, pq: not told apart on a" in lines
    write(tmp_path, report())
    text = (tmp_path / "transfer.md").read_text()
    assert all(f"- {line}\n" in text for line in lines if " against " in line)
    assert "| mine | a | 0.909 [" in text and "| hers | b | 0.000 [0.000, 0.000] | -0.667 [" in text
