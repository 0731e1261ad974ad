"""`cli.py evaluate`: the metrics of an adapter, or of the bare base, on labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from adapters.inference.segment import Cut, InputContract, measure, segment
from adapters.runtime import CPU, Runtime
from adapters.sharing.learnt import Met
from domains.datasets.domain import Domain
from domains.entities import EntityMap
from domains.errors import InputError
from domains.metrics import MetricSet
from domains.metrics.sweep import Sweep
from recipes import set_up
from recipes.build import contract_of, domain_of, run_folder
from recipes.check_data import check_data, check_entities, tell_reading
from recipes.inputs import ALL, Asked
from recipes.learnt import met_again, met_line
from recipes.load import Loaded, loaded
from recipes.reading.command import base_elsewhere, following, option, size_said
from recipes.reading.compose import changed
from recipes.reading.schema import Recipe
from recipes.report.page import Page, write_page
from recipes.report.pictures import Picture
from recipes.runtime import words_of
from recipes.scale import at_scale, pixel_size, unsized_note
from recipes.sets import run_names
from recipes.shared import BASE, on_data
from recipes.sides import window_on_patches
from recipes.verbs.class_table import ClassTable
from recipes.verbs.granularity_curve import GranularityCurve, check_curve_files
from recipes.verbs.numbers import plain, write_json
from recipes.verbs.pages import evaluate_page, pictures_of
from recipes.verbs.progress import Progress, reading_shown
from recipes.verbs.tables import counts_line, text_table, with_span


def evaluate(
    adapter: str,
    data: str | None = None,
    split: str = "test",
    json_path: Path | None = None,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    asked: Asked = Asked(),  # noqa: B008  # frozen
    *,
    runtime: Runtime = CPU,
    fast: bool = False,
    report: Path | None = None,
    granularity: float | str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    member: str | None = None,
) -> dict[str, Any]:
    """Measure, print a table, write `json_path` and `report` if given; returns what the JSON holds. fast: measure the
    student. granularity: in [0, 1], of another cut than the adapter's, or `all`, whose curve goes into a folder.
    member: of an adapter of several domains, the one that is measured.
    """
    set_up()
    check_files(json_path, report, out, granularity, overwrite)
    with loaded(adapter, recipe, overrides, runtime=runtime, fast=fast, member=member) as network:
        shared = network.shared
        moved = on_data(network.recipe, data) if shared is None else shared.on_data(data, overrides)
        measured = changed(network.recipe, [*moved, *overrides])
        evaluation = examined(
            network, measured, split, asked, granularity, untouched=adapter == BASE, drawn=report is not None
        )
    metrics, classes, curve, met = evaluation.metrics, evaluation.classes, evaluation.curve, evaluation.met
    result = {
        **numbers_of(metrics),
        "entities": evaluation.entities,
        "learnt_from": met and {"train": met.train, "val": met.val, "told": met.comparable},
        "adapter": adapter,
        **({"fast": True} if fast else {}),
        **({"domain": member} if member is not None else {}),
        **({"granularity": granularity} if granularity is not None else {}),
        **({"labels": classes.as_json()} if classes is not None else {}),
        **({"nested": curve.as_json()} if curve is not None else {}),
        "data": measured.domain.data,
        "split": split,
    }
    if json_path is not None:
        write_json(json_path, result)
    tell(evaluation, out, json_path)
    if report is not None:
        write_page(report, page_of(evaluation, adapter))
        print(f"report: {report}")
    words = predict_line(adapter, recipe, overrides, asked, measured.domain.pixel_size_m, words_of(runtime))
    at = granularity if curve is None else curve.better()
    print(" ".join([words, *option("--granularity", at), *(["--fast"] if fast else [])]))
    return result


@dataclass(frozen=True)
class Evaluation:
    """What a network made of a split of labelled images. met: which of them it learnt from, where that is recorded;
    pictures: for the report; base: the name of its backbone.
    """

    recipe: Recipe
    domain: Domain
    split: str
    metrics: MetricSet
    entities: int
    met: Met | None
    classes: ClassTable | None
    curve: GranularityCurve | None
    pictures: list[Picture]
    base: str


def examined(
    network: Loaded,
    recipe: Recipe,
    split: str,
    asked: Asked,
    granularity: float | str | None,
    *,
    untouched: bool,
    drawn: bool,
) -> Evaluation:
    """Measure a network on the recipe's data; says first what of them cannot be used or was learnt from. untouched: it
    is the bare base, whose scale is measured as `fit` would; drawn: with pictures.
    """
    domain = domain_of(recipe)
    with reading_shown():
        samples = domain.dataset(split)  # type: ignore[arg-type]
    tell_reading(domain, recipe.domain)
    check_entities(domain, recipe.domain, (split,))
    check_data(domain, recipe.domain, (split,))
    met = met_again(network.learnt_from, domain, recipe.domain, split)
    if met is not None and met.images:
        print(met_line(met, len(samples), split))
    contract = network.contract
    if untouched and recipe.domain.scale == "auto":  # as `fit` measures it before it fits
        train = domain.dataset("train")
        contract = contract_of(at_scale(network.recipe, train), pixel_size(train))
    contract = contract.changed(**vars(window_on_patches(asked, network.segmenter.backbone)))
    if note := unsized_note(contract.pixel_size_m, samples):
        print(note)
    cut = Cut.of(network.segmenter, granularity if isinstance(granularity, float) else None, granularity == ALL)
    levels = cut.levels
    metrics = MetricSet(domain.metrics()) if levels is None else Sweep(domain.metrics, levels.finest_first)
    with Progress("evaluate", len(samples), unit="images") as progress:
        reports = progress.advance, progress.tick
        classes = class_table(network, contract)
        named: dict[str, Any] = {} if classes is None else {"on_prediction": partial(classes.update, samples)}
        measure(network.segmenter, samples, metrics, contract, *reports, cut=cut, **named)
    curve = None
    if isinstance(metrics, Sweep) and levels is not None:
        curve = GranularityCurve(metrics, domain.headline, levels.finest_first[levels.flat])

    def prediction(index: int) -> EntityMap:
        return segment(network.segmenter, contract.photograph(samples[index]), contract, cut=cut)

    return Evaluation(
        recipe,
        domain,
        split,
        metrics,
        entities=sum(samples[i].truth.count for i in range(len(samples))),
        met=met,
        classes=classes,
        curve=curve,
        pictures=pictures_of(samples, metrics, domain.headline, prediction) if drawn else [],
        base=Path(network.segmenter.backbone.name).name,
    )


def tell(evaluation: Evaluation, out: Path | None, json_path: Path | None) -> None:
    """Print the table, and write what else it shows: the curve over the cuts, and which class is taken for which."""
    metrics, classes, curve = evaluation.metrics, evaluation.classes, evaluation.curve
    print(metrics_text(metrics))
    images = f"{len(metrics)} images in {len(set(metrics.groups))} groups"
    print(f"{evaluation.recipe.domain.data}, {evaluation.split}: {images}, {evaluation.entities} entities")
    if curve is not None:
        print("\n".join(curve.lines()))
        files = curve.write(run_folder("evaluate", evaluation.domain.name, out))
        print(f"curve: {', '.join(map(str, files))}")
    if classes is not None:
        print(classes.text())
    if json_path is not None:
        print(f"numbers: {json_path}")
        if classes is not None:
            matrix = classes.write(json_path.with_suffix(""))
            print(f"which class is taken for which: {', '.join(map(str, matrix))}")


def page_of(evaluation: Evaluation, adapter: str) -> Page:
    """The report."""
    metrics, met, curve = evaluation.metrics, evaluation.met, evaluation.curve
    about = {
        "recipe": evaluation.domain.name,
        "adapter": run_names([adapter], set())[adapter],
        "base": evaluation.base,
        "split": evaluation.split,
        "measured on": f"{len(metrics)} images in {len(set(metrics.groups))} groups",
        "entities": f"{evaluation.entities:,}",
    }
    notes = [counts_line(metrics), *([met_line(met, len(metrics), evaluation.split)] if met and met.images else [])]
    return evaluate_page(
        evaluation.recipe,
        metrics,
        evaluation.domain.headline,
        None if adapter == BASE else adapter,
        notes,
        evaluation.pictures,
        about,
        further=[] if curve is None else [curve.section()],
    )


def numbers_of(metrics: MetricSet) -> dict[str, Any]:
    """What the JSON says of the metrics."""
    return {
        "metrics": plain(metrics.compute()),
        "intervals_95": plain(metrics.interval()),
        "by_stratum": plain(metrics.by_stratum()),
        "counts": plain(metrics.counted()),
        "images": len(metrics),
        "groups": len(set(metrics.groups)),
    }


def metrics_text(metrics: MetricSet) -> str:
    """The table of the metrics with their intervals, and how many entities were right, wrong and missed."""
    values, spans = metrics.compute(), metrics.interval()
    rows = [[key, with_span(values[key], spans[key])] for key in values]
    return f"{text_table([['metric', 'value [95 % interval]'], *rows])}\n{counts_line(metrics)}"


def class_table(network: Loaded, contract: InputContract) -> ClassTable | None:
    """What the classes of an adapter's entities are held against, where it names any."""
    if network.labeller is None:
        return None
    return ClassTable(network.segmenter, network.labeller, contract, network.recipe.labels.map)


