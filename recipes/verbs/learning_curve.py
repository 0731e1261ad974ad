"""`cli.py learning-curve`: one recipe fitted to more and more of its training images, and whether yet more would help.

The smaller numbers of images are parts of the larger ones, and the first image of every group comes before the second
of any, as `domain.max_images` has them. All fits are measured on the same test images. OUT/ holds a folder for each
fit, and at the end learning-curve.json, .csv, .md and report.html; what was stopped goes on as a comparison does.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domains.errors import InputError
from domains.metrics.bootstrap import percentile_interval
from recipes.reading.compose import load_recipe
from recipes.verbs.apart import Candidate, Fits, cells, row_of, write_tables
from recipes.verbs.extrapolation import Outlook, outlook
from recipes.verbs.numbers import plain, write_json
from recipes.verbs.progress import reading_shown
from recipes.verbs.tables import text_table

EVERY = "all"
LEVEL = 0.95


def parse_images(text: str) -> list[int | None]:
    """`5,10,20,all` as numbers from small to large, None for all. Raises InputError for anything else, or fewer than
    two of them.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word == EVERY or (word.isdecimal() and int(word) > 0) for word in words) or len(set(words)) < 2:
        raise InputError(f"--images is {text!r}; wanted two or more numbers of images, such as 5,10,20,all")
    numbers = sorted({int(word) for word in words if word != EVERY})
    return [*numbers, *([None] if EVERY in words else [])]


