"""`cli.py evaluate`: the metrics of an adapter, or of the bare base, on labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from adapters.inference.segment import Cut, InputContract, measure, segment
from adapters.runtime import CPU, Runtime
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
from recipes.report.page import write_page
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
        domain = domain_of(measured)
        with reading_shown():
            samples = domain.dataset(split)  # type: ignore[arg-type]
        tell_reading(domain, measured.domain)
        check_entities(domain, measured.domain, (split,))
        check_data(domain, measured.domain, (split,))
        met = met_again(network.learnt_from, domain, measured.domain, split)
        if met is not None and met.images:
            print(met_line(met, len(samples), split))
        contract = network.contract
        if adapter == BASE and measured.domain.scale == "auto":  # as `fit` measures it before it fits
            train = domain.dataset("train")
            contract = contract_of(at_scale(network.recipe, train), pixel_size(train))
        contract = contract.changed(**vars(window_on_patches(asked, network.segmenter.backbone)))
        if note := unsized_note(contract.pixel_size_m, samples):
            print(note)
        nested = granularity == ALL
        cut = Cut.of(network.segmenter, granularity if isinstance(granularity, float) else None, nested)
        levels = cut.levels
        metrics = MetricSet(domain.metrics()) if levels is None else Sweep(domain.metrics, levels.finest_first)
        with Progress("evaluate", len(samples), unit="images") as progress:
            reports = progress.advance, progress.tick
            classes = class_table(network, contract)
            named: dict[str, Any] = {} if classes is None else {"on_prediction": partial(classes.update, samples)}
            measure(network.segmenter, samples, metrics, contract, *reports, cut=cut, **named)
        entities = sum(samples[i].truth.count for i in range(len(samples)))
        pictures = []
        if report is not None:
            pictures = pictures_of(
                samples,
                metrics,
                domain.headline,
                lambda index: segment(network.segmenter, contract.photograph(samples[index]), contract, cut=cut),
            )
    curve = None
    if isinstance(metrics, Sweep) and levels is not None:
        curve = GranularityCurve(metrics, domain.headline, levels.finest_first[levels.flat])
    result = {
        **numbers_of(metrics),
        "entities": entities,
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
    print(metrics_text(metrics))
    print(f"{measured.domain.data}, {split}: {len(metrics)} images in {result['groups']} groups, {entities} entities")
    if curve is not None:
        print("\n".join(curve.lines()))
        files = curve.write(run_folder("evaluate", domain.name, out))
        print(f"curve: {', '.join(map(str, files))}")
    if classes is not None:
        print(classes.text())
    if json_path is not None:
        print(f"numbers: {json_path}")
        if classes is not None:
            matrix = classes.write(json_path.with_suffix(""))
            print(f"which class is taken for which: {', '.join(map(str, matrix))}")
    if report is not None:
        about = {
            "recipe": domain.name,
            "adapter": run_names([adapter], set())[adapter],
            "base": Path(network.segmenter.backbone.name).name,
            "split": split,
            "measured on": f"{len(metrics)} images in {result['groups']} groups",
            "entities": f"{entities:,}",
        }
        notes = [counts_line(metrics), *([met_line(met, len(metrics), split)] if met and met.images else [])]
        place = None if adapter == BASE else adapter
        further = [] if curve is None else [curve.section()]
        page = evaluate_page(measured, metrics, domain.headline, place, notes, pictures, about, further=further)
        write_page(report, page)
        print(f"report: {report}")
    words = predict_line(adapter, recipe, overrides, asked, measured.domain.pixel_size_m, words_of(runtime))
    at = granularity if curve is None else curve.better()
    print(" ".join([words, *option("--granularity", at), *(["--fast"] if fast else [])]))
    return result


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
