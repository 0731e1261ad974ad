"""Adapters on a server that speaks like the Hub: pinned, checked before they are fetched, and kept."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import GatedRepoError, HFValidationError, LocalTokenNotFoundError

from adapters.sharing.door import read_info
from adapters.sharing.hub import HubId, hub_id, pulled, push, told
from adapters.sharing.info import FILES, INFO
from adapters.sharing.opening import opened
from domains.errors import InputError
from tests.adapters.sharing.hub_server import TOKEN, serving


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setenv("ENTITY_ADAPTERS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # the suite's own, read when it was imported
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


@pytest.fixture
def files(adapter_folder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in adapter_folder.iterdir()}


def test_a_revision_is_a_branch_a_tag_or_a_commit_and_a_path_is_none():
    assert hub_id("lab/nuclei@v1.0") == HubId("lab/nuclei", "v1.0")
    assert hub_id("lab/nuclei@refs/pr/3") == HubId("lab/nuclei", "refs/pr/3")
    for name in (
        "lab/nuclei",
        "runs/mine/adapter",
        "nuclei@2",
        "../nuclei@1",
        "lab/..@main",
        "lab/nuclei@../x",
        "a b/c@1",
    ):
        assert hub_id(name) is None


def test_what_is_pushed_is_pulled_by_its_commit_and_once(hub, adapter_folder):
    pinned = push(adapter_folder, "lab/nuclei")
    commit = pinned.partition("@")[2]
    with opened(pinned) as folder:
        assert read_info(folder).fingerprint == read_info(adapter_folder).fingerprint
        assert {file.name for file in folder.iterdir()} <= set(FILES)
        assert not any(file.is_symlink() for file in folder.iterdir())
    hub.asked.clear()
    assert pulled(HubId("lab/nuclei", commit)).is_dir()
    assert not hub.asked


def test_a_branch_that_has_moved_is_fetched_anew_and_without_a_network_the_last_one_stands(hub, files, monkeypatch):
    first = hub.commit("lab/nuclei", files)
    assert pulled(HubId("lab/nuclei", "main")).name == first
    second = hub.commit("lab/nuclei", {**files, "other.bin": b"not for us"})
    folder = pulled(HubId("lab/nuclei", "main"))
    assert folder.name == second and not (folder / "other.bin").exists()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.asked.clear()
    assert pulled(HubId("lab/nuclei", "main")).name == second
    assert not hub.asked
    with pytest.raises(InputError, match="lab/other@main was not fetched before, and HF_HUB_OFFLINE is set"):
        pulled(HubId("lab/other", "main"))


def test_a_repository_that_holds_an_adapter_is_not_overwritten_unasked(hub, adapter_folder):
    push(adapter_folder, "lab/nuclei")
    with pytest.raises(InputError, match="lab/nuclei holds an adapter; name another repository, or add --overwrite"):
        push(adapter_folder, "lab/nuclei")
    assert push(adapter_folder, "lab/nuclei", overwrite=True).startswith("lab/nuclei@")


def test_places_of_this_machine_are_not_pushed(hub, adapter_folder):
    commit = push(adapter_folder, "lab/nuclei").partition("@")[2]
    sent = hub.commits["lab/nuclei"][commit]
    assert not any(str(adapter_folder.parent).encode() in content for content in sent.values())


@pytest.mark.parametrize(
    "asked, message",
    [
        (HubId("lab/none", "main"), "lab/none@main: there is no such repository, or HF_TOKEN may not see it"),
        (HubId("lab/nuclei", "v9"), "lab/nuclei@v9: the repository has no revision 'v9'"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(hub, files, asked, message):
    hub.commit("lab/nuclei", files)
    with pytest.raises(InputError, match=message):
        pulled(asked)


def test_weights_larger_than_the_options_need_are_not_fetched(hub, files):
    hub.commit("lab/nuclei", files)
    hub.sizes["entity_decoder.safetensors"] = 2**40
    with pytest.raises(InputError, match="its options need at most"):
        pulled(HubId("lab/nuclei", "main"))
    assert not any("safetensors" in path for path in hub.asked)


def test_a_changed_file_and_what_is_no_adapter_are_refused_and_nothing_stays(hub, files, tmp_path):
    hub.commit("lab/nuclei", {**files, "recipe.yaml": b"domain: {name: natural}\n"})
    with pytest.raises(InputError, match="'lab/nuclei@main' is not as it was saved"):
        pulled(HubId("lab/nuclei", "main"))
    hub.commit("lab/model", {"model.bin": b"0"})
    with pytest.raises(InputError, match=f"lab/model@main is no adapter: it has no {INFO}"):
        pulled(HubId("lab/model", "main"))
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert kept == []


def test_no_error_shows_the_token(hub, adapter_folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(InputError, match="lab/nuclei@main: the server answers 401|may not see it") as raised:
        push(adapter_folder, "lab/nuclei")
    assert "hf_another" not in str(raised.value)


def test_a_server_that_is_not_there_is_told_in_a_line(hub, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(InputError, match="lab/nuclei@main: no way to the server"):
        pulled(HubId("lab/nuclei", "main"))


def test_what_a_server_says_of_a_commit_and_of_sizes_is_not_believed(hub, files, adapter_folder):
    hub.commit("lab/nuclei", files)
    hub.sizes[INFO] = 2**30
    with pytest.raises(InputError, match=f"{INFO} has 1073741824 bytes; wanted at most"):
        pulled(HubId("lab/nuclei", "main"))
    hub.sizes = {"entity_decoder.safetensors": 2}
    with pytest.raises(InputError, match="entity_decoder.safetensors is larger than the server says"):
        pulled(HubId("lab/nuclei", "main"))
    hub.commits["lab/nuclei"]["../../up"] = files
    hub.refs["lab/nuclei"]["main"] = "../../up"
    with pytest.raises(InputError, match="the server gives '../../up' for a commit; wanted 40 hexadecimal digits"):
        pulled(HubId("lab/nuclei", "main"))


REPLY = SimpleNamespace(headers={}, status_code=403, request=None)


@pytest.mark.parametrize(
    "error, message",
    [
        (
            GatedRepoError("gated", response=REPLY),
            "its owner must let you in first; ask on its page",
        ),
        (LocalTokenNotFoundError("none"), "wanted a token that may write: set HF_TOKEN"),
        (HFValidationError("bad"), "lab/nuclei@main is no id of a repository"),
        (ConnectionResetError("hf_secret"), "no way to the server .ConnectionResetError.; look at the network"),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_line_without_what_the_library_says(error, message):
    with pytest.raises(InputError, match=message) as raised, told(HubId("lab/nuclei", "main")):
        raise error
    assert "hf_secret" not in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("error", [FileNotFoundError(2, "not there", "a file"), ZeroDivisionError("a fault of ours")])
def test_faults_of_files_here_and_of_ours_are_not_the_servers(error):
    with pytest.raises(type(error)), told(HubId("lab/nuclei", "main")):
        raise error
