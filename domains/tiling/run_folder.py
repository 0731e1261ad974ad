"""What a prediction keeps beside its results, in OUT/.predict: it goes on from there, and more images can be added.

journal     which images are done, and their rows of the tables for all images (`ImageJournal`)
new/        results that are being written; each is renamed to its place when it is whole
lock        held by the process that predicts into OUT, for as long as it lives
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from domains.errors import InputError
from domains.tiling.image_journal import ImageJournal

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FOLDER = ".predict"


@contextmanager
def open_run(out: Path, plan: Mapping[str, Any], overwrite: bool = False) -> Iterator[ImageJournal]:
    """The journal of the prediction in `out`, for this process alone.

    plan: what decides the results, by what a user calls it; JSON. overwrite: begin anew, unless what lies there was
    begun so too and did not come to its end. Raises InputError where another process predicts into the folder, or what
    lies there has another plan.
    """
    folder = out / FOLDER
    with locked(folder):
        shutil.rmtree(folder / "new", ignore_errors=True)
        (folder / "new").mkdir()
        journal = ImageJournal(folder / "journal")
        try:
            begin(journal, out, json.loads(json.dumps(plan)), overwrite)
            yield journal
        finally:
            journal.close()
            shutil.rmtree(folder / "new", ignore_errors=True)
            if not journal.entries:  # of no use, and another command may have the folder
                (folder / "journal").unlink(missing_ok=True)


def begin(journal: ImageJournal, out: Path, plan: dict[str, Any], overwrite: bool) -> None:
    """Go on with the journal, or start it. Raises InputError where it has another plan."""
    started = journal.plan or {}
    differing = [
        word for word in {**started.get("plan", {}), **plan} if started.get("plan", {}).get(word) != plan.get(word)
    ]
    if overwrite and not differing and started.get("overwrite") and not journal.ended:
        return
    if overwrite or not journal.entries:
        journal.start({"plan": plan, "overwrite": overwrite})
    elif differing:
        raise InputError(
            f"{str(out)!r} holds a prediction with another {', '.join(differing)}; repeat that command to go on with "
            "it, name another --out, or replace it with --overwrite"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder is made, and held by this process until the block ends or the process does; removed where it is empty,
    and the one that it lies in too, where that was made here.

    Raises InputError.
    """
    is_new = not folder.parent.exists()
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(folder / "lock", "a+", encoding="utf-8")  # noqa: SIM115
        except FileNotFoundError:  # removed by one that was ending
            continue
        except OSError as error:
            raise InputError(
                f"cannot make the folder {str(folder)!r}: {error.strerror}; name an --out that can be written"
            ) from error
        with file:
            hold(file, folder)
            if not is_there(file, folder / "lock"):
                continue
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            try:
                yield
            finally:
                with suppress(OSError):
                    (folder / "lock").unlink()
                    folder.rmdir()
                    if is_new:
                        folder.parent.rmdir()  # unless something lies there
            return


def hold(file: IO[str], folder: Path) -> None:
    """Nothing on systems, and disks, that know no locks. Raises InputError where another process holds the file."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        pid = file.read().strip() or "?"
        raise InputError(
            f"{str(folder.parent)!r} is being predicted into by process {pid}; wait for its end, or name another --out"
        ) from error
    except OSError:  # a network's disk
        return


def is_there(file: IO[str], path: Path) -> bool:
    """Whether the open file is the one of that name still: another process may have ended, and removed it."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
