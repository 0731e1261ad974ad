"""`cli.py fit` of a recipe with a section `mix`: several sets of labelled images in, one adapter and its numbers out.

RUN/ holds what a fit of one domain leaves; metrics.json has the numbers of each member under `members`, and under
`metrics` their means over the members of what all of them measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from adapters.options.section import checked
from adapters.runtime import CPU
from adapters.sharing.appearances import united
from adapters.sharing.folder import describe, save_adapter
from adapters.sharing.info import AdapterInfo, MixtureMember
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.probe import probe
from adapters.training.mixture import FittedMixture, decoded_by, fit_mixture
from domains.atomic import atomic_path
from domains.datasets.cards import licence_of
from domains.datasets.domain import Domain
from domains.entities.overlay import contact_sheet
from domains.errors import printable
from domains.formats.layout import SPLITS
from recipes import set_up
from recipes.build import method_of, run_folder
from recipes.check_data import check_data, check_entities, tell_reading
from recipes.learnt import images_of_fit
from recipes.mixture import (
    PreparedMixture,
    check_apart,
    domains_of,
    naming,
    prepare_mixture,
    shared_by,
    splits_of_all,
)
from recipes.plan import Splits, calibrated_for, check_learning
from recipes.reading.command import command, following
from recipes.reading.domain_section import MIX
from recipes.reading.schema import Recipe
from recipes.report.page import write_page
from recipes.routing import appearances_of
from recipes.shared import own_yaml
from recipes.verbs.fit import check_run, is_finished, longer_line, open_run, rows_of, size_of
from recipes.verbs.numbers import counted, defined, plain, write_json
from recipes.verbs.pages_of_mixtures import mixture_page
from recipes.verbs.progress import reading_shown
from recipes.verbs.tables import text_table, with_span
from recipes.verbs.training_progress import Terminal
from recipes.verbs.verdict import against, validation_curve, what_would_help


def fit_several(recipe: Recipe, out: Path | None = None, resume: bool = False) -> Path:
    """Fit one adapter to all members, measure it on the test split of each, save; returns RUN.

    Raises InputError for data or a run that won't do, and KeyboardInterrupt, when what was learnt is saved, where
    Ctrl-C ended the training.
    """
    set_up()
    domains = domains_of(recipe)
    for name, domain in domains.items():
        with naming(name):
            check_learning(recipe.member(name))
            calibrated_for(recipe.member(name), domain)
    run = run_folder("fit", MIX, out)
    check_run(run, recipe, resume)
    if is_finished(run):
        print(f"{run} is finished, nothing was changed; its adapter is {run / 'adapter'}")
        print(f"next: to fit it for longer, go on from that adapter: {longer_line(run, recipe)}")
        return run
    splits = read_all(recipe, domains)
    prepared = prepare_mixture(recipe, domains, splits)
    for line in prepared.lines():
        print(line)
    checkpoint = open_run(run, recipe)
    reporter = Terminal(prepared.mixture.lead.budget, lambda: longer_line(run, recipe))
    fitted = fit_mixture(prepared.mixture, reporter, run, checkpoint)
    save(run, prepared, domains, fitted)
    if not fitted.finished:
        print(f"stopped after {fitted.training.steps} steps; what was learnt is in {run / 'adapter'}")
        print(following("fit", "--recipe", run / "recipe.yaml", "--out", run, "--resume"), flush=True)
        raise KeyboardInterrupt
    tell(run, prepared, domains, fitted)
    return run


def read_all(recipe: Recipe, domains: Mapping[str, Domain]) -> dict[str, Splits]:
    """Every member's splits, read, counted and checked in the terminal. Raises InputError for data that won't do."""
    with reading_shown():
        splits = splits_of_all(domains)
    for name, domain in domains.items():
        section = recipe.member(name).domain
        train, val, test = map(len, splits[name])
        whose = name if name == domain.name else f"{name} ({domain.name})"
        print(f"{whose}: {section.data}: {counted(train, 'image')} to train on, {val} val, {test} test")
        with naming(name):
            tell_reading(domain, section)
            check_entities(domain, section, SPLITS)
            check_data(domain, section, SPLITS)
    check_apart(recipe, domains)
    return splits


def save(run: Path, prepared: PreparedMixture, domains: Mapping[str, Domain], fitted: FittedMixture) -> None:
    """Write adapter/, preview.png, report.html and, last, metrics.json, by which a run is known to be finished."""
    network = prepared.mixture.network.place(CPU)  # where its probe will be checked
    save_adapter(
        run / "adapter", network, prepared.method, info_of(prepared, domains, fitted), own_yaml(prepared.recipe),
        overwrite=True,
    )  # fmt: skip
    preview(run / "preview.png", prepared, fitted)
    if fitted.finished:
        write_page(run / "report.html", page_of(run, prepared, domains, fitted))
    write_json(run / "metrics.json", report(run, prepared, domains, fitted))


def info_of(prepared: PreparedMixture, domains: Mapping[str, Domain], fitted: FittedMixture) -> AdapterInfo:
    """What the adapter says of itself, and of each of its domains."""
    members = {name: member_info(prepared, domains, fitted, name) for name in prepared.members}
    lead = prepared.mixture.lead
    learnt = [images_of_fit(p.recipe, domains[name]) for name, p in prepared.members.items()]
    cards = [domain.card() for domain in domains.values()]
    licences = sorted({str(card and licence_of(card.front)) for card in cards})
    with decoded_by(lead, replace(lead.network.decoder.options)):
        info = describe(
            lead.network,
            prepared.method,
            lead.contract,
            MIX,
            ", ".join(f"{name} ({member.data})" for name, member in members.items())[:1000],
            metrics=means(prepared, fitted),
            data_licence=licences[0] if len(licences) == 1 and licences[0] != "None" else None,
            learnt_from=joined([images for images in learnt if images is not None]),
            appearances=united([member.appearances for member in members.values() if member.appearances is not None]),
        )
    return replace(info, mixture=members)


def member_info(
    prepared: PreparedMixture, domains: Mapping[str, Domain], fitted: FittedMixture, name: str
) -> MixtureMember:
    """What the adapter says of one of its domains."""
    member, plan, fit = prepared.members[name], prepared.mixture.members[name], fitted.members[name]
    data = member.recipe.domain.data
    return checked(
        MixtureMember,
        {
            **of_branch(prepared, name),
            "domain": domains[name].name,
            "data": printable(data if data == "sample" else Path(data).resolve().name),
            "input": plan.contract.options(),
            "decoder": vars(fitted.options[name]),
            "metrics": {state: plain(metrics.compute()) for state, metrics in fit.measured.items()},
            "intervals": {state: defined(metrics.interval()) for state, metrics in fit.measured.items()},
            "appearances": appearances_of(plan.train, plan.val or []),
        },
    )


def of_branch(prepared: PreparedMixture, name: str) -> dict[str, Any]:
    """What the adapter says of a member's decoder, where that is not of all."""
    branches = prepared.mixture.branches
    if len(branches) == 1:
        return {}
    network, method = prepared.mixture.members[name].network, method_of(prepared.members[name].recipe)
    return {
        "branch": next(branch for branch, names in branches.items() if name in names),
        "method": asdict(method),
        "start": vars(network.decoder.start) if method.in_decoder else None,
        "probe": probe(network),
    }


