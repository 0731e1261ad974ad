"""The row `routed` of `transfer`: each image by the adapter that `predict --adapter auto` chooses for it.

The choice is among the adapters of the table; what none of them fits goes to the base, as the set's recipe has it. No
network runs for it: what an adapter finds in an image is in its cell, from which that image's numbers are taken. The
choices are kept beside the cells, by content.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.sharing.appearances import Appearances
from domains.errors import InputError
from domains.metrics.state import Stateful
from domains.scenes.appearance import appearance_of_image
from recipes.routing import Router
from recipes.shared import BASE
from recipes.verbs.numbers import write_json
from recipes.verbs.progress import Progress
from recipes.verbs.transfer_cells import CellFolder, MeasuredSet
from recipes.verbs.transfer_jobs import About, Job
from recipes.verbs.transfer_table import MEASURED, OWN, ROUTED, Measurements


@dataclass(frozen=True)
class Routed:
    """The row that each image of each set goes to, an adapter's or `base`."""

    columns: Sequence[MeasuredSet]
    choices: Mapping[str, Sequence[str]]
    """By set."""

    def beside(self, measured: Measurements) -> Measurements:
        """The measurements with this row, put together from the cells of the others, before those that went on."""
        sets, marks = dict(measured.sets), {}
        for column in self.columns:
            choices = self.choices[column.name]
            rows = list(dict.fromkeys(choices))
            metrics = column.metrics()
            metrics.pick([sets[row, column.name] for row in rows], [rows.index(row) for row in choices])
            sets[ROUTED, column.name] = metrics
            met = {measured.fitted.get(row, {}).get(column.name, "") for row in rows}
            marks[column.name] = next((mark for mark in (MEASURED, OWN) if mark in met), "")
        return replace(
            measured,
            rows=[*(row for row in measured.rows if row not in measured.shots), ROUTED, *measured.shots],
            sets=sets,
            fitted={**measured.fitted, ROUTED: marks},
            routes={name: dict(Counter(choices)) for name, choices in self.choices.items()},
        )


def check_routed(about: Mapping[str, About], columns: Sequence[MeasuredSet]) -> None:
    """Prints which adapters are not chosen from. Raises InputError where none says how its images look, and for a set
    with a metric of a package that keeps nothing of each image.
    """
    silent = [row for row, facts in about.items() if facts.appearances is None]
    if silent:
        print(f"left out of routing: {', '.join(silent)}: they do not say how their images look", file=sys.stderr)
    if len(silent) == len(about):
        raise InputError("--routed: no adapter says how its images look; fit one anew, or leave it out")
    for column in columns:
        for key, metric in column.measures.metrics().items():
            if not isinstance(metric, Stateful):
                raise InputError(
                    f"--routed takes numbers by image, which {key!r} of {column.name!r} does not keep; leave it out"
                )


def routed_row(about: Mapping[str, About], columns: Sequence[MeasuredSet], cells: CellFolder) -> Routed:
    """Choose for every image of every set. about: of each row that is an adapter; one of other bands than generated
    scenes have is not chosen there.
    """
    choices = {}
    for column in columns:
        present = {row: facts for row, facts in about.items() if Job(row, "", column, facts).can_be_measured}
        choices[column.name] = choices_of(present, column, cells)
    return Routed(columns, choices)


def choices_of(about: Mapping[str, About], column: MeasuredSet, cells: CellFolder) -> list[str]:
    """The row that each image of a set goes to, by content from before where it was chosen then."""
    looks = {row: facts.appearances for row, facts in about.items() if facts.appearances is not None}
    rows = [*looks, BASE]
    path = cells.named({"routed": [about[row].digest for row in looks], **cells.facts(column)})
    places = kept_places(path, len(column.samples), len(rows))
    if places is None:
        places = [rows.index(row) for row in chosen(looks, column)]
        cells.folder.mkdir(parents=True, exist_ok=True)
        content = {"adapter": ROUTED, "data": column.name, "split": cells.split, "rows": rows, "places": places}
        write_json(path, content, indent=None)
    return [rows[place] for place in places]


def chosen(looks: Mapping[str, Appearances], column: MeasuredSet) -> list[str]:
    """The row that each image of a set goes to; looks: how the images of each adapter look."""
    if not looks:
        return [BASE] * len(column.samples)
    router, rows = Router(looks), []
    with Progress("choose", len(column.samples), unit="images") as progress:
        for i in range(len(column.samples)):
            rows.append(router.choose(appearance_of_image(column.samples[i].image)).adapter or BASE)
            progress.advance()
    return rows


def kept_places(path: Path, images: int, rows: int) -> list[int] | None:
    """The place among the rows of each image's choice, as a file has them; None without a whole one."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["places"]
        whole = len(places) == images and all(type(place) is int and 0 <= place < rows for place in places)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return places if whole else None
