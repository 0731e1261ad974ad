"""`evaluate --granularity`: one cut, or every cut of one pass of the network, with the curve over them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from adapters.network import EntitySegmenter
from cli import main
from domains.entities.forest import EntityForest, Nodes
from domains.metrics import build_metrics
from domains.metrics.sweep import Sweep
from recipes.report.page import Page, page_html
from recipes.verbs.granularity_curve import GranularityCurve, written


@pytest.fixture
def words(run: Path, data: Path) -> list[str]:
    return ["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--split", "test"]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_all_cuts_of_one_pass_are_measured_and_drawn(words: list[str], tmp_path: Path, capsys, monkeypatch) -> None:
    passes: list[int] = []
    predicted = EntitySegmenter.predicted
    monkeypatch.setattr(
        EntitySegmenter, "predicted", lambda self, images, *views: passes.append(1) or predicted(self, images, *views)
    )
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--json", "flat.json"]) == 0
    flat, flat_passes = json.loads(Path("flat.json").read_text()), len(passes)
    capsys.readouterr()
    assert main([*words, "--json", "all.json", "--granularity", "all", "--report", "all.html"]) == 0
    printed = capsys.readouterr().out
    assert len(passes) - flat_passes <= flat_passes + 3  # the pictures of a report are predicted again
    result = json.loads(Path("all.json").read_text())
    assert result["metrics"] == flat["metrics"] and result["granularity"] == "all"
    rows = rows_of(Path("runs/evaluate-pathology-1/granularity.csv"))
    cuts = [float(row["granularity"]) for row in rows]
    assert cuts == pytest.approx([tenths / 10 for tenths in range(1, 11)])
    own = rows[cuts.index(pytest.approx(result["nested"]["own_granularity"]))]
    for key, value in flat["metrics"].items():
        assert own[key] == ("" if value is None else f"{value:.6g}"), key
    assert Path("runs/evaluate-pathology-1/granularity.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    ods = max(float(row["covering"]) for row in rows)
    assert f"ODS: covering {ods:.3f}" in printed and "\nOIS: covering " in printed and "(the adapter's)" in printed
    assert result["nested"]["forest"]["covering_ods"] == pytest.approx(ods, abs=1e-5)
    assert "<h2>Granularity</h2>" in Path("all.html").read_text(encoding="utf-8")
    assert main([*words, "--granularity", "1", "--json", "fine.json"]) == 0
    fine = json.loads(Path("fine.json").read_text())["metrics"]
    assert {key: rows[-1][key] for key in fine} == {
        key: "" if value is None else f"{value:.6g}" for key, value in fine.items()
    }
    assert capsys.readouterr().out.rstrip().endswith("--granularity 1.0")


def test_a_curve_that_is_there_is_replaced_only_when_asked(words: list[str], tmp_path: Path, capsys) -> None:
    out = tmp_path / "curve"
    words = [*words, "--granularity", "all", "--out", str(out)]
    out.mkdir()
    (out / "granularity.png").write_text("mine")
    assert (
        main(words) == 2 and "holds granularity.png; name another --out, or add --overwrite" in capsys.readouterr().err
    )
    assert (out / "granularity.png").read_text() == "mine"
    assert main([*words, "--overwrite"]) == 0 and (out / "granularity.png").stat().st_size > 1000
    (tmp_path / "file").write_text("")
    assert (
        main([*words[:-1], str(tmp_path / "file")]) == 2 and "which is a file; name a folder" in capsys.readouterr().err
    )


def test_a_granularity_that_is_none_is_refused_before_anything_is_read(
    words: list[str], tmp_path: Path, capsys
) -> None:
    for word in ("1.2", "-0.1", "nan", "every"):
        assert main([*words, "--granularity", word]) == 2
        line = f"error: --granularity is {word!r}; wanted 0, the wholes, to 1, the finest parts, or all\n"
        assert capsys.readouterr().err == line
    assert main([*words, "--granularity", "0.5", "--out", str(tmp_path)]) == 2
    assert "--out and --overwrite are for the curve of --granularity all" in capsys.readouterr().err


def test_the_headline_has_a_curve_beside_covering() -> None:
    columns = np.array([[0.3, 1, 1], [-1, -1, -1], [0.9, 0.6, 0.6]], np.float32)
    forest = EntityForest(np.array([[2, 2, 3, 3]], np.int32), Nodes(np.array([0, 1, 1], np.int32), *columns))
    sweep = Sweep(lambda: build_metrics(["pq"]), (0.3, 1.0))
    sweep.update(forest.cut(1), [forest.cut(0.3)], "a", forest=forest)
    curve = GranularityCurve(sweep, "pq", 1.0)
    assert curve.shown == ["covering", "pq"] and curve.better() == 0.3
    assert curve.sweep.curve("pq")[0] == (0.3, 1.0)
    section = curve.section()
    assert [series.label for series in section.charts[0].series] == ["covering", "pq"]
    assert "0.3" in page_html(Page("Evaluate", "x", [], None, [section]))
    assert len(curve.table_rows()) == 3 and len({len(row) for row in curve.table_rows()}) == 1


def test_an_undefined_number_of_a_csv_is_empty() -> None:
    assert written(float("nan")) == "" and written(0.25) == "0.25"
