"""Numbers as JSON for files."""

from __future__ import annotations

import json
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


def write_json(path: Path, content: Any) -> None:
    """Write the file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
