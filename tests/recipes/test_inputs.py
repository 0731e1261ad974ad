"""What is checked of a command before torch is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import main
from domains.errors import InputError
from recipes.inputs import numbers, parse_scheduler


@pytest.mark.parametrize("text, values", [("", []), (" ", []), ("0.7,0.3", [0.7, 0.3]), ("1", [1.0])])
def test_numbers_are_separated_by_commas(text: str, values: list[float]) -> None:
    assert numbers(text, "--quantiles") == values


@pytest.mark.parametrize("text", ["0.7,", "a", "0.7;0.3", "nan", "1,inf"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--quantiles"):
        numbers(text, "--quantiles")


@pytest.mark.parametrize(
    "words, line",
    [
        (["--points", "nowhere.csv"], "--points 'nowhere.csv' does not exist; wanted a CSV or GeoJSON"),
        (["--domain", "cells"], "--domain is of an adapter of several domains; of the base say --recipe"),
    ],
)
def test_what_the_base_cannot_do_is_told(words: list[str], line: str, data: Path, tmp_path: Path, capsys) -> None:
    image = str(data / "images" / "0.png")
    assert main(["predict", "-a", "base", "-r", "natural", image, "--out", str(tmp_path / "out"), *words]) == 2
    assert line in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_scheduler_wants_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.inputs.find_spec", lambda name: None)
    with pytest.raises(InputError, match="--scheduler wants Dask, which is not installed: pip install"):
        parse_scheduler("local:2")
