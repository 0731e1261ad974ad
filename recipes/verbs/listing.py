"""`cli.py recipes list|check` and `cli.py domains list|check|card`: texts for a terminal, a page, a draft."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from domains.errors import InputError
from domains.registry import GROUP
from recipes.reading.command import following, override
from recipes.reading.compose import list_recipes, load_any
from recipes.reading.domain_section import BUILT_IN_DOMAINS
from recipes.reading.pretrain_schema import PretrainRecipe


def recipes_text() -> str:
    """A line per shipped recipe."""
    lines = [f"{name:<16} {about}" for name, about in list_recipes().items()]
    return "\n".join([*lines, following("recipes", "show", "pathology")])


def checked_text(recipe: str, overrides: Sequence[str] = ()) -> str:
    """That the recipe is right, and how to run it; InputError where it is not."""
    verb = "pretrain" if isinstance(load_any(recipe, overrides), PretrainRecipe) else "fit"
    return f"{recipe} is right\n{following(verb, '--recipe', recipe, *overrides)}"


def domains_text() -> str:
    """A line per domain: its name and who brings it."""
    ours = dict.fromkeys(BUILT_IN_DOMAINS, "built in")
    installed = {point.name: point.value for point in entry_points(group=GROUP)}
    lines = [f"{name:<16} {origin}" for name, origin in {**ours, **installed, **ours}.items()]
    return "\n".join([*lines, following("domains", "check", "DIR")])


def check_folder_text(
    folder: Path,
    groups: Path | None = None,
    domain: str | None = None,
    *,
    html: Path | None = None,
    overwrite: bool = False,
    strict: bool = False,
    labels: str | None = None,
    void: str | None = None,
) -> tuple[str, str]:
    """(what the folder holds, why that won't do): a page at `html` too. Nothing will do of which nothing can be learnt,
    nor, under `strict`, where anything was left out. InputError where the folder itself is unusable.

    labels, void: what its label pictures hold, as `domain.labels` and `domain.void` say it to `fit`.
    """
    refuse_existing(html, overwrite)
    report = examined(folder, groups, domain, html is not None, labels, void)
    lines = [report.text()]
    if html is not None:
        from domains.datasets.report import report_html

        write_text(html, report_html(report))
        lines.append(f"report: {html}")
    if report.unusable:
        return "\n".join(lines), report.unusable
    if strict and report.skipped:
        return "\n".join(lines), f"{str(folder)!r}: {len(report.skipped)} faults, the first is {report.skipped[0]}"
    return "\n".join([*lines, fit_line(folder, groups, domain, labels, void, strict)]), ""


def fit_line(
    folder: Path, groups: Path | None, domain: str | None, labels: str | None, void: str | None, strict: bool = False
) -> str:
    """How to fit to a folder as it was just read; the recipe is the reader's to choose unless a domain was named."""
    of_plugin = domain is not None and domain not in BUILT_IN_DOMAINS
    recipe = "base" if of_plugin else domain or "RECIPE"
    words = ["--recipe", recipe, "--data", folder, *(["--strict"] if strict else [])]
    options = {"name": domain if of_plugin else None, "groups": groups, "labels": labels, "void": void}
    chosen = [word for key, value in options.items() for word in override(f"domain.{key}", value)]
    choice = f"   (RECIPE: {', '.join(BUILT_IN_DOMAINS)})" if recipe == "RECIPE" else ""
    return following("fit", *words, *chosen) + choice


def draft_data_card(
    folder: Path,
    out: Path | None = None,
    groups: Path | None = None,
    domain: str | None = None,
    overwrite: bool = False,
) -> str:
    """Writes the draft and says which of its fields wait for somebody who knows."""
    from domains.datasets.card_draft import draft_card
    from domains.datasets.cards import IN_FOLDER, open_card

    out = out or folder / IN_FOLDER
    refuse_existing(out, overwrite)
    write_text(out, draft_card(examined(folder, groups, domain), folder.resolve().name))
    return f"data card: {out}\nto be filled in: {', '.join(open_card(out).missing)}"


def examined(
    folder: Path,
    groups: Path | None,
    domain: str | None,
    pictures: bool = False,
    labels: str | None = None,
    void: str | None = None,
) -> Any:
    """The report of `check_folder`, read as a domain reads it where one is named. Raises InputError."""
    from domains.datasets.check import check_folder
    from domains.datasets.domain import DomainSpec, load_domain
    from domains.datasets.report import EXAMPLES
    from domains.formats.label_meanings import said
    from domains.formats.layout import Reading
    from recipes.verbs.progress import reading_shown

    spec = load_domain(domain) if domain is not None else None
    if spec is not None and not isinstance(spec, DomainSpec):
        raise InputError(f"--domain is {domain!r}, which reads its data by itself; only a DomainSpec can be checked")
    layouts = None if spec is None else spec.known_layouts
    reading = Reading(**said(labels, void))
    with reading_shown():
        return check_folder(folder, groups, examples=EXAMPLES if pictures else 0, layouts=layouts, reading=reading)


def refuse_existing(path: Path | None, overwrite: bool) -> None:
    """Before any work is done for a file that cannot be written."""
    if path is None:
        return
    if path.exists() and not overwrite:
        raise InputError(f"{str(path)!r} exists; name another file, or replace it by --overwrite")
    if not path.parent.is_dir():
        raise InputError(f"{str(path)!r}: there is no folder {str(path.parent)!r}; make it first")


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all, in UTF-8."""
    from domains.atomic import atomic_path

    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # a name may hold no Unicode
