"""Verbs on adapters, recipes, domains and registries: `adapters show`, `recipes list`, `domains check`, `ids show`.

Each imports its work when it is called, so that `--help` answers at once.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from domains.errors import InputError
from recipes.verbs.arguments import (
    AdapterName,
    AdapterPath,
    Base,
    Device,
    Fast,
    Groups,
    NewFolder,
    OfDomain,
    Overrides,
    Overwrite,
    Resume,
    Split,
    Strict,
)

adapters_app = typer.Typer(no_args_is_help=True, help="Show, compare, keep, send and convert adapters.")
recipes_app = typer.Typer(no_args_is_help=True, help="List, show and check recipes.")
domains_app = typer.Typer(no_args_is_help=True, help="List domains, check a folder of labelled images, draft its card.")
ids_app = typer.Typer(
    no_args_is_help=True, help="Show and correct a registry of entities, as `predict --ids` keeps it."
)


class Export(StrEnum):
    onnx = "onnx"
    torchscript = "torchscript"
    merged = "safetensors-merged"
    bioimage = "bioimage.io"


class Labelling(StrEnum):
    linear = "linear"
    prototypes = "prototypes"
    knn = "knn"


class Merging(StrEnum):
    linear = "linear"
    ties = "ties"
    dare = "dare"


@adapters_app.command("show")
def adapters_show(adapter: AdapterPath) -> None:
    """What an adapter is: base, method, decoder, domain, metrics."""
    from recipes.verbs.share import shown_text

    typer.echo(shown_text(adapter))


@adapters_app.command("verify")
def adapters_verify(
    adapter: AdapterPath,
    backbone: Base = None,
) -> None:
    """Check that an adapter is whole and gives the output it was saved with."""
    from recipes.shared import check_adapter, members_of, on_base

    for member in members_of(str(adapter)) or [None]:
        check_adapter(str(adapter), overrides=on_base(backbone), member=member)
    from recipes.load import verify

    typer.echo(verify(str(adapter), backbone))


@adapters_app.command("pack")
def adapters_pack(
    folder: Annotated[Path, typer.Argument(help="An adapter's folder.")],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
) -> None:
    """Put an adapter's folder into one file."""
    from recipes.verbs.share import packed_text

    typer.echo(packed_text(folder, out))


@adapters_app.command("unpack")
def adapters_unpack(
    file: Annotated[Path, typer.Argument(help="A packed adapter.")],
    out: NewFolder,
) -> None:
    """Get an adapter's folder back from one file."""
    from recipes.verbs.share import unpacked_text

    typer.echo(unpacked_text(file, out))


@adapters_app.command("diff")
def adapters_diff(
    before: AdapterName,
    after: AdapterName,
) -> None:
    """What two adapters differ in: options, metrics, and how far their weights are apart."""
    from recipes.verbs.share import difference_text

    typer.echo(difference_text(before, after))


@adapters_app.command("card")
def adapters_card(adapter: AdapterName) -> None:
    """The card of an adapter, as the Hub shows it: results with intervals, licences, use."""
    from recipes.verbs.share import card_of

    typer.echo(card_of(adapter), nl=False)


@adapters_app.command("migrate")
def adapters_migrate(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="Of any version.")],
    out: NewFolder,
) -> None:
    """Write an adapter of any version as one of this version."""
    from recipes.verbs.share import migrated_text

    typer.echo(migrated_text(adapter, out))


@adapters_app.command("member")
def adapters_member(
    adapter: AdapterName,
    out: NewFolder,
    domain: Annotated[str, typer.Option(metavar="NAME", help="One of the adapter's domains.")],
) -> None:
    """Write one domain of an adapter of several as an adapter of its own, which every verb takes."""
    from recipes.verbs.member import member_text

    typer.echo(member_text(adapter, domain, out))


@adapters_app.command("keep")
def adapters_keep(
    adapter: AdapterName,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, _ and -.")],
) -> None:
    """Keep an adapter on this machine as the next version of a name: --adapter NAME@2 from any folder."""
    from recipes.verbs.share import kept_text

    typer.echo(kept_text(adapter, name))


@adapters_app.command("shelf")
def adapters_shelf() -> None:
    """The adapters that are kept on this machine."""
    from recipes.verbs.share import shelf_text

    typer.echo(shelf_text())


