"""What two golden runs of the same code may differ in, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Mask:
    """files: a pattern of paths. What `pattern` matches is replaced by `by`, in both files."""

    files: str
    pattern: re.Pattern[str]
    by: str
    reason: str


LEFT_OUT = ()
MASKS = (
    Mask("terminal/*.err", re.compile(r"^[\w ]+: \d+/\d+( .*)?\n", re.M), "", "lines of progress, which follow the clock"),
    Mask("done/*.json", re.compile(r'"seconds": [\d.]+'), '"seconds": 0', "wall time"),
    Mask("out/*/history.csv", re.compile(r"^(\d+),[\d.e+-]+,", re.M), r"\1,0,", "the column `seconds`"),
)