def joined(several: list[LearntFrom]) -> LearntFrom | None:
    """The images of all members."""
    together = None
    for images in several:
        together = images.joined(together)
    return together


def means(prepared: PreparedMixture, fitted: FittedMixture) -> dict[str, dict[str, float]]:
    """State -> metric that all members measure -> its mean over them."""
    values: dict[str, list[Mapping[str, float]]] = {}
    for name in prepared.members:
        for state, metrics in fitted.members[name].measured.items():
            values.setdefault(state, []).append(metrics.compute())
    shared = {state: set.intersection(*({*row} for row in rows)) for state, rows in values.items()}
    return {
        state: plain({key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key in shared[state]})
        for state, rows in values.items()
    }


def report(
    run: Path, prepared: PreparedMixture, domains: Mapping[str, Domain], fitted: FittedMixture
) -> dict[str, Any]:
    """What metrics.json says."""
    shares = prepared.mixture.shares
    members = {
        name: {
            "domain": domains[name].name,
            "headline": domains[name].headline,
            "images": len(prepared.mixture.members[name].test),
            "training_images": len(prepared.mixture.members[name].train),
            "share_of_crops": round(shares[name], 4),
            "metrics": plain({state: metrics.compute() for state, metrics in fit.measured.items()}),
            "intervals_95": {state: plain(metrics.interval()) for state, metrics in fit.measured.items()},
        }
        for name, fit in fitted.members.items()
    }
    return {
        "metrics": means(prepared, fitted),
        "members": members,
        "temperature": prepared.mixture.temperature,
        "images": sum(member["images"] for member in members.values()),
        "split": "test",
        "steps": fitted.training.steps,
        "seconds": round(fitted.training.seconds, 1),
        "adapter": str(run / "adapter"),
    }


