"""`evaluate` repeats the numbers of `fit`, on its split and at its pixel size; windows and sizes of a tile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cli import main
from domains.datasets.domain import build_domain


def test_evaluate_repeats_the_numbers_of_fit(run: Path, data: Path, tmp_path, capsys) -> None:
    file = tmp_path / "numbers.json"
    assert main(["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert result["metrics"] == pytest.approx(
        json.loads((run / "metrics.json").read_text())["metrics"]["after"], nan_ok=True
    )
    test = build_domain("pathology", data).dataset("test")
    assert result["split"] == "test" and result["images"] == len(test) > 0
    assert result["entities"] == sum(sample.truth.count for sample in test) > 0
    assert (
        main(
            ["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--split", "all", "--json", str(file)]
        )
        == 0
    )
    assert json.loads(file.read_text())["images"] == 6


def test_a_report_of_an_adapter_and_of_the_base_is_written_where_asked(
    run: Path, data: Path, base: Path, tmp_path, capsys
) -> None:
    adapter, bare = tmp_path / "adapter.html", tmp_path / "base.html"
    words = ["evaluate", "--data", str(data), "--adapter"]
    assert main([*words, str(run / "adapter"), "--report", str(adapter)]) == 0
    assert f"report: {adapter}\n" in capsys.readouterr().out
    page = adapter.read_text(encoding="utf-8")
    assert '<figure class="pair">' in page and "entity_decoder.safetensors" in page and f"<dd>{run.name}</dd>" in page
    hostile = tmp_path / "<i onclick=alert(1)>clinic"
    for kind in ("images", "labels"):
        (hostile / kind).mkdir(parents=True)
        for path in (data / kind).iterdir():
            shutil.copy(path, hostile / kind / f"<script>'{path.name}")
    words[2] = str(hostile)
    small = [f"backbone.name={base}", "backbone.taps=[1,2]", "decoder.width=8", "domain.tile_px=64"]
    assert main([*words, "base", "--recipe", "pathology", "--report", str(bare), *small, "domain.overlap_px=16"]) == 0
    page = bare.read_text(encoding="utf-8")
    assert "&lt;i onclick=alert(1)&gt;clinic" in page and "&lt;script&gt;&#39;" in page
    assert page.count("<script>") == 1 and "<i onclick" not in page
    assert "SHA-256" not in page and "Entities at IoU 0.5: " in page
    assert main([*words, "base", "--recipe", "pathology", "--report", str(tmp_path / "no" / "folder.html")]) == 2
    assert "--report is" in capsys.readouterr().err


def test_predict_and_evaluate_by_windows(run: Path, data: Path, tmp_path, capsys) -> None:
    words = ["--adapter", str(run / "adapter"), "--window"]
    out, file = tmp_path / "out", tmp_path / "numbers.json"
    image = str(data / "images" / "0.png")
    assert main(["predict", *words, "32", image, "--out", str(out)]) == 0 and (out / "0.labels.tif").exists()
    assert main(["evaluate", *words, "32", "--data", str(data), "--json", str(file)]) == 0
    assert json.loads(file.read_text())["images"] >= 1
    assert main(["evaluate", *words, "20", "--data", str(data)]) == 0
    assert "--window 20 -> 24\n" in capsys.readouterr().err
    assert main(["evaluate", *words, "9", "--data", str(data)]) == 2
    assert "window_px is 9; wanted an integer from 16 to 2048 and a multiple of 8" in capsys.readouterr().err


def test_predict_and_evaluate_by_several_sizes_of_a_tile(run: Path, data: Path, tmp_path, capsys) -> None:
    words = ["--adapter", str(run / "adapter"), "--test-scales"]
    out, file = tmp_path / "out", tmp_path / "numbers.json"
    assert main(["predict", *words, "1,0.5", str(data / "images" / "0.png"), "--out", str(out)]) == 0
    assert (out / "0.labels.tif").exists()
    assert main(["evaluate", *words, "1,0.5", "--data", str(data), "--json", str(file)]) == 0
    assert json.loads(file.read_text())["images"] >= 1
    for wrong, message in (
        ("1,half", "--test-scales is '1,half'; wanted numbers with commas between"),
        ("9", "error: input test_scales[0] is 9.0; wanted a number from 0.25 to 4\n"),
        ("1,1,1,1,1", "wanted a list of 1 to 4, each a number"),
    ):
        assert main(["evaluate", *words, wrong, "--data", str(data)]) == 2
        assert message in capsys.readouterr().err


def test_an_adapter_is_measured_on_the_split_that_it_was_fitted_with(data: Path, options, tmp_path, capsys) -> None:
    """A table of groups decides the split; on the same folder it has to be named again, as an adapter names no file."""
    groups = tmp_path / "groups.csv"
    groups.write_text("file,group\n" + "".join(f"{i}.png,{'abc'[i % 3]}\n" for i in range(6)))
    out = tmp_path / "run"
    arguments = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), f"domain.groups={groups}"]
    assert main([*arguments, *options, "train.steps=1"]) == 0
    fitted = json.loads((out / "metrics.json").read_text())["metrics"]["after"]
    file = tmp_path / "numbers.json"
    words = ["evaluate", "--adapter", str(out / "adapter"), "--data", str(data), "--json", str(file)]
    assert main(words) == 2 and "groups by 'groups.csv'" in capsys.readouterr().err
    assert main([*words, f"domain.groups={groups}"]) == 0
    assert json.loads(file.read_text())["groups"] == 1
    assert json.loads(file.read_text())["metrics"] == pytest.approx(fitted, nan_ok=True)
    words = ["transfer", "--adapter", str(out / "adapter"), "--out", str(tmp_path / "t")]
    assert main([*words, "--data", f"pathology={data}"]) == 2
    groups.rename(data / "groups.csv")
    try:
        assert main([*words, "--data", f"pathology={data}"]) == 0
    finally:
        (data / "groups.csv").unlink()
    assert (
        json.loads((tmp_path / "t" / "transfer.json").read_text())["metrics"]["pq"]["run"]["pathology"] == fitted["pq"]
    )


def test_a_pixel_size_that_is_said_is_stored_by_fit_and_asked_of_evaluate(
    data: Path, options, tmp_path, capsys
) -> None:
    out, file = tmp_path / "run", tmp_path / "numbers.json"
    arguments = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), "--pixel-size", "0.5"]
    assert main([*arguments, *options, "train.steps=1"]) == 0
    adapter = out / "adapter"
    assert json.loads((adapter / "entity.json").read_text())["input"]["pixel_size_m"] == 0.5e-6
    fitted = json.loads((out / "metrics.json").read_text())["metrics"]["after"]
    words = ["evaluate", "--adapter", str(adapter), "--data", str(data), "--json", str(file)]
    assert main(words) == 0 and json.loads(file.read_text())["metrics"] == pytest.approx(fitted, nan_ok=True)
    assert main([*words, "--pixel-size", "20"]) == 2  # forty times as large as what it was fitted to
    printed = capsys.readouterr()
    assert "the adapter was trained at 0.5 um" in printed.err and "note:" not in printed.out
    assert main([*words, "domain.pixel_size_m=null"]) == 0
    assert "do not say their pixel size and are taken to have 0.5 um" in capsys.readouterr().out
