"""Adapters on the Hugging Face Hub, or a server that speaks like it: OWNER/NAME@REVISION wherever an adapter is named.

A revision is a branch, a tag or a commit; what it stands for is looked up, and the commit's files are kept in the
shelf's home, so that a commit is fetched once. Without `@` it is no id, so that no mistyped path is sent to a server.
The Hub's own variables hold: HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN, which is never printed. Nothing here imports torch.

    HOME/hub/OWNER--NAME/COMMIT/         an adapter's folder
    HOME/hub/OWNER--NAME/refs/REVISION   the commit that a revision was, when it was last looked up
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from adapters.sharing.door import check_sizes, read_info
from adapters.sharing.info import AGAIN, FILES, INFO, MAX_TEXT_BYTES, decoded, parse_info
from adapters.sharing.package import shared_files
from adapters.sharing.shelf import home
from domains.atomic import atomic_path, remove_left, temporary_prefix
from domains.errors import InputError

WORD = r"[A-Za-z0-9][\w.-]{0,95}"
REPO = re.compile(rf"{WORD}/{WORD}")
HUB_ID = re.compile(rf"(?P<repo>{WORD}/{WORD})@(?P<revision>[\w][\w./-]{{0,199}})")
COMMIT = re.compile(r"[0-9a-f]{40}")
MAIN = "main"


class HubId(NamedTuple):
    """A model repository, and a branch, tag or commit of it."""

    repo: str
    revision: str

    @property
    def folder(self) -> Path:
        """Where what was fetched of the repository lies."""
        return home() / "hub" / self.repo.replace("/", "--")

    @property
    def ref(self) -> Path:
        """The file that notes the commit of the revision."""
        return self.folder / "refs" / quote(self.revision, safe="")

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"


def hub_id(name: str) -> HubId | None:
    """The id that a text spells; None for one that spells none."""
    match = HUB_ID.fullmatch(name)
    return HubId(match["repo"], match["revision"]) if match and ".." not in name else None


def pulled(asked: HubId) -> Path:
    """The folder of an adapter on the Hub, fetched where it is not here yet.

    Raises InputError, in one line: no such repository or revision, no adapter, no way there, or files larger than the
    adapter's options need.
    """
    if COMMIT.fullmatch(asked.revision) and (asked.folder / asked.revision).is_dir():
        return asked.folder / asked.revision
    if offline():
        return kept_before(asked)
    with told(asked):
        info = api().model_info(asked.repo, revision=asked.revision, files_metadata=True)
        commit, sizes = str(info.sha), {file.rfilename: file.size or 0 for file in info.siblings or ()}
        if not COMMIT.fullmatch(commit):
            raise InputError(f"{asked}: the server gives {commit!r:.80} for a commit; wanted 40 hexadecimal digits")
        if not (asked.folder / commit).is_dir():
            fetch(asked, commit, {name: size for name, size in sizes.items() if name in FILES})
    asked.ref.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(asked.ref) as path:
        path.write_text(commit, encoding="utf-8")
    return asked.folder / commit


def fetch(asked: HubId, commit: str, sizes: dict[str, int]) -> None:
    """Fetch the files of a commit: first what says how large the others may be. Raises InputError."""
    from huggingface_hub import hf_hub_download

    if INFO not in sizes:
        raise InputError(f"{asked} is no adapter: it has no {INFO}")
    if sizes[INFO] > MAX_TEXT_BYTES:
        raise InputError(f"{asked}: {INFO} has {sizes[INFO]} bytes; wanted at most {MAX_TEXT_BYTES}; {AGAIN}")
    asked.folder.mkdir(parents=True, exist_ok=True)
    remove_left(asked.folder)
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix=temporary_prefix()) as parent:
        temporary, folder = Path(parent) / "fetched", Path(parent) / "adapter"
        folder.mkdir()
        for name in sorted(sizes, key=lambda name: name != INFO):
            file = hf_hub_download(asked.repo, name, revision=commit, local_dir=temporary, endpoint=endpoint())
            if Path(file).stat().st_size > max(sizes[name], 1):
                raise InputError(f"{asked}: {name} is larger than the server says; {AGAIN}")
            os.rename(file, folder / name)
            if name == INFO:
                info = parse_info(decoded((folder / INFO).read_bytes(), f"{asked}: {INFO}"), f"{asked}: {INFO}")
                check_sizes(sizes, info, str(asked))
        try:
            read_info(folder)
        except InputError as error:
            raise InputError(str(error).replace(str(folder), str(asked))) from error
        try:
            os.rename(folder, asked.folder / commit)
        except OSError:
            if not (asked.folder / commit).is_dir():  # else another process was quicker
                raise


def kept_before(asked: HubId) -> Path:
    """What was fetched when there was a way to the Hub. Raises InputError where nothing was."""
    commit = asked.ref.read_text(encoding="utf-8").strip() if asked.ref.is_file() else ""
    if COMMIT.fullmatch(commit) and (asked.folder / commit).is_dir():
        return asked.folder / commit
    raise InputError(f"{asked} was not fetched before, and HF_HUB_OFFLINE is set: unset it, or give a folder")


def push(folder: Path, repo: str, private: bool = False, overwrite: bool = False) -> str:
    """Put an adapter into a repository, which is made where it is not there; returns OWNER/NAME@COMMIT.

    Its texts go without the places of this machine. Raises InputError for what is no adapter or no name, for a
    repository that holds one already (unless overwrite), and for what the server refuses.
    """
    asked = HubId(repo, MAIN)
    if not REPO.fullmatch(repo) or ".." in repo:
        raise InputError(f"{repo!r} is no name of a repository; wanted OWNER/NAME")
    if offline():
        raise InputError("HF_HUB_OFFLINE is set; unset it to push")
    with told(asked), tempfile.TemporaryDirectory() as temporary:
        shared_files(folder, Path(temporary))
        hub = api()
        hub.create_repo(asked.repo, private=private, exist_ok=True)
        if not overwrite and hub.file_exists(asked.repo, INFO):
            raise InputError(f"{asked.repo} holds an adapter; name another repository, or add --overwrite")
        commit = hub.upload_folder(repo_id=asked.repo, folder_path=temporary, commit_message="An adapter")
        return f"{asked.repo}@{commit.oid}"


def api() -> Any:
    """The Hub's client, for the endpoint of this moment."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint(), library_name="entity-adapters")