def preview(path: Path, prepared: PreparedMixture, fitted: FittedMixture) -> None:
    """A row per image of every member: as it is, truth, before, after."""
    rows = []
    for name, plan in prepared.mixture.members.items():
        for (scene, image), *pictures in rows_of(plan, fitted.members[name]):
            rows.append([(f"{name}: {scene}", image), *pictures])
    with atomic_path(path) as temporary:
        contact_sheet(rows).save(temporary)


def sentences_of(
    run: Path, prepared: PreparedMixture, domains: Mapping[str, Domain], fitted: FittedMixture
) -> list[str]:
    """What the fit was worth for each member, and what would help, as lines."""
    start = "its start" if prepared.recipe.train.start_adapter else "the base"
    lines = []
    for name, fit in fitted.members.items():
        assert fit.before is not None and fit.after is not None
        lines.append(f"{name}: {against(start, fit.before, fit.after, domains[name].headline)}")
    train = prepared.recipe.train
    images = sum(len(plan.train) for plan in prepared.mixture.members.values())
    return [*lines, what_would_help(validation_curve(run / "history.csv"), train.steps, train.seconds, images)]


def page_of(run: Path, prepared: PreparedMixture, domains: Mapping[str, Domain], fitted: FittedMixture) -> Any:
    """The page of the run."""
    facts = {
        "method": ", ".join(dict.fromkeys(method_of(member.recipe).name for member in prepared.members.values())),
        "decoders": ", ".join("+".join(names) for names in prepared.mixture.branches.values()),
        "base": Path(prepared.mixture.lead.network.backbone.name).name,
        "shares": shared_by(prepared.mixture.temperature),
        "training": f"{fitted.training.steps} steps in {fitted.training.seconds:.0f} s",
        "adapter": f"{size_of(run / 'adapter') / 1e6:.2f} MB",
    }
    headlines = {name: domain.headline for name, domain in domains.items()}
    sentences = sentences_of(run, prepared, domains, fitted)
    return mixture_page(prepared.recipe, fitted, headlines, prepared.mixture.shares, run / "adapter", sentences, facts)


def tell(run: Path, prepared: PreparedMixture, domains: Mapping[str, Domain], fitted: FittedMixture) -> None:
    """Print what each member is worth, and where the files are."""
    rows = [["", "metric", "before", "after"]]
    for name, fit in fitted.members.items():
        assert fit.before is not None and fit.after is not None
        key = domains[name].headline
        cells = [with_span(metrics.compute()[key], metrics.interval()[key]) for metrics in (fit.before, fit.after)]
        rows.append([name, key, *cells])
    print(text_table(rows))
    for line in sentences_of(run, prepared, domains, fitted):
        print(line)
    adapter = run / "adapter"
    print(f"adapter: {adapter} ({size_of(adapter) / 1e6:.2f} MB)")
    print(f"pictures: {run / 'preview.png'}   numbers: {run / 'metrics.json'}   report: {run / 'report.html'}")
    name = next(iter(fitted.members))
    print(f"one of its domains for every verb: {command('adapters', 'member', adapter, '--domain', name, 'FOLDER')}")
    words = ["predict", "--adapter", adapter, "--domain", name, "IMAGE", "--out", run / "predictions"]
    print(following(*words))