@adapters_app.command("merge")
def adapters_merge(
    adapters: Annotated[list[str], typer.Argument(metavar="ADAPTER...", help="Two or more, of one base.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write.")],
    weights: Annotated[str, typer.Option(metavar="W,W,...", help="One for each; by default equal, of sum 1.")] = "",
    method: Annotated[Merging, typer.Option(help="How updates are combined (docs/sharing.md).")] = Merging.linear,
    rank: Annotated[int | None, typer.Option(min=1, max=256, help="Of what comes out; else all of the sum.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="DOMAIN=DIR", help="Sets to measure parents and child on, as transfer.")
    ] = None,
    groups: Annotated[
        list[str] | None, typer.Option(metavar="NAME:FILE", help="Several times: a set's CSV of file,group.")
    ] = None,
    split: Annotated[Split, typer.Option(help="Of these sets.")] = Split.test,
    transfer: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where their table goes; else beside FOLDER, FOLDER-transfer.")
    ] = None,
) -> None:
    """Write one adapter that combines the updates of several, and say how far they are in each other's way."""
    from recipes.inputs import numbers
    from recipes.sets import parse_sets

    sets = parse_sets(data, groups or ()) if data else []
    from recipes.verbs.merge_adapters import merged_text, transferred

    typer.echo(merged_text(adapters, numbers(weights, "--weights"), str(method), rank, out))
    if sets:
        transferred(adapters, out, sets, transfer or out.with_name(f"{out.name}-transfer"), str(split))


@adapters_app.command("teach")
def adapters_teach(
    adapter: AdapterName,
    examples: Annotated[
        Path, typer.Option(metavar="DIR|FILE", help="Labelled images whose entities have classes, or one of them.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write.")],
    kind: Annotated[
        Labelling | None, typer.Option(help="How classes are told apart; else as the adapter does, or prototypes.")
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME=NAME", help="Several times: a class of the images, and of the adapter."),
    ] = None,
    backbone: Base = None,
) -> None:
    """Write an adapter that gives entities a class, or more classes, from a few labelled entities, without a fit."""
    from recipes.verbs.teach import taught_text

    typer.echo(taught_text(adapter, examples, out, kind and str(kind), classes or (), backbone))


