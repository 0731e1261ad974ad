"""The line that says what to do next keeps what was said, and can be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cli import main
from recipes.inputs import Asked
from recipes.reading.command import command, program_name, verify_line
from recipes.verbs.evaluate import predict_line


def words(line: str) -> list[str]:
    start, _, rest = line.partition("next: ")
    assert not start
    return shlex.split(rest)[2:]


def test_recipes_check_keeps_the_overrides(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = tmp_path / "my recipe.yaml"
    recipe.write_text("extends: pathology\n", encoding="utf-8")
    overrides = ["train.steps=3", "domain.data=/data/my cells", "domain.fractions=[0.5, 0.2, 0.3]"]
    assert main(["recipes", "check", str(recipe), *overrides]) == 0
    assert words(capsys.readouterr().out.splitlines()[-1]) == ["fit", "--recipe", str(recipe), *overrides]


def test_domains_check_keeps_groups_and_what_the_labels_are(data: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "my cells"
    folder.symlink_to(data)
    table = tmp_path / "my groups.csv"
    table.write_text("file,group\n" + "".join(f"images/{i}.png,g{i}\n" for i in range(6)), encoding="utf-8")
    said = ["--groups", str(table), "--labels", "ids", "--void", "none", "--strict"]
    assert main(["domains", "check", str(folder), *said]) == 0
    line, _, choice = capsys.readouterr().out.splitlines()[-1].partition("   (RECIPE: ")
    options = ["--data", str(folder), "--strict", f"domain.groups={table}", "domain.labels=ids", "domain.void=none"]
    assert words(line) == ["fit", "--recipe", "RECIPE", *options] and "pathology, industrial" in choice
    assert main(["domains", "check", str(folder), "--domain", "industrial"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert words(line) == ["fit", "--recipe", "industrial", "--data", str(folder)]


def test_evaluate_keeps_the_recipe_the_base_and_the_views() -> None:
    line = predict_line(
        "my runs/a", "pathology", ["backbone.name=my bases/dino", "train.steps=3"], Asked(4, 192, (1.0, 0.7)), 2.5e-7
    )
    said = ["--recipe", "pathology", "--symmetries", "4", "--test-scales", "1,0.7", "--window", "192"]
    place = ["--pixel-size", "2.5e-07m", "--backbone", "my bases/dino"]
    assert words(line) == ["predict", "--adapter", "my runs/a", "IMAGE", "--out", "predictions", *said, *place]
    assert words(predict_line("a", None, (), Asked())) == ["predict", "--adapter", "a", "IMAGE", "--out", "predictions"]


def test_packing_and_unpacking_give_lines_with_quoted_names(run: Path, tmp_path: Path, capsys) -> None:
    packed, folder = tmp_path / "my adapter.zip", tmp_path / "my adapter"
    assert main(["adapters", "pack", str(run / "adapter"), str(packed)]) == 0
    assert words(capsys.readouterr().out.splitlines()[-1]) == ["adapters", "unpack", str(packed), "FOLDER"]
    assert main(["adapters", "unpack", str(packed), str(folder)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]  # its base lay in a folder, which a packed adapter does not name
    assert line == verify_line(folder)
    assert words(line) == ["adapters", "verify", str(folder), "--backbone", "BASE"]


def test_a_command_names_the_program_as_it_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("fit", "--out", "a b") == "python cli.py fit --out 'a b'"
    monkeypatch.setattr("sys.argv", ["/opt/entity adapters/cli.py"])
    assert command("recipes", "list") == "python '/opt/entity adapters/cli.py' recipes list"
    monkeypatch.setattr("sys.argv", ["/opt/bin/entity-adapters", "fit"])
    assert command("recipes", "list") == "entity-adapters recipes list" and program_name() == "entity-adapters"
    monkeypatch.setattr("sys.argv", ["-c"])
    assert program_name() == "cli.py"
