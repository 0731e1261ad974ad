"""What the parts that a domain brings are worth: each fitted with and without, the rest being equal.

    python benchmarks/parts.py --data DIR [--part stain] [--shard 0/2]     every job that has no result yet
    python benchmarks/parts.py --table                                     results -> benchmarks/parts.md

Test splits are not looked at. The images of training and validation are cut into three folds by group; of seed s, fold
s is measured and the other two are fitted, for the same CPU-seconds, in one thread. Thresholds are calibrated on images
that were fitted. So the spread holds what the data matter, and arms are compared fold by fold.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import torch
import typer

from adapters.runtime import best_precision
from adapters.training.fitting import fit
from benchmarks.ablations.paired import drawn_text, paired_span
from benchmarks.ablations.plan import LESS, PARTS, SECONDS, SEEDS, Part, PartJob, part_jobs
from benchmarks.ablations.unlabelled import pictures
from benchmarks.accuracy.job import (
    ENOUGH_STEPS,
    VAL_CROPS,
    VALIDATIONS,
    WARMUP_STEPS,
    costs,
    entities_by_stratum,
    name_digest,
)
from benchmarks.accuracy.plan import SETS
from benchmarks.accuracy.table import short
from domains.datasets.domain import DataDomain, first_images, name_hash
from domains.formats.layout import Record, Split
from recipes import set_up
from recipes.build import domain_of
from recipes.plan import Splits, budget_of, calibrated_for, plan_of
from recipes.reading.compose import load_recipe
from recipes.reading.schema import Recipe
from recipes.verbs.numbers import plain, write_json
from recipes.verbs.unlabelled import taught

HERE = Path(__file__).resolve().parents[1]
CALIBRATED_ON = 24
"""Tiles of the fitted images."""


@dataclass(frozen=True)
class Resplit(DataDomain):
    """A domain whose splits are given."""

    given: Mapping[Split, Sequence[Record]] = field(default_factory=dict)

    @property
    def splits(self) -> dict[Split, list[Record]]:  # type: ignore[override]
        return {split: list(records) for split, records in self.given.items()}


def thirds(records: Sequence[Record]) -> dict[str, int]:
    """Group -> fold, 0 to 2: in turn, class after class, in the order of the names' hashes."""
    strata: dict[str, set[str]] = {}
    first = {record.group: record.stratum for record in reversed(records)}
    for group, stratum in first.items():
        strata.setdefault(stratum, set()).add(group)
    order = [group for stratum in sorted(strata) for group in sorted(strata[stratum], key=name_hash)]
    return {group: turn % len(SEEDS) for turn, group in enumerate(order)}


def resplit(domain: DataDomain, job: PartJob) -> Resplit:
    """Training and validation images as what is fitted ("train") and what is measured ("val").

    Where the size of the training set is limited, that is of images with entities; those without all stay.
    """
    part = PARTS[job.part]
    records = [*domain.splits["train"], *domain.splits["val"]]
    held_out: Callable[[Record], bool]
    if part.held_out is None:
        fold = thirds(records)
        held_out = lambda record: fold[record.group] == job.seed  # noqa: E731
    else:
        records = [record for record in records if record.stratum not in part.left_out]
        held_out = lambda record: record.stratum == part.held_out  # noqa: E731
    given: dict[Split, list[Record]] = {
        "train": [record for record in records if not held_out(record)],
        "val": [record for record in records if held_out(record)],
        "test": [],
    }
    if job.images is not None:
        empty = {record.name for record in given["train"] if not domain.folder.layout.read(record).truth.count}
        labelled = first_images([record for record in given["train"] if record.name not in empty], job.images)
        given["train"] = labelled + [record for record in given["train"] if record.name in empty]
    options = {option.name: getattr(domain, option.name) for option in fields(DataDomain)}
    return Resplit(**options, given=given)


