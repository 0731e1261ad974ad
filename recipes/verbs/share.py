"""`cli.py adapters show | pack | unpack`: an adapter as a file that is sent, without its network being loaded."""

from __future__ import annotations

from pathlib import Path

from adapters.sharing.opening import show
from adapters.sharing.package import pack, unpack
from recipes.reading.command import following, verify_line


def shown_text(adapter: Path) -> str:
    """What an adapter is: base, method, decoder, domain, metrics. Raises InputError for what is none."""
    return show(adapter)


def packed_text(folder: Path, file: Path) -> str:
    """Put an adapter's folder into one file; the file, and the line that unpacks it. Raises InputError."""
    pack(folder, file)
    return f"{file}\n{following('adapters', 'unpack', file, 'FOLDER')}"


def unpacked_text(file: Path, folder: Path) -> str:
    """Get an adapter's folder back from one file; the folder, and the line that verifies it. Raises InputError."""
    unpack(file, folder)
    return f"{folder}\n{verify_line(folder)}"
