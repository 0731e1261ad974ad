"""Adapters kept by name and version."""

from __future__ import annotations

import pytest

from adapters.sharing.door import read_info
from adapters.sharing.opening import opened
from adapters.sharing.shelf import keep, shelf, shelved
from domains.errors import InputError


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("ENTITY_ADAPTERS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_versions_count_up_and_the_newest_goes_by_the_name_alone(adapter_folder):
    assert [keep(adapter_folder, "nuclei") for _ in range(3)] == ["nuclei@1", "nuclei@2", "nuclei@3"]
    assert shelf() == {"nuclei": [1, 2, 3]}
    assert shelved("nuclei").name == "3" and shelved("nuclei@2").name == "2"
    with opened("nuclei@1") as folder:
        assert read_info(folder) == read_info(adapter_folder)


def test_a_version_that_is_not_kept_and_a_name_that_is_not_are_told(adapter_folder):
    keep(adapter_folder, "nuclei")
    with pytest.raises(InputError, match="nuclei is kept in version 1 in "):
        shelved("nuclei@7")
    message = r"adapter 'nuclie' does not exist; .*known: nuclei .did you mean 'nuclei'"
    with pytest.raises(InputError, match=message), opened("nuclie"):
        pass
    assert shelved("runs/mine") is None


@pytest.mark.parametrize("name", ["../up", "a/b", "", "a@1", "a.b", "x" * 80])
def test_a_name_that_could_leave_the_shelf_is_refused(name, adapter_folder, home):
    with pytest.raises(InputError, match="an adapter cannot be kept as"):
        keep(adapter_folder, name)
    assert not home.exists() or not list(home.iterdir())


def test_what_is_no_adapter_is_not_kept(tmp_path, home):
    with pytest.raises(InputError, match="is no adapter"):
        keep(tmp_path, "nothing")
    assert shelf() == {}


def test_a_folder_of_the_same_name_comes_first(adapter_folder, tmp_path, monkeypatch):
    keep(adapter_folder, "nuclei")
    (tmp_path / "nuclei").mkdir()
    monkeypatch.chdir(tmp_path)
    with opened("nuclei") as folder:
        assert str(folder) == "nuclei"