def run_part(job: PartJob, data: Path, path: Path) -> dict[str, Any]:
    """Fit, calibrate, measure; the result, also written to `path`."""
    recipe = part_recipe(job, data)
    set_up()
    torch.set_num_threads(1)
    whole = domain_of(recipe)
    assert isinstance(whole, DataDomain)
    domain = resplit(whole, job)
    train, held_out = domain.dataset("train"), domain.dataset("val")
    budget = budget_of(recipe, VALIDATIONS, time.process_time)
    part = PARTS[job.part]
    with ExitStack() as stack:
        if share := part.arms[job.arm].unlabelled_share:
            others = resplit(whole, replace(job, images=None)).given["train"]
            folder = stack.enter_context(pictures(whole, others, domain.given["train"]))
            recipe = replace(recipe, train=replace(recipe.train, unlabelled=str(folder), unlabelled_share=share))
        prepared = plan_of(recipe, domain, Splits(train, train, held_out), budget, val_crops=VAL_CROPS)
        prepared = taught(prepared, domain)
    plan = replace(prepared.plan, measure_before=False, calibration_tiles=CALIBRATED_ON)
    if part.paired:
        keys = dict.fromkeys([*part.columns, calibrated_for(recipe, domain)])
        plan = replace(plan, metrics=lambda: {key: domain.metrics()[key] for key in keys})
    fitted = fit(plan)
    assert fitted.after is not None
    result = plain(
        {
            "part": job.part,
            "arm": job.arm,
            "seed": job.seed,
            "images_limit": job.images,
            "seconds_limit": part.seconds,
            **costs(fitted.training),
            "metrics": fitted.after.compute(),
            "by_stratum": fitted.after.by_stratum(),
            "calibration": str(fitted.calibration),
            "train_images": len(train),
            "images": len(held_out),
            "entities": sum(entities_by_stratum(held_out).values()),
            "split": name_digest(record.name for record in held_out.records),
            "precision": best_precision(recipe.train.precision, "cpu"),
            **({"drawn": drawn_text(fitted.after, part.columns)} if part.paired else {}),
        }
    )
    write_json(path, result)
    return result


def part_recipe(job: PartJob, data: Path) -> Recipe:
    """The recipe of a part's set, with what its arm says: one view of each tile, by default a watershed."""
    part = PARTS[job.part]
    index = data / "index" / f"{part.set}.csv"
    overrides = [
        f"domain.data={data / part.set}",
        "method.name=decoder_only",
        "domain.symmetries=1",
        "domain.window_px=null",
        "decoder.regions=false",
        f"train.seed={job.seed}",
        f"train.warmup_steps={WARMUP_STEPS}",
        f"train.steps={ENOUGH_STEPS}",
        f"train.seconds={part.seconds}",
        "train.device=cpu",
        *([f"domain.groups={index}"] if index.is_file() else []),
        *part.arms[job.arm].overrides,
    ]
    return load_recipe(SETS[part.set].recipe, overrides)


