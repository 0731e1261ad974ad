"""`fit` with a student, and `--fast` by it: the same numbers, no base, and one line where there is no student."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from adapters.sharing.door import read_info
from cli import main


@pytest.fixture(scope="module")
def taught(data: Path, options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a student."""
    out = tmp_path_factory.mktemp("taught") / "run"
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), *options]
    assert main([*words, "train.student=true", "train.student_seconds=1", f"train.unlabelled={data / 'images'}"]) == 0
    return out


def test_evaluate_repeats_what_fit_measured_of_the_student(taught: Path, data: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "numbers.json"
    words = ["evaluate", "--adapter", str(taught / "adapter"), "--data", str(data), "--json", str(file)]
    assert main([*words, "--fast"]) == 0
    report, result = json.loads((taught / "metrics.json").read_text()), json.loads(file.read_text())
    assert set(report["metrics"]) == {"before", "after", "student"} and result["fast"] is True
    assert result["metrics"] == pytest.approx(report["metrics"]["student"], nan_ok=True)
    assert capsys.readouterr().out.splitlines()[-1].endswith(" --fast")
    assert main(words) == 0
    assert json.loads(file.read_text())["metrics"] == pytest.approx(report["metrics"]["after"], nan_ok=True)


def test_a_student_predicts_where_the_base_is_not(taught: Path, data: Path, tmp_path: Path, capsys) -> None:
    packed, image = tmp_path / "adapter.zip", str(data / "images" / "0.png")
    assert main(["adapters", "pack", str(taught / "adapter"), str(packed)]) == 0
    words = ["predict", "--adapter", str(packed), image, "--out", str(tmp_path / "out")]
    assert main(words) == 2 and "lay on its maker's machine" in capsys.readouterr().err
    assert main([*words, "--fast"]) == 0 and (tmp_path / "out" / "0.labels.tif").exists()


@pytest.mark.slow
def test_an_exported_student_predicts_what_it_does_in_torch(taught: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    adapter, graph, image = str(taught / "adapter"), str(tmp_path / "student.onnx"), str(data / "images" / "0.png")
    assert main(["adapters", "export", adapter, "--format", "onnx", "--fast", "--out", graph]) == 0
    words = ["predict", image, "--format", "labels", "--out"]
    torch = [*words, str(tmp_path / "torch"), "--adapter", adapter, "--fast", "--precision", "fp32"]
    assert main(torch) == 0 and main([*words, str(tmp_path / "onnx"), "--adapter", graph]) == 0
    ids = [tifffile.imread(tmp_path / folder / "0.labels.tif") for folder in ("torch", "onnx")]
    assert ids[0].max() > 0 and np.array_equal(ids[0], ids[1])


def test_what_predicts_by_a_student_loads_nothing_that_trains_or_brings_a_base() -> None:
    """Which is most of a start: 7.5 CPU-seconds of imports, 2.8 without."""
    heavy = ("transformers", "peft", "lightning", "albumentations", "torch._dynamo")
    modules = "recipes.verbs.predict, recipes.runtime, recipes.api, adapters.student, adapters.sharing.student_file"
    script = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=300)
    assert done.stdout == "[]\n"


def test_fit_says_what_the_student_costs_and_gains(data: Path, options: list[str], tmp_path: Path, capsys) -> None:
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(tmp_path / "run"), *options]
    assert main([*words, "train.steps=1", "train.student=true", "train.student_seconds=1"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("student: aji "))
    assert "times as fast (" in line and "nan" not in line and line.endswith("predict --fast takes it")
    assert main(["adapters", "verify", str(tmp_path / "run" / "adapter")]) == 0
    assert capsys.readouterr().out.endswith("the output it was saved with, as its student does\n")


def test_ctrl_c_leaves_the_adapter_and_resume_comes_to_its_student(
    data: Path, options: list[str], tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(run), *options, "train.student=true"]
    words += ["train.steps=1", "train.student_seconds=0.5"]
    with monkeypatch.context() as patch:
        patch.setattr("recipes.verbs.fit_student.fit_student", stopped)
        assert main(words) == 130
    told = capsys.readouterr().out
    assert "what was learnt is in" in told and "--resume" in told
    assert read_info(run / "adapter").student is None
    assert main([*words, "--resume"]) == 0 and read_info(run / "adapter").student is not None


def test_fast_without_a_student_is_refused_in_a_line(run: Path, data: Path, tmp_path: Path, capsys) -> None:
    image, out, adapter = str(data / "images" / "0.png"), str(tmp_path / "out"), str(run / "adapter")
    for words in (
        ["predict", "--adapter", adapter, image, "--out", out, "--fast"],
        ["evaluate", "--adapter", adapter, "--data", str(data), "--fast"],
    ):
        assert main(words) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and "has no student, which --fast predicts by" in told
        assert "train.student=true" in told and f"train.start={adapter}" in told
    assert main(["predict", "--adapter", "base", "--recipe", "pathology", image, "--out", out, "--fast"]) == 2
    assert "--fast wants an adapter with a student; 'base' has none" in capsys.readouterr().err


def test_images_without_labels_that_are_not_there_are_told_before_the_fit(
    data: Path, options: list[str], tmp_path: Path, capsys
) -> None:
    out = tmp_path / "run"
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), *options, "train.student=true"]
    assert main([*words, f"train.unlabelled={tmp_path / 'absent'}"]) == 2
    assert "train.unlabelled: " in capsys.readouterr().err and not out.exists()


def test_a_student_wants_fields(data: Path, tmp_path: Path, capsys) -> None:
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(tmp_path / "run")]
    assert main([*words, "decoder={name: query}", "domain.window_px=null", "train.student=true"]) == 2
    assert "train.student wants decoder.name=dense" in capsys.readouterr().err


def test_the_places_of_images_without_labels_stay_at_home(taught: Path, data: Path, tmp_path: Path) -> None:
    packed, folder = tmp_path / "adapter.zip", tmp_path / "again"
    shutil.copytree(taught / "adapter", tmp_path / "copy")
    assert main(["adapters", "pack", str(tmp_path / "copy"), str(packed)]) == 0
    assert main(["adapters", "unpack", str(packed), str(folder)]) == 0
    assert str(data) in (taught / "adapter" / "recipe.yaml").read_text()
    assert str(data) not in (folder / "recipe.yaml").read_text()
