"""Where a backbone's files are: shipped with the code, in a folder, in one `.pth` file, or on the Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from adapters.backbones.embedded_bases import FOLDERS
from domains.errors import InputError, suggest

CHECKPOINT_SUFFIXES = (".pth", ".pt")
EXAMPLES = (
    *FOLDERS,
    "facebook/dinov2-small",
    "facebook/dinov2-base",
    "facebook/dinov2-with-registers-base",
    "facebook/dinov3-vits16-pretrain-lvd1689m",
    "facebook/sam-vit-base",
    "facebook/sam-vit-large",
    "owkin/phikon-v2",
)


class Asked(NamedTuple):
    """What errors say of a name: the option that has it, and names that it could have been."""

    option: str = "backbone.name"
    examples: Sequence[str] = EXAMPLES


OF_BACKBONES = Asked()
HUB_FILES = ["config.json", "preprocessor_config.json", "model.safetensors", "model.safetensors.index.json"]
HUB_SHARDS = "model-*.safetensors"


def locate(name: str, revision: str | None = None, asked: Asked = OF_BACKBONES) -> tuple[Path, str | None]:
    """The folder or checkpoint file behind a name, and the commit where it is a Hub id."""
    if name in FOLDERS:
        if not (FOLDERS[name] / "config.json").is_file():
            raise InputError(f"the embedded base is missing from {FOLDERS[name]}: check out the whole repository")
        return FOLDERS[name], None
    path, option = Path(name).expanduser(), asked.option
    if path.is_dir() or (path.is_file() and path.suffix in CHECKPOINT_SUFFIXES):
        return path, None
    if path.is_file():
        raise InputError(f"{option} is {name!r}, a file; wanted a folder in the Hub's layout or a .pth checkpoint")
    if path.suffix in CHECKPOINT_SUFFIXES or path.is_absolute() or name.startswith((".", "~")):
        raise InputError(f"{option} is {name!r}, and there is no such file or folder")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise InputError(f"{option} is {name!r}, which is no folder and no Hub id; {suggest(name, asked.examples)}")
    folder = from_hub(name, revision, asked)
    return folder, folder.name  # a snapshot's folder is named after its commit


def from_hub(name: str, revision: str | None, asked: Asked) -> Path:
    """The snapshot folder of a Hub id: from the cache when it is there, else downloaded (safetensors only)."""
    patterns = [*HUB_FILES, HUB_SHARDS]
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=True))
        if any(folder.glob("*.safetensors")):
            return folder
    except LocalEntryNotFoundError:
        pass
    try:
        HfApi().model_info(name, revision=revision, timeout=10)  # one request; a download retries for a minute
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except GatedRepoError as error:
        raise InputError(
            f"{name!r} is gated: accept its licence on the Hub, then log in with `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{asked.option} is {name!r}, which is no local folder and not on the Hub; {suggest(name, asked.examples)}"
        ) from error
    except Exception as error:  # whatever the network stack says, the answer is the same
        raise InputError(
            f"{asked.option} is {name!r}: no local folder, not in the Hub cache, and the Hub did not answer "
            f"({type(error).__name__}); download config.json and model.safetensors elsewhere and give their folder"
        ) from error