def learning_curve(
    recipe: str,
    images: Sequence[int | None],
    out: Path,
    seconds: float,
    seeds: int = 2,
    overrides: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Fit to every number of images with every seed, and write the tables and the report; returns the rows.

    images: None for all that there are; seconds: of the processor, for each fit. Raises InputError for data with fewer
    images than two of the numbers, for another comparison in OUT, and for a fit that ended without its numbers.
    """
    numbers = within(images, available(recipe, overrides))
    candidates = [
        Candidate(EVERY, ()) if number is None else Candidate(f"{number}", (f"domain.max_images={number}",))
        for number in numbers
    ]
    fits = Fits(recipe, candidates, out, seconds, seeds, overrides)
    results = fits.run()
    rows = [point_of(results[candidate.label]) for candidate in candidates]
    worth = worth_of(rows, [results[candidate.label] for candidate in candidates[-2:]])
    further = outlook(rows[-1]["headline"], [results[candidate.label] for candidate in candidates])
    write(fits, rows, worth, further)
    return rows


def available(recipe: str, overrides: Sequence[str]) -> int:
    """How many training images there are. Raises InputError for `domain.max_images`, which is what varies."""
    from recipes.build import domain_of  # loads slowly, and a mistake on the command line wants none of it

    settled = load_recipe(recipe, overrides)
    if settled.domain.max_images is not None:
        raise InputError(f"domain.max_images is {settled.domain.max_images}; leave it out, --images varies it")
    with reading_shown():
        return len(domain_of(settled).dataset("train"))


def within(images: Sequence[int | None], count: int) -> list[int | None]:
    """The numbers below `count`, and None, all of them, in place of those that are not. Raises InputError where one is
    left.
    """
    fewer: list[int | None] = [number for number in images if number is not None and number < count]
    if len(fewer) < len(images):
        fewer.append(None)
    if len(fewer) < 2:
        raise InputError(f"there are {count} images to train on; name smaller numbers by --images")
    if many := [number for number in images if number is not None and number >= count]:
        print(f"there are {count} images to train on: {', '.join(map(str, many))} is all of them")
    return fewer


def point_of(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of a number of images: as those of `compare`, but the headline's interval is that of the seeds' mean."""
    row = {"images": results[0]["train_images"], **row_of(results)}
    headline = row["metrics"][row["headline"]]
    drawn = mean_resampled(results)
    headline["interval_95"] = None if drawn is None else percentile_interval(drawn, LEVEL)
    headline["seeds"] = [result["metrics"][row["headline"]] for result in results]
    return row


def mean_resampled(results: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
    """(R,) the headline over resampled groups of the test images, mean of the seeds; None of fewer than two groups."""
    if results[0]["groups"] < 2:
        return None
    return np.mean([np.array(result["resampled"], float) for result in results], axis=0)


@dataclass(frozen=True)
class Worth:
    """What the last step of a curve brought."""

    metric: str
    images: tuple[int, int]
    change: float
    interval: tuple[float, float]
    """95 % of the change over resampled groups of the test images, the same for both; nan where undefined."""
    spread: float
    """How far the change could be the seeds' alone: standard error of a difference of two means; nan of one seed."""
    test_images: int

    @property
    def verdict(self) -> str:
        """helps, hurts or undecided: by both the test images and the seeds, twice whose error has to be passed."""
        by_seeds = math.isnan(self.spread) or abs(self.change) > 2 * self.spread
        if self.interval[0] > 0 and by_seeds:
            return "helps"
        return "hurts" if self.interval[1] < 0 and by_seeds else "undecided"

    def __str__(self) -> str:
        low, high = self.interval
        begin, end = self.images
        span = "" if math.isnan(low) else f" [{low:+.3f}, {high:+.3f}]"
        seeds = "one seed" if math.isnan(self.spread) else f"seeds alone {self.spread:.3f}"
        numbers = f"{self.metric} {self.change:+.3f}{span} from {begin} to {end} images, {seeds}"
        sentence = {
            "helps": "more images seem to help",
            "hurts": "more images seem to make it worse: look at those that were added",
            "undecided": "whether more images help cannot be told",
        }[self.verdict]
        advice = "; more seeds or more test groups would tell" if self.verdict == "undecided" else ""
        return f"{sentence}: {numbers}, on {self.test_images} test images{advice}"


def worth_of(rows: Sequence[Mapping[str, Any]], results: Sequence[Sequence[Mapping[str, Any]]]) -> Worth:
    """Of the last two points. results: of the two, a seed each."""
    key = rows[-1]["headline"]
    former, latter = ([value for value in row["metrics"][key]["seeds"] if value is not None] for row in rows[-2:])
    drawn = [mean_resampled(fits) for fits in results]
    interval = (math.nan, math.nan)
    if drawn[0] is not None and drawn[1] is not None:
        interval = percentile_interval(drawn[1] - drawn[0], LEVEL)
    change = rows[-1]["metrics"][key]["mean"] - rows[-2]["metrics"][key]["mean"]
    spread = math.nan
    if min(len(former), len(latter)) > 1:
        spread = math.sqrt(sum(statistics.variance(values) / len(values) for values in (former, latter)))
    images = (rows[-2]["images"], rows[-1]["images"])
    return Worth(key, images, change, interval, spread, results[-1][0]["images"])


def write(fits: Fits, rows: Sequence[Mapping[str, Any]], worth: Worth, further: Outlook | None = None) -> None:
    """learning-curve.json, .csv, .md and report.html, and the table in the terminal. further: what more images buy."""
    from recipes.report.page import write_page
    from recipes.verbs.pages_of_fits import curve_page

    stem, table = fits.out / "learning-curve", list(cells(rows, "images"))
    last_step = {**vars(worth), "verdict": worth.verdict}
    content = {"about": fits.about, "rows": list(rows), "last_step": last_step}
    if further is not None:
        content["outlook"] = {**vars(further), "verdict": further.verdict}
    write_json(stem.with_suffix(".json"), plain(content))
    lines = [str(worth), *([] if further is None else [str(further)])]
    write_tables(stem, table, fits.about)
    write_page(fits.out / "report.html", curve_page(fits, rows, lines))
    print(text_table(table))
    print("\n".join(lines))
    print(f"report: {fits.out / 'report.html'}")
