"""Wrong input to any verb is one line, before a folder is made."""

from __future__ import annotations

import pytest

from cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--adapter", "base"], "wants a --recipe"),
        (["evaluate", "--adapter", "nowhere"], "'nowhere' does not exist"),
        (["evaluate", "--adapter", "base", "--recipe", "pathology", "--data", "nowhere"], "nowhere"),
        (["predict", "--adapter", "base", "--recipe", "pathology", "nowhere.png", "--out", "out"], "does not exist"),
        (["fit", "--recipe", "pathology", "--data", "nowhere", "--out", "out"], "nowhere"),
        (["fit", "--recipe", "natural", "--out", "out", "method.rank=0"], "method.rank"),
        (["fit", "--recipe", "pathology", "--out", "out", "backbone.name=dino2"], "backbone.name"),
        (["fit", "--recipe", "patology", "--out", "out"], "did you mean 'pathology'"),
        (["fit", "--recipe", "natural", "--out", "out", "train.calibrate_for=aji"], "natural measures ap, ap50"),
        (["transfer", "--adapter", "nowhere", "--data", "pathology=sample", "--out", "out"], "does not exist"),
        (["adapters", "verify", "nowhere"], "does not exist"),
        (["adapters", "show", "nowhere"], "does not exist"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert not (tmp_path / "out").exists()  # so that the corrected line may use the same name
