"""Numbers as JSON for files, and beside their nouns for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from domains.atomic import atomic_path


def plain(value: Any) -> Any:
    """The value as JSON holds it: numpy numbers become Python's, nan and infinity null, in lists and dicts too."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return None if not np.isfinite(value) else float(value)
    return value


def defined(intervals: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float] | None]:
    """Intervals by metric as an adapter holds them: None where an end is nan."""
    return {
        key: (float(low), float(high)) if np.isfinite([low, high]).all() else None
        for key, (low, high) in intervals.items()
    }


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 image`, `2 images`, `0 entities`. plural: of a noun that takes no s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Write the file whole or not at all. indent: None for one line."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
