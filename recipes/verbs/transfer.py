"""`cli.py transfer`: N adapters and the bare base on M data sets.

All adapters of one base share it: it is loaded once and the next adapter is swapped in. What was measured before into
the same folder is not measured again (`transfer_cells.py`), so a run that was stopped goes on with the same command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.runtime import CPU, Runtime
from domains.errors import InputError
from recipes import set_up
from recipes.build import domain_of
from recipes.check_data import check_data, check_entities, tell_reading
from recipes.learnt import met_again
from recipes.report.page import Page, write_page
from recipes.sets import AskedSet, recipe_for, recipe_words
from recipes.shared import BASE, same_folder
from recipes.verbs.few_shot import FewShot, few_shot_jobs, starts_of
from recipes.verbs.pages import transfer_page
from recipes.verbs.progress import reading_shown
from recipes.verbs.transfer_cells import CellFolder, MeasuredSet
from recipes.verbs.transfer_generated import GENERATED, generated_set
from recipes.verbs.transfer_jobs import About, Job, LabelledSet, Measuring, about_adapter
from recipes.verbs.transfer_routed import check_routed, routed_row
from recipes.verbs.transfer_table import (
    MARKS,
    MEASURED,
    OWN,
    ROUTED,
    Measurements,
    Report,
    Table,
    legend,
    printed,
    write,
)


@dataclass(frozen=True)
class Extras:
    """Rows and columns beside the adapters and the sets that are named.

    few_shot: what each adapter becomes on a few images of each set. generated: what each knows of generated scenes.
    routed: what comes of choosing among them for each image.
    """

    few_shot: FewShot | None = None
    generated: bool = False
    routed: bool = False


NO_EXTRAS = Extras()


def transfer(
    adapters: Mapping[str, str],
    sets: Sequence[AskedSet],
    out: Path,
    split: str = "test",
    backbone: str | None = None,
    runtime: Runtime = CPU,
    extras: Extras = NO_EXTRAS,
) -> Table:
    """Measure every adapter on every data set; writes transfer.* and report.html into `out`, and cells/.

    adapters: path to the name of its row, as `parse_adapters` has them. backbone: where the base of adapters lies that
    is not where they say. Raises InputError, also where `out` holds a table of another split.
    """
    set_up()
    if runtime.precision == "int8":
        raise InputError("--precision int8 is for one adapter; transfer has many on one base: leave it out")
    check_out(out, split)
    check_extras(extras, adapters, sets, split)
    about = {row: about_adapter(path) for path, row in adapters.items() if path != BASE}
    named = labelled_sets(sets, about, split)
    columns: list[MeasuredSet] = [*named, generated_set()] if extras.generated else [*named]
    if extras.routed:
        check_routed(about, columns)
    measuring = Measuring(CellFolder(out / "cells", split, runtime), backbone)
    jobs = [job_of(path, row, column, about) for path, row in adapters.items() for column in columns]
    fitted = {row: {column.name: fitted_on(facts, column, split) for column in named} for row, facts in about.items()}
    headlines = {column.name: column.measures.headline for column in columns}
    measured = Measurements(split, list(adapters.values()), list(headlines), headlines, fitted)
    measured.sets.update(measuring.run([job for job in jobs if job.can_be_measured]))
    if extras.few_shot is not None:
        starts = starts_of(adapters, about, backbone)
        shots = {extras.few_shot.row(row): row for row in measured.rows}
        measured.sets.update(measuring.run([*few_shot_jobs(extras.few_shot, starts, named, fitted, out / "few_shot")]))
        measured = replace(measured, rows=[*measured.rows, *shots], shots=shots)
    if extras.routed:
        measured = routed_row(about, columns, measuring.cells).beside(measured)
    report = Report.of(measured)
    write_page(out / "report.html", page_of(report, adapters))
    write(out, report)
    print("\n".join(printed(report, out)))
    return report.table


def page_of(report: Report, adapters: Mapping[str, str]) -> Page:
    """The report as a page. adapters: path to the name of its row."""
    signs = {row: {column: MARKS[word] for column, word in marks.items()} for row, marks in report.fitted.items()}
    places = {row: path for path, row in adapters.items() if path != BASE}
    return transfer_page(
        report.table,
        report.rows,
        report.columns,
        report.headline,
        report.split,
        note=legend(report.fitted),
        marks=signs,
        intervals=report.intervals,
        adapters=places,
        routes=report.routes,
    )


def check_out(out: Path, split: str) -> None:
    """Raises InputError where the folder holds the table of another split, or of a version that kept no cells."""
    file = out / "transfer.json"
    if not file.exists():
        return
    if not (out / "cells").is_dir():
        raise InputError(f"{str(file)!r} exists, and no cells/ to go on from; name another --out")
    try:
        before = json.loads(file.read_text(encoding="utf-8"))["split"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{str(file)!r} is no table of transfer; name another --out") from None
    if before != split:
        raise InputError(f"{str(file)!r} is of the {before} split; name another --out for {split}")


def check_extras(extras: Extras, adapters: Mapping[str, str], sets: Sequence[AskedSet], split: str) -> None:
    """Raises InputError for extra rows and columns that cannot be told from others, or flatter."""
    if extras.few_shot is not None and split != "test":
        raise InputError(f"--few-shot learns from train and val, and --split is {split}; leave it at test")
    if extras.generated and any(asked.name == GENERATED for asked in sets):
        raise InputError(
            f"--generated adds a column {GENERATED!r}, and --data has a set of that name; name it otherwise"
        )
    if extras.routed and ROUTED in adapters.values():
        raise InputError(f"--routed adds a row {ROUTED!r}, and --adapter has one of that name; name it otherwise")


def labelled_sets(sets: Sequence[AskedSet], about: Mapping[str, About], split: str) -> list[LabelledSet]:
    """The sets that are asked for, read and checked. Raises InputError."""
    chosen = {asked.name: recipe_for(asked, [facts.shared for facts in about.values()]) for asked in sets}
    domains = {name: domain_of(recipe) for name, recipe in chosen.items()}
    with reading_shown():
        samples = {name: domain.dataset(split) for name, domain in domains.items()}  # type: ignore[arg-type]
    for name, domain in domains.items():
        tell_reading(domain, chosen[name].domain)
        check_entities(domain, chosen[name].domain, (split,))
        check_data(domain, chosen[name].domain, (split,))
    return [LabelledSet(name, samples[name], domain, domain, chosen[name]) for name, domain in domains.items()]


def job_of(adapter: str, row: str, column: MeasuredSet, about: Mapping[str, About]) -> Job:
    """An adapter, or the base by the recipe of the set's domain, on a set; on generated scenes by the general one."""
    if adapter == BASE:
        return Job(row, adapter, column, recipe=recipe_words(getattr(column.measures, "name", BASE)))
    return Job(row, adapter, column, about[row])


def fitted_on(about: About, column: LabelledSet, split: str) -> str:
    """MEASURED where the adapter learnt from images that are measured, OWN where from others of the set, "" elsewhere.

    By the images' digests; of an adapter or data without them by the name of the folder.
    """
    shared, domain, section = about.shared, column.domain, column.recipe.domain
    measured = met_again(about.learnt, domain, section, split)
    if measured is None:
        same_set = shared.recipe.domain.name == domain.name and same_folder(section.data, shared.data)
        return OWN if same_set else ""
    if measured.images:
        return MEASURED
    anywhere = met_again(about.learnt, domain, section, "all")
    return OWN if anywhere is not None and anywhere.images else ""