def render(results: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a table per part and size of the training set, a row per arm, differences fold by fold."""
    texts = [HEAD]
    for name, part in PARTS.items():
        for images in part.images:
            every = {arm: own_results(results, name, arm, images) for arm in part.arms}
            rows = {arm: fits for arm, fits in every.items() if fits}
            if len(rows) > 1 and every[next(iter(part.arms))]:  # the plain one, and another
                texts.append(part_table(name, part, images, rows))
    return "\n".join(texts)


def own_results(
    results: Sequence[Mapping[str, Any]], part: str, arm: str, images: int | None
) -> dict[int, Mapping[str, Any]]:
    """Seed -> result; of another part where that made the same fit and this one did not."""
    fits = {}
    for seed in SEEDS:
        key = PartJob(part, arm, seed, images).key
        for result in sorted(results, key=lambda result: result["part"] == part):
            if PartJob(result["part"], result["arm"], result["seed"], result["images_limit"]).key == key:
                fits[seed] = result
    return fits


def part_table(name: str, part: Part, images: int | None, rows: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> str:
    plain_arm = next(iter(part.arms))
    sizes = [result["train_images"] for result in rows[plain_arm].values()]
    fitted = f"{min(sizes)} to {max(sizes)} images"
    held_out = f"its {part.held_out} images" if part.held_out else "a third of the groups"
    lines = [["arm", *part.columns, "steps", "seeds"], ["---"] * (len(part.columns) + 3)]
    for arm, fits in rows.items():
        cells = [cell(fits, rows[plain_arm], key, arm == plain_arm) for key in part.columns]
        lines.append([arm, *cells, f"{fmean(result['steps'] for result in fits.values()):.0f}", str(len(fits))])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    size = "" if images is None else f", {images} labelled images"
    seconds = "" if part.seconds == SECONDS else f" {part.seconds:g} CPU-seconds."
    spans = f" {SPANS}" if part.paired else ""
    text = f"{part.set}, {held_out} held out; fitted on {fitted}.{seconds}{spans}"
    return f"## {name.replace('_', ' ')}{size}\n\n{text}\n\n{table}\n"


def cell(fits: Mapping[int, Any], plainly: Mapping[int, Any], key: str, is_plain: bool) -> str:
    """`.512 ± .040 (+.012 ± .008)`: mean and spread, and those of the difference from the plain arm, seed by seed."""
    values = {seed: result["metrics"].get(key) for seed, result in fits.items()}
    known = [value for value in values.values() if value is not None]
    if not known:
        return "-"
    text = spread(known)
    if is_plain:
        return text
    pairs = [(value, plainly[seed]["metrics"].get(key)) for seed, value in values.items() if seed in plainly]
    gains = [value - other for value, other in pairs if value is not None and other is not None]
    return f"{text} ({spread(gains, '+')}{paired_span(fits, plainly, key)})" if gains else text


def spread(values: Sequence[float], sign: str = "") -> str:
    text = short(fmean(values), sign)
    return f"{text} ± {short(stdev(values))}" if len(values) > 1 else text


HEAD = f"""# What the parts of a domain are worth

Written by `python benchmarks/parts.py --table` from the files of `benchmarks/parts/`.

Test splits are not looked at: of seed s, the s-th third of the groups of training and validation is measured, and the
other two thirds are fitted; for stains, all images of one ground are held out. {SECONDS:g} CPU-seconds of one thread
where a table says no other budget, decoder only unless a row says otherwise, one view of each tile; thresholds
calibrated on the images that were fitted.
Mean ± standard deviation over the folds; in brackets the difference from the first row, fold by fold. A difference
smaller than its spread is none. More is better, but for {", ".join(LESS)}. The fits of "stain" started from the decoder
of nuclei before it had seen fluorescence as tissue. Entities are cut out by a watershed, not as regions
(`decoder.regions=false`), but where a row says so, there by the predicted IoU alone (`decoder.sure_foreground=1`), and
under "drawn defects", as regions as the recipe has them. An image's score in image_auroc is the maximum of its heat map
under "regions of defects" and "drawn defects"; elsewhere it was that of its best entity. "Drawn defects" was fitted in
fp32 on a processor without bf16 instructions, all else in the precision of its file. Under "unlabelled" the methods are
those of the shipped recipes, entities are regions, and what the mean teacher takes is of the CPU-seconds.
"""

SPANS = "After a difference its 95 % interval over the held-out groups of the folds measured."


def main(
    data: Annotated[Path | None, typer.Option(help="folder of the data sets and their index/")] = None,
    part: Annotated[list[str] | None, typer.Option(help=f"of {', '.join(PARTS)}; all by default")] = None,
    out: Annotated[Path, typer.Option(help="folder of the results")] = HERE / "parts",
    shard: Annotated[str, typer.Option(help="i/n: every n-th job, from the i-th")] = "0/1",
    table: Annotated[bool, typer.Option("--table", help="write the table of the results, and run nothing")] = False,
) -> None:
    """Fit and measure every arm; one JSON file each."""
    if table:
        results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(out.glob("*.json"))]
        (out.parent / "parts.md").write_text(render(results), encoding="utf-8")
        return
    for name in part or ():
        if name not in PARTS:
            raise typer.BadParameter(f"{name!r}; known: {', '.join(PARTS)}", param_hint="--part")
    if data is None or not data.is_dir():
        raise typer.BadParameter(f"wanted the folder that holds the data sets, got {data}", param_hint="--data")
    out.mkdir(parents=True, exist_ok=True)
    first, count = map(int, shard.split("/"))
    chosen = list(part_jobs({name: PARTS[name] for name in part or PARTS}))[first::count]
    for number, job in enumerate(chosen, 1):
        path = out / f"{job.name}.json"
        if path.exists():
            continue
        print(f"[{number}/{len(chosen)}] {job.name}", flush=True)
        result = run_part(job, data, path)
        shown = ", ".join(f"{key} {result['metrics'].get(key)}" for key in PARTS[job.part].columns)
        print(f"    {result['steps']} steps; {shown}; {result['calibration']}", flush=True)
