"""Adapters as people hand them on: one packed file, looked at, checked, and opened wherever it came from."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from adapters.folder import FILES, RECIPE, load_adapter, read_info
from domains.errors import InputError

MAX_PACKED_BYTES = 8 * 2**30


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder of an adapter that is a folder or a packed file, which is unpacked for the while."""
    path = Path(path)
    if path.is_dir():
        yield path
    elif path.is_file():
        with tempfile.TemporaryDirectory() as parent:
            unpack(path, Path(parent) / "adapter")
            yield Path(parent) / "adapter"
    else:
        raise InputError(
            f"adapter {str(path)!r} does not exist; wanted a folder that `fit` wrote (RUN/adapter), or its packed file"
        )


def show(path: Path) -> str:
    """A few lines for the terminal."""
    with opened(path) as folder:
        info = read_info(folder)
        sizes = {name: (folder / name).stat().st_size for name in FILES if (folder / name).is_file()}
    options = ", ".join(f"{k} {v}" for k, v in info.method.items() if k != "name" and v is not None)
    contract = info.contract
    lines = [
        f"backbone  {info.backbone['name']} (fingerprint {info.fingerprint[:12]})",
        f"method    {info.method['name']}" + (f" ({options})" if options else ""),
        f"decoder   {info.decoder['name']}",
        f"domain    {info.domain}, fitted on {info.data}",
        f"input     scale {contract.scale:g}, tiles of {contract.tile_px} px, overlap {contract.overlap_px} px",
        f"size      {sum(sizes.values()) / 1e6:.2f} MB",
    ]
    for state, values in info.metrics.items():
        lines.append(f"{state:<9} " + "  ".join(f"{k} {v:.3f}" for k, v in values.items() if v is not None))
    return "\n".join(lines)


def verify(path: Path, backbone_name: str | None = None) -> str:
    """Load everything as prediction would; InputError where anything is wrong."""
    with opened(path) as folder:
        _, info = load_adapter(folder, backbone_name=backbone_name)
    return f"{path}: whole, fits {info.backbone['name']}, and gives the output it was saved with"


def pack(folder: Path, file: Path) -> None:
    """The folder's known files in one zip; nothing else that lies there goes with it, nor where the data lie."""
    read_info(folder)
    if file.exists():
        raise InputError(f"{str(file)!r} exists; name another file")
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in FILES:
                if (folder / name).is_file():
                    content = (folder / name).read_bytes()
                    content = without_folders(content) if name == RECIPE else content
                    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def without_folders(recipe_yaml: bytes) -> bytes:
    """A recipe whose data and groups are names: the folders they lie in are nobody's business."""
    try:
        recipe = yaml.safe_load(recipe_yaml)
    except yaml.YAMLError as error:
        raise InputError(f"the adapter's {RECIPE} is damaged; get the adapter again") from error
    domain = recipe.get("domain") if isinstance(recipe, dict) else None
    for key in ("data", "groups"):
        if isinstance(domain, dict) and isinstance(domain.get(key), str):
            domain[key] = re.split(r"[\\/]", domain[key].rstrip("\\/"))[-1]
    return yaml.safe_dump(recipe, sort_keys=False).encode()


def unpack(file: Path, folder: Path) -> None:
    """A packed adapter to a folder. Only the files of an adapter are accepted, so none can leave the folder."""
    if folder.exists():
        raise InputError(f"{str(folder)!r} exists; name another folder")
    if not file.is_file():
        raise InputError(f"packed adapter {str(file)!r} does not exist")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".adapter-") as parent:
        temporary = Path(parent) / "adapter"
        temporary.mkdir()
        try:
            with zipfile.ZipFile(file) as archive:
                check_members(file, archive.infolist())
                for member in archive.infolist():
                    with archive.open(member) as source, (temporary / member.filename).open("wb") as target:
                        shutil.copyfileobj(source, target)
        except zipfile.BadZipFile as error:
            raise InputError(f"{str(file)!r} is no packed adapter, or is damaged ({error}); get it again") from error
        read_info(temporary)
        os.rename(temporary, folder)


def check_members(file: Path, members: list[zipfile.ZipInfo]) -> None:
    strange = [member.filename for member in members if member.filename not in FILES]
    if strange or len({member.filename for member in members}) < len(members):
        raise InputError(f"{str(file)!r} is no packed adapter: it holds {strange[0] if strange else 'a file twice'!r}")
    if sum(member.file_size for member in members) > MAX_PACKED_BYTES:
        raise InputError(f"{str(file)!r} unpacks to more than {MAX_PACKED_BYTES / 2**30:.0f} GiB; it is no adapter")
