"""What two golden runs of the same code may differ in, and why. Nothing else may."""

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


MASKS = (
    Mask("terminal/*.err", re.compile(r"^[\w ]+: \d+/\d+( .*)?\n", re.M), "", "lines of progress, told by the clock"),
    Mask("done/*.json", re.compile(r'"seconds": [\d.]+'), '"seconds": 0', "wall time"),
    Mask("out/fit_*/history.csv", re.compile(r"^(\d+),[\d.e+-]+,", re.M), r"\1,0,", "the column `seconds`"),
    Mask("out/fit_*/metrics.json", re.compile(r'^  "seconds": [\d.e+-]+', re.M), '  "seconds": 0', "wall time"),
    Mask(
        "*/.predict/journal",
        re.compile(r"\[(\d+), \d{15,}\]"),
        r"[\1, 0]",
        "times of change, in ns, of images and results",
    ),
    Mask(
        "*/.predict/journal",
        re.compile(r'"(\w+)": \[[\d, ]+\](?=(, "\w+": \[[\d, ]+\])*\}\}$)', re.M),  # in "rows", a record's end
        r'"\1": []',
        "where in the journal an image's rows lie: further behind where paths are longer",
    ),
    Mask("*/.predict/journal", re.compile(r'"of": "[0-9a-f]{128}"'), '"of": ""', "a digest of those"),
)
CHECKPOINT_TIMES = ("seconds",)
"""Keys, at any depth: how long the fit has taken, and each row of its history."""
GEOPACKAGE_TIMES = (("gpkg_contents", "last_change"),)
"""Table and column: when the file was made."""