def endpoint() -> str | None:
    """The server that HF_ENDPOINT names; None for the Hub's own."""
    return os.environ.get("HF_ENDPOINT") or None


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask a server."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


@contextmanager
def told(asked: HubId) -> Iterator[None]:
    """Raises InputError, in one line without addresses and tokens, for what goes wrong on the way to a server."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except RevisionNotFoundError as error:
        raise InputError(f"{asked}: the repository has no revision {asked.revision!r}") from error
    except GatedRepoError as error:
        raise InputError(f"{asked}: its owner must let you in first; ask on its page, then set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"{asked}: there is no such repository, or HF_TOKEN may not see it") from error
    except LocalTokenNotFoundError as error:
        raise InputError(f"{asked}: wanted a token that may write: set HF_TOKEN") from error
    except HFValidationError as error:
        raise InputError(f"{asked} is no id of a repository") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        raise InputError(f"{asked}: the server answers {status}; look at HF_TOKEN and HF_ENDPOINT") from error
    except InputError:
        raise
    except OSError as error:
        if error.filename and not isinstance(error, ConnectionError):
            raise  # of a file here
        raise InputError(f"{asked}: no way to the server ({type(error).__name__}); look at the network") from error
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "requests")):
            raise
        raise InputError(f"{asked}: no way to the server ({type(error).__name__}); look at the network") from error
