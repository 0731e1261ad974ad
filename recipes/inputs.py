"""What a verb is given, looked at before the libraries are loaded that its work wants."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from domains.errors import InputError


def check_present(inputs: Iterable[Path]) -> None:
    """Raises InputError for what does not exist."""
    for path in inputs:
        if not path.exists():
            raise InputError(f"input {str(path)!r} does not exist; wanted an image or a folder of images")
