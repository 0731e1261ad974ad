"""Files that are either whole or absent: written under a temporary name, then renamed.

A temporary name tells the process that writes it. What a killed process left is removed by the next that writes into
that folder: only what is called so, and only where that process has ended.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from domains.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None)  # None: numpy reports a short write without a number
UNTOUCHED_S = 86_400.0  # after which a file of another machine's process is taken for left: nothing writes so slowly
OLD = "old"
TEMPORARY = re.compile(r"\.entity-adapters-(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-(?P<started>\d+)-")


@contextmanager
def atomic_path(path: str | Path, within: Path | None = None) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it fails.

    The temporary file keeps the suffix, which writers of images look at, and is short, so that the longest name that
    the file system allows still works. within: a folder of the same disk for it, which the caller cleans. An OSError
    (full disk, no permission, no such folder) becomes an InputError.
    """
    path = Path(path)
    if within is None:
        remove_left(path.parent)
    temporary = (within or path.parent) / f"{temporary_prefix()}{uuid4().hex[:8]}{path.suffix}"
    try:
        with refusals_told(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # renamed, or never made; the error above says why
            temporary.unlink()


@contextmanager
def atomic_folder(folder: Path, within: Path | None = None, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to fill, which becomes `folder` when the context ends well; else nothing stays.

    within: as in `atomic_path`. overwrite: what is there by then gives way, when the new folder is whole. Raises
    OSError where it is there and holds something, and isn't to be overwritten.
    """
    for parent in (folder.parent, within or folder.parent):
        parent.mkdir(parents=True, exist_ok=True)
    if within is None:
        remove_left(folder.parent)
    with tempfile.TemporaryDirectory(dir=within or folder.parent, prefix=temporary_prefix()) as parent:
        temporary = Path(parent) / "new"
        temporary.mkdir()
        yield temporary
        old = Path(parent) / OLD / folder.name  # removed with its parent, however long that takes
        if overwrite and folder.exists():
            old.parent.mkdir()
            os.rename(folder, old)
        try:
            os.rename(temporary, folder)
        except OSError:
            if old.exists():
                os.rename(old, folder)
            raise


@contextmanager
def refusals_told(path: Path) -> Iterator[None]:
    """An OSError inside (full disk, no permission, no such folder) becomes an InputError that names what is written."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {_reason(error)}") from error


def temporary_prefix() -> str:
    """How a temporary file or folder of this process begins; the caller adds what tells its own apart."""
    pid = os.getpid()
    return f".entity-adapters-{_machine()}-{pid}-{_started(pid) or 0}-"


def remove_left(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes left in a folder; looks once per process."""
    _remove_left(os.path.abspath(folder), os.getpid())


@lru_cache(maxsize=1024)
def _remove_left(folder: str, pid: int) -> None:
    """pid: of this process, since a forked one begins with what its parent remembers."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = TEMPORARY.match(entry.name)
            if match is not None and _is_left(match, entry):
                if entry.is_dir(follow_symlinks=False):
                    _give_back(Path(entry.path) / OLD, Path(folder))
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with suppress(OSError):
                        os.unlink(entry.path)


def _give_back(old: Path, folder: Path) -> None:
    """A process that was killed after the old folder had given way, before the new one was there, loses neither."""
    with suppress(OSError):
        for path in old.iterdir():
            if not os.path.lexists(folder / path.name):
                os.rename(path, folder / path.name)


def _is_left(match: re.Match[str], entry: os.DirEntry[str]) -> bool:
    started = _started(int(match["pid"]))
    if match["machine"] == _machine() and started is not None:
        return started != int(match["started"])
    with suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > UNTOUCHED_S
    return False


@lru_cache(maxsize=1)
def _machine() -> str:
    """Where process numbers mean the same: the host, and of Linux the container."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return blake2b(f"{socket.gethostname()} {space}".encode(), digest_size=4).hexdigest()


def _started(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; 0 where there is no such process, None where the system
    doesn't tell (other than Linux)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0 if os.path.exists("/proc/self/stat") else None
    return int(text.rpartition(")")[2].split()[19])


def _reason(error: OSError) -> str:
    """What the system said, and what to do."""
    remedy = "free some space or write to another disk" if error.errno in FULL else "is the folder there and writable?"
    return f"{error.strerror or error}; {remedy}"