def check_files(
    json_path: Path | None, report: Path | None, out: Path | None, granularity: float | str | None, overwrite: bool
) -> None:
    """Raises InputError for files that could not be written, before anything is measured."""
    for name, path in (("--json", json_path), ("--report", report)):
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{name} is {str(path)!r}, but there is no folder {str(path.parent)!r}; make it first")
    if granularity != ALL and (out is not None or overwrite):
        raise InputError(f"--out and --overwrite are for the curve of --granularity {ALL}; leave them out, or add that")
    if out is not None:
        check_curve_files(out, overwrite)


def predict_line(
    adapter: str,
    recipe: str | None,
    overrides: Sequence[str],
    asked: Asked,
    pixel_size_m: float | None = None,
    runtime_words: Mapping[str, str | None] = MappingProxyType({}),
) -> str:
    """The command that predicts as it was just measured."""
    scales = None if asked.test_scales is None else ",".join(f"{scale:g}" for scale in asked.test_scales)
    options = {
        "--recipe": recipe,
        "--symmetries": asked.symmetries,
        "--test-scales": scales,
        "--window": asked.window_px,
        **runtime_words,
    }
    words = [word for name, value in options.items() for word in option(name, value)]
    words += [*size_said(pixel_size_m), *base_elsewhere(overrides)]
    return following("predict", "--adapter", adapter, "IMAGE", "--out", "predictions", *words)
