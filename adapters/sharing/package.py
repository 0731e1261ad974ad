"""Adapters as people hand them on: one packed file.

Nothing here imports torch. A packed file is read member by member, its texts first, since they say how large the
weights can be; until all of it is known to fit, nothing is unpacked.
"""

from __future__ import annotations

import errno
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from adapters.sharing.door import check_sizes, read_info, read_recipe, without_places
from adapters.sharing.info import (
    AGAIN,
    CARD,
    FILES,
    INFO,
    MAX_TEXT_BYTES,
    PEFT,
    RECIPE,
    TEXTS,
    AdapterInfo,
    decoded,
    parse_info,
    present,
    read_text,
)
from adapters.sharing.texts import yaml_text
from domains.atomic import atomic_folder, atomic_path
from domains.errors import InputError

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ZIP64_BYTES = 2**31  # from which on zipfile writes a directory of the longer form
ENCRYPTED = 0x1
MEMBER_BYTES = 46 + 2**8  # of a member of ours in the directory: its fixed part, its name and its extra fields
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError)
"""What `zipfile` raises for files that are no zip, or a broken one."""


def pack(folder: Path, file: Path) -> None:
    """The folder's known files in one zip; nothing else that lies there goes with it, nor where anything lay."""
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is no folder; wanted one that `fit` wrote (RUN/adapter)")
    info = read_info(folder)
    if file.exists():
        raise InputError(f"{str(file)!r} exists; name another file")
    texts = shared_texts(folder, info)
    with atomic_path(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            if name in texts:
                archive.writestr(member, texts[name])
            elif present(folder, name):
                member.file_size = (folder / name).stat().st_size
                with archive.open(member, "w") as target:
                    for block in blocks_of(folder / name):
                        target.write(block)


def blocks_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a MiB at a time. Raises InputError where it cannot be read: what writes them elsewhere takes
    an OSError for one of its own.
    """
    try:
        with path.open("rb") as source:
            while block := source.read(2**20):
                yield block
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def shared_texts(folder: Path, info: AdapterInfo) -> dict[str, str]:
    """The texts of an adapter without the places that they name: of data, groups, a start, a base on this machine."""
    base = info.backbone
    texts = {name: read_text(folder, name) for name in TEXTS if present(folder, name)}
    recipe = without_places(read_recipe(folder), base=base.is_local)
    texts[RECIPE] = yaml_text(recipe)
    if base.is_local:
        for name in (CARD, PEFT):
            if name in texts:
                texts[name] = texts[name].replace(base.name, base.bare_name)
        texts[INFO] = replace(info, backbone=replace(base, name=base.bare_name)).json_text()
    return texts


def shared_files(folder: Path, target: Path) -> None:
    """The folder's known files, as `pack` has them, into another folder. Raises InputError for what is no adapter."""
    texts = shared_texts(folder, read_info(folder))
    for name in FILES:
        if name in texts:
            (target / name).write_text(texts[name], encoding="utf-8")
        elif present(folder, name):
            shutil.copyfile(folder / name, target / name)


def unpack(file: Path, folder: Path) -> None:
    """A packed adapter to a folder. Only the files of an adapter are accepted, so none can leave the folder."""
    if folder.exists():
        raise InputError(f"{str(folder)!r} exists; name another folder")
    if not file.is_file():
        raise InputError(f"packed adapter {str(file)!r} does not exist")
    with atomic_folder(folder) as temporary:
        try:
            check_directory(file)
            with zipfile.ZipFile(file) as archive:
                check_members(file, archive)
                for member in archive.infolist():
                    with archive.open(member) as source, (temporary / member.filename).open("wb") as target:
                        shutil.copyfileobj(source, target, 2**20)
            read_info(temporary)
        except InputError as error:
            error.args = (str(error).replace(str(temporary), str(file)),)
            raise
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # what seeking before the start says
                raise
            raise InputError(f"{str(file)!r} is no packed adapter, or is damaged ({error}); get it again") from error


def check_directory(file: Path) -> None:
    """The zip's directory is as short as ours, before `zipfile` reads it whole. Raises InputError.

    PKWARE's APPNOTE 4.3.16 (the end of the directory) and 4.3.15 (where a longer one is found, just before it).
    """
    size = file.stat().st_size
    with file.open("rb") as source:
        source.seek(max(0, size - 22 - 2**16 - 20))
        tail = source.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) - end < 22:
        raise InputError(f"{str(file)!r} is no packed adapter, or is damaged (it has no directory); get it again")
    members, directory = struct.unpack("<HI", tail[end + 10 : end + 16])
    longer = tail[max(0, end - 20) : end].startswith(b"PK\6\7") and size < ZIP64_BYTES
    if members > len(FILES) or directory > len(FILES) * MEMBER_BYTES or longer:
        raise InputError(f"{str(file)!r} is no packed adapter: it holds more than the {len(FILES)} files of one")


def check_members(file: Path, archive: zipfile.ZipFile) -> None:
    """Raises InputError for members that no adapter has, and for sizes beyond what its options need."""
    members = archive.infolist()
    names = [member.filename for member in members]
    for member in members:
        if member.filename not in FILES or member.orig_filename != member.filename:
            raise InputError(f"{str(file)!r} is no packed adapter: it holds {member.orig_filename!r:.200}")
        if names.count(member.filename) > 1:
            raise InputError(f"{str(file)!r} is no packed adapter: it holds {member.filename!r} twice")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise InputError(f"{str(file)!r}: {member.filename!r} is a link or no plain file; {AGAIN}")
        if member.flag_bits & ENCRYPTED:
            raise InputError(f"{str(file)!r}: {member.filename!r} is encrypted; wanted it without a password")
        if member.compress_type not in METHODS:
            raise InputError(
                f"{str(file)!r}: {member.filename!r} is compressed by method {member.compress_type}; wanted deflate"
            )
        if member.filename in TEXTS and member.file_size > MAX_TEXT_BYTES:
            raise InputError(
                f"{str(file)!r}: {member.filename!r} has {member.file_size} bytes; wanted at most {MAX_TEXT_BYTES}"
            )
    if INFO not in names:
        raise InputError(f"{str(file)!r} is no packed adapter: it has no {INFO}")
    source = repr(str(file / INFO))
    with archive.open(INFO) as text:  # a bounded read: `archive.read` would inflate all there is, whatever is declared
        info = parse_info(decoded(text.read(MAX_TEXT_BYTES), source), source)
    check_sizes({member.filename: member.file_size for member in members}, info, str(file))