@adapters_app.command("follow")
def adapters_follow(
    adapter: AdapterName,
    data: Annotated[str, typer.Option(metavar="DIR", help="Labelled images, as `fit` takes them.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Where results go; the adapter is RUN/adapter.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 400,
    seconds: Annotated[float | None, typer.Option(min=1, help="Stop after this long at the latest.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the clips.")] = 0,
    resume: Resume = False,
    backbone: Base = None,
    device: Device = "auto",
    overrides: Overrides = None,
) -> None:
    """Write an adapter that follows entities through clips by a memory of its own, from labelled images."""
    from recipes.shared import BASE, check_adapter, on_base

    if adapter == BASE:
        raise InputError("the base itself has no folder for a memory decoder; wanted an adapter, which `fit` makes")
    if not resume:  # which knows where the base lies
        check_adapter(adapter, overrides=[*on_base(backbone), *(overrides or ())])
    from recipes.verbs.follow import Budget, follow

    follow(adapter, data, out, Budget(steps, seconds, seed), overrides or (), backbone, resume=resume, device=device)


@adapters_app.command("push")
def adapters_push(
    adapter: AdapterName,
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A repository on the Hub, made where it is not.")],
    private: Annotated[bool, typer.Option(help="A new repository is for its owner alone.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Put an adapter on the Hugging Face Hub; prints its id with the commit."""
    from recipes.verbs.share import pushed_text

    typer.echo(pushed_text(adapter, repo, private, overwrite))


@adapters_app.command("pull")
def adapters_pull(adapter: Annotated[str, typer.Argument(metavar="OWNER/NAME@REVISION")]) -> None:
    """Get an adapter from the Hugging Face Hub, once for every commit; prints its folder."""
    from recipes.verbs.share import pulled_text

    typer.echo(pulled_text(adapter))


@adapters_app.command("export")
def adapters_export(
    adapter: AdapterPath,
    format: Annotated[Export, typer.Option(help="Base, merged adapter and decoder as one file (docs/runtimes.md).")],
    out: Annotated[Path, typer.Option(metavar="PATH", help="The file to write.")],
    backbone: Base = None,
    fast: Fast = False,
) -> None:
    """Write an adapter with its base for other runtimes: one graph from pixels to fields."""
    from recipes.shared import check_adapter, on_base

    check_adapter(str(adapter), overrides=on_base(backbone), fast=fast)
    from recipes.verbs.export import exported_text

    typer.echo(exported_text(str(adapter), str(format), out, backbone, fast))


@recipes_app.command("list")
def recipes_list() -> None:
    """The recipes that are shipped."""
    from recipes.verbs.listing import recipes_text

    typer.echo(recipes_text())


@recipes_app.command("show")
def recipes_show(recipe: Annotated[str, typer.Argument(metavar="NAME|FILE")], overrides: Overrides = None) -> None:
    """A recipe with everything that it inherits, as YAML."""
    from recipes.reading.compose import load_any, resolved_yaml

    typer.echo(resolved_yaml(load_any(recipe, overrides or ())), nl=False)


@recipes_app.command("check")
def recipes_check(recipe: Annotated[str, typer.Argument(metavar="NAME|FILE")], overrides: Overrides = None) -> None:
    """Whether a recipe is right; if not, what is wrong with it."""
    from recipes.reading.ignored import tell_ignored
    from recipes.verbs.listing import checked_text

    typer.echo(checked_text(recipe, overrides or ()))
    tell_ignored(recipe, overrides or ())


@domains_app.command("list")
def domains_list() -> None:
    """The domains that there are, installed ones included."""
    from recipes.verbs.listing import domains_text

    typer.echo(domains_text())


@domains_app.command("check")
def domains_check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of labelled images.")],
    groups: Groups = None,
    domain: OfDomain = None,
    report: Annotated[Path | None, typer.Option(metavar="HTML", help="Write it there with pictures.")] = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    labels: Annotated[
        str | None, typer.Option(metavar="KIND", help="What label pictures hold: ids, mask, classes.")
    ] = None,
    void: Annotated[str | None, typer.Option(metavar="N", help="Their number that is unlabelled, or none.")] = None,
) -> None:
    """What a folder of labelled images holds, every file at fault, and leaks."""
    from recipes.verbs.listing import check_folder_text

    text, refusal = check_folder_text(
        folder, groups, domain, html=report, overwrite=overwrite, strict=strict, labels=labels, void=void
    )
    typer.echo(text)
    if refusal:
        raise InputError(refusal)


@domains_app.command("card")
def domains_card(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of labelled images.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="By default DIR/data_card.md.")] = None,
    groups: Groups = None,
    domain: OfDomain = None,
    overwrite: Overwrite = False,
) -> None:
    """Draft a data card: counts, sizes, hashes; what only you know is left blank."""
    from recipes.verbs.listing import draft_data_card

    typer.echo(draft_data_card(folder, out, groups, domain, overwrite))


RegistryFile = Annotated[Path, typer.Argument(metavar="REGISTRY", help="A file that `predict --ids` has written.")]


@ids_app.command("show")
def ids_show(
    registry: RegistryFile,
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...", help="These alone; all by default.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most, where none is named.")] = 50,
    masks: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the last mask of each as ID.png.")] = None,
) -> None:
    """The entities of a registry: how often and when they were seen, and in which clips and images."""
    from recipes.verbs.ids import shown_text

    typer.echo(shown_text(registry, ids or (), limit, masks))


@ids_app.command("merge")
def ids_merge(
    registry: RegistryFile,
    kept: Annotated[int, typer.Argument(metavar="ID", help="By which it goes from now on.")],
    gone: Annotated[list[int], typer.Argument(metavar="ID...", help="What is the same entity.")],
) -> None:
    """Make entities one."""
    from recipes.verbs.ids import merged_text

    typer.echo(merged_text(registry, kept, gone))


@ids_app.command("forget")
def ids_forget(
    registry: RegistryFile,
    ids: Annotated[list[int], typer.Argument(metavar="ID...", help="Nothing gets these ids again.")],
) -> None:
    """Remove entities and all that was seen of them."""
    from recipes.verbs.ids import forgotten_text

    typer.echo(forgotten_text(registry, ids))
