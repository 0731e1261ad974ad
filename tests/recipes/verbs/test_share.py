"""`cli.py adapters diff, card, migrate, keep, shelf, push, pull`: what they print, and what they refuse in a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save

from adapters.sharing.door import read_info
from adapters.sharing.info import CARD, INFO
from cli import main
from tests.adapters.sharing.conftest import write_adapter
from tests.adapters.sharing.hub_server import TOKEN, serving


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ENTITY_ADAPTERS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter", save({"weight": np.ones(4, np.float32)}))


def printed(capsys: pytest.CaptureFixture, *words: object) -> str:
    assert main(["adapters", *map(str, words)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture, *words: object) -> str:
    assert main(["adapters", *map(str, words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_diff_says_options_metrics_and_how_far_weights_are_apart(adapter: Path, tmp_path: Path, capsys) -> None:
    changes = {"data": "cells", "metrics": {"after": {"f1": 0.75}}}
    write_adapter(tmp_path / "before", (adapter / "entity_decoder.safetensors").read_bytes(),
                  metrics={"after": {"f1": 0.5}})  # fmt: skip
    write_adapter(tmp_path / "after", save({"weight": np.full(4, 1.5, np.float32)}), **changes)
    assert printed(capsys, "diff", adapter, adapter) == f"{adapter} and {adapter} are alike\n"
    lines = printed(capsys, "diff", tmp_path / "before", tmp_path / "after").splitlines()
    assert lines[:2] == ["data: images -> cells", "after f1: 0.500 -> 0.750 (+0.250)"]
    assert lines[2:] == [f"{name}.safetensors: 1 tensors 0.500 of their norm apart"
                         for name in ("adapter_model", "entity_decoder")]  # fmt: skip
    damaged = write_adapter(tmp_path / "damaged")
    assert "cannot be compared" in refused(capsys, "diff", adapter, damaged)


def test_a_card_is_written_anew_from_what_an_adapter_says(adapter: Path, capsys) -> None:
    text = printed(capsys, "card", adapter)
    assert yaml.safe_load(text.split("---")[1])["library_name"] and text != (adapter / CARD).read_text()
    assert "does not exist" in refused(capsys, "card", adapter / "nowhere")


def test_migrate_seals_an_adapter_anew_and_never_over_another(adapter: Path, tmp_path: Path, capsys) -> None:
    values = json.loads((adapter / INFO).read_text())
    values = {name: value for name, value in values.items() if name != "digest"}
    (adapter / INFO).write_text(json.dumps({**values, "schema_version": 1}))
    assert read_info(adapter).digest is None
    folder = tmp_path / "migrated"
    assert printed(capsys, "migrate", adapter, folder).splitlines()[0] == str(folder)
    assert read_info(folder).digest is not None and "# A card" not in (folder / CARD).read_text()
    assert (folder / "entity_decoder.safetensors").read_bytes() == (adapter / "entity_decoder.safetensors").read_bytes()
    assert "exists; name another folder" in refused(capsys, "migrate", adapter, folder)


def test_what_is_kept_is_on_the_shelf_and_goes_by_its_name(adapter: Path, home: Path, capsys) -> None:
    assert printed(capsys, "shelf").startswith(f"nothing is kept in {str(home)!r}; adapters keep ")
    assert printed(capsys, "keep", adapter, "cells").splitlines()[0] == "cells@1"
    assert printed(capsys, "shelf") == "cells@1  natural, decoder_only on entity-small, fitted on images\n"
    assert printed(capsys, "keep", adapter, "cells").splitlines()[-1].endswith("adapters show cells@2")
    assert printed(capsys, "shelf").endswith("fitted on images; versions 1 to 2\n")
    assert printed(capsys, "card", "cells@1") == printed(capsys, "card", adapter)
    assert "wanted letters, digits" in refused(capsys, "keep", adapter, "../cells")


def test_what_is_pushed_is_pulled_by_the_id_that_was_printed(
    adapter: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert "is no id on the Hub; wanted OWNER/NAME@REVISION" in refused(capsys, "pull", "lab/nuclei")
    assert "HF_HUB_OFFLINE is set; unset it to push" in refused(capsys, "push", adapter, "lab/nuclei")
    assert "'lab' is no name of a repository" in refused(capsys, "push", adapter, "lab")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        pinned, following = printed(capsys, "push", adapter, "lab/nuclei").splitlines()
        assert following.endswith(f"adapters pull {pinned}")
        assert "holds an adapter" in refused(capsys, "push", adapter, "lab/nuclei")
        folder = Path(printed(capsys, "pull", pinned).splitlines()[0])
    assert folder.is_relative_to(home) and read_info(folder).fingerprint == read_info(adapter).fingerprint


def test_a_member_is_written_of_an_adapter_of_several_alone_and_never_over_another(adapter: Path, tmp_path, capsys):
    words = ("member", adapter, "--domain", "natural")
    assert "is of one domain, natural" in refused(capsys, *words, tmp_path / "alone")
    (tmp_path / "there").mkdir()
    assert "exists; name another folder" in refused(capsys, *words, tmp_path / "there")
