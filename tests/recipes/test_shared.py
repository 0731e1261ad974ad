"""The recipe inside an adapter: checked against it, and no file that it names is opened."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file

from adapters.decoders import Dense, Query
from adapters.sharing.door import read_info, sealed
from adapters.sharing.info import INFO, RECIPE, parse_info
from cli import main
from domains.errors import InputError
from recipes.shared import check_adapter, member_of, same_folder, set_by_fit


@pytest.fixture
def adapter(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run / "adapter", tmp_path / "adapter"))


def change(folder: Path, section: str, **options: object) -> None:
    """Other words in the recipe, sealed anew."""
    recipe = yaml.safe_load((folder / RECIPE).read_text())
    recipe.setdefault(section, {}).update(options)
    (folder / RECIPE).write_text(yaml.safe_dump(recipe))
    info = parse_info((folder / INFO).read_text(), INFO)
    (folder / INFO).write_text(sealed(folder, info).json_text())


def test_no_file_that_the_recipe_names_is_opened(adapter: Path, data: Path, tmp_path: Path, capsys) -> None:
    """Pipes, whose reading would never end."""
    places = {name: tmp_path / name for name in ("data", "groups.csv", "start.zip", "base.pth")}
    for place in places.values():
        os.mkfifo(place)
    change(adapter, "domain", data=str(places["data"]), groups=str(places["groups.csv"]))
    change(adapter, "train", start=str(places["start.zip"]))
    change(adapter, "backbone", name=str(places["base.pth"]))
    assert main(["evaluate", "--adapter", str(adapter), "--data", str(data), "--split", "all"]) == 0
    assert main(["evaluate", "--adapter", str(adapter), "--split", "all"]) == 2
    assert "does not say where its images lie; name yours by --data DIR" in capsys.readouterr().err
    words = ["transfer", "--adapter", str(adapter), "--data", f"pathology={data}", "--split", "all"]
    assert main([*words, "--out", str(tmp_path / "t")]) == 0
    assert main(["adapters", "verify", str(adapter)]) == 0


@pytest.mark.parametrize(("section", "words", "message"), [
    ("domain", {"tile_px": 128}, "domain.tile_px is 128; the adapter has 64"),
    ("domain", {"name": "natural"}, "domain.name is 'natural'; the adapter has 'pathology'"),
    ("domain", {"tile_px": "64"}, "domain.tile_px is '64'; wanted an integer from 16 to 8192"),
    ("domain", {"fractions": [0.5, 0.5, 0.5]}, "sum to 1.5"),
    ("method", {"name": "lora"}, "is an option of method.name=decoder_only; method.name is 'lora'"),
    ("decoder", {"width": 16}, "decoder.width is 16; the adapter has 8"),
    ("train", {"lr": float("nan")}, "train.lr is nan"),
    ("train", {"stepz": 1}, "train.stepz is no option"),
])  # fmt: skip
def test_a_recipe_at_odds_with_its_adapter_is_refused(adapter: Path, section, words, message: str) -> None:
    with pytest.raises(InputError) as error:
        change(adapter, section, **words)  # a seal over what is no number can't be made either
        check_adapter(str(adapter))
    assert message in str(error.value) or "Out of range float" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_packed_adapter_predicts_where_its_base_is_named(run: Path, base: Path, data: Path, tmp_path, capsys) -> None:
    packed = tmp_path / "adapter.zip"
    assert main(["adapters", "pack", str(run / "adapter"), str(packed)]) == 0
    words = ["predict", "--adapter", str(packed), str(data / "images" / "0.png"), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "lay on its maker's machine as 'tiny': say where yours lies, by --backbone" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*words, "--backbone", str(base)]) == 0 and (tmp_path / "out" / "0.labels.tif").exists()


def test_an_error_of_a_packed_adapter_names_the_file_that_was_given(run: Path, base: Path, tmp_path, capsys) -> None:
    packed = tmp_path / "adapter.zip"
    main(["adapters", "pack", str(run / "adapter"), str(packed)])
    other = Path(shutil.copytree(base, tmp_path / "other"))
    state = load_file(other / "model.safetensors")
    save_file({name: value + 1 for name, value in state.items()}, other / "model.safetensors", {"format": "pt"})
    assert main(["adapters", "verify", str(packed), "--backbone", str(other)]) == 2
    assert f"error: '{packed}' was made for the base 'tiny'" in capsys.readouterr().err


def test_options_that_fit_may_change_are_those_of_calibration() -> None:
    assert set_by_fit(Dense()) == {*Dense.TUNED, "regions"} and set_by_fit(Query()) == {*Query.TUNED}


def test_a_folder_is_known_again_by_its_name_alone(data: Path, run: Path, tmp_path: Path, monkeypatch) -> None:
    link = tmp_path / "link"
    link.symlink_to(data)
    makers = yaml.safe_load((run / "adapter" / RECIPE).read_text())["domain"]["data"]
    assert makers == str(data.resolve()) and same_folder(str(link), makers) and same_folder(str(data), makers)
    monkeypatch.chdir(data.parent)
    assert same_folder(data.name, makers)
    assert not same_folder("", "") and not same_folder("sample", makers) and same_folder("sample", "sample")


def test_a_folder_base_is_stored_by_its_whole_path(run: Path, base: Path) -> None:
    assert read_info(run / "adapter").backbone.name == str(base)
    assert json.loads((run / "adapter" / INFO).read_text())["schema_version"] == 2


def test_a_mixture_says_which_verbs_choose_among_its_domains() -> None:
    mixture: Any = SimpleNamespace(mixture={"cells": SimpleNamespace(domain="pathology")})
    with pytest.raises(
        InputError, match=r"of several domains: cells \(pathology\); .* to `predict` and `evaluate`, for all"
    ):
        member_of(mixture, None, "runs/mix/adapter")
