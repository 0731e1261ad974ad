"""Files that are either whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from domains.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None)  # None: numpy reports a short write without a number


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it fails.

    The temporary file keeps the suffix, which writers of images look at, and is short, so that the longest name that
    the file system allows still works. An OSError (full disk, no permission, no such folder) becomes an InputError.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid4().hex[:12]}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {_reason(error)}") from error
    finally:
        with suppress(OSError):  # renamed, or never made; the error above says why
            temporary.unlink()


def _reason(error: OSError) -> str:
    """What the system said, and what to do."""
    remedy = "free some space or write to another disk" if error.errno in FULL else "is the folder there and writable?"
    return f"{error.strerror or error}; {remedy}"
