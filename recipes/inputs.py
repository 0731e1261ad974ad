"""What a verb is given, looked at before the libraries are loaded that its work wants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from domains.errors import InputError


def check_present(inputs: Iterable[Path]) -> None:
    """Raises InputError for what does not exist."""
    for path in inputs:
        if not path.exists():
            raise InputError(f"input {str(path)!r} does not exist; wanted an image or a folder of images")


@dataclass(frozen=True)
class Asked:
    """How often prediction is to look at a tile, in place of what the adapter says, as `InputContract.changed` takes
    it; None leaves that.
    """

    symmetries: int | None = None
    window_px: int | None = None
    test_scales: tuple[float, ...] | None = None


def parse_scales(text: str | None) -> tuple[float, ...] | None:
    """What `--test-scales` says. Raises InputError."""
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(f"--test-scales is {text!r}; wanted numbers with commas between, such as 1,0.7") from error
