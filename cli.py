"""entity-adapters: every distinct region of an image with its own id, by a small adapter on a frozen vision model.

The command line and nothing else: arguments in, one function of `recipes` called, an exit code out. Each verb imports
its work when it is called, so that `--help` answers at once.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from domains.errors import InputError, printable

DONE, FAILED, WRONG_INPUT, STOPPED = 0, 1, 2, 130
UsageError = typer.BadParameter.__mro__[1]  # of the click that this typer brings along


Split = StrEnum("Split", "train val test all")
Format = StrEnum("Format", "labels geojson coco csv images overlay zarr parquet density heat gpkg")
Precision = StrEnum("Precision", "auto fp32 bf16")
Engine = StrEnum("Engine", "auto torch onnx")


class Export(StrEnum):
    onnx = "onnx"
    torchscript = "torchscript"
    merged = "safetensors-merged"
    bioimage = "bioimage.io"


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
adapters_app = typer.Typer(no_args_is_help=True, help="Show, verify, pack and unpack adapters.")
recipes_app = typer.Typer(no_args_is_help=True, help="List, show and check recipes.")
domains_app = typer.Typer(no_args_is_help=True, help="List domains, check a folder of labelled images, draft its card.")
app.add_typer(adapters_app, name="adapters")
app.add_typer(recipes_app, name="recipes")
app.add_typer(domains_app, name="domains")

Recipe = Annotated[str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A shipped recipe or a .yaml file.")]
MaybeRecipe = Annotated[
    str | None, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="In place of the recipe in the adapter.")
]
Adapter = Annotated[str, typer.Option("--adapter", "-a", help="An adapter's folder or file, or `base` for none.")]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="A folder of labelled images; else the recipe's.")]
Run = Annotated[Path | None, typer.Option(metavar="RUN", help="Where results go; by default below runs/.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the run in RUN was interrupted.")]
Strict = Annotated[bool, typer.Option("--strict", help="A file that cannot be used is an error, not skipped.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")]
Groups = Annotated[Path | None, typer.Option(metavar="FILE", help="CSV of file,group.")]
OfDomain = Annotated[str | None, typer.Option(metavar="NAME", help="An installed domain with layouts of its own.")]
Symmetries = Annotated[
    int | None,
    typer.Option(
        min=1, max=8, metavar="N", help="Average over N flips and turns, N times as slow; by default as fitted."
    ),
]
TestScales = Annotated[
    str | None,
    typer.Option(metavar="S,S", help="Average over the image at these sizes, such as 1,0.7; by default as fitted."),
]
WindowPx = Annotated[
    int | None,
    typer.Option("--window", metavar="PX", help="See windows of this side, so that tiles do not show; 0: none."),
]
PixelSize = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Of a pixel of the images, in place of their own: 0.25 (um), 250nm, 10m."),
]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="auto: the GPU if there is one, else the CPU; or cpu, gpu, cuda:1.")
]
InPrecision = Annotated[
    Precision, typer.Option("--precision", help="auto: bf16 where the device has the instructions (docs/devices.md).")
]
InEngine = Annotated[
    Engine, typer.Option("--runtime", help="torch; onnx: ONNX Runtime on the CPU, as for every .onnx file.")
]
Fast = Annotated[bool, typer.Option("--fast", help="By the adapter's student (train.student), at a cost in accuracy.")]
Base = Annotated[str | None, typer.Option(metavar="FOLDER|FILE", help="The base, where it lies elsewhere.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Options of the recipe, such as train.steps=100.")
]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error; anywhere on the line.")] = False,
) -> None:
    """Every distinct region of an image with its own id, by a small adapter on a frozen vision model."""


@app.command()
def fit(
    recipe: Recipe,
    data: Data = None,
    out: Run = None,
    resume: Resume = False,
    strict: Strict = False,
    pixel_size: PixelSize = None,
    overrides: Overrides = None,
) -> None:
    """Fit an adapter to labelled images."""
    from recipes.reading.compose import load_recipe

    changed = changes(overrides, data, strict, pixel_size)
    checked = load_recipe(recipe, changed)  # before anything heavy is imported
    from recipes.reading.ignored import tell_ignored

    tell_ignored(recipe, changed)
    from recipes.verbs.fit import fit as run

    run(checked, out, resume)


@app.command()
def evaluate(
    adapter: Adapter,
    data: Data = None,
    split: Annotated[Split, typer.Option(help="all: every labelled image.")] = Split.test,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the numbers there as JSON.")] = None,
    recipe: MaybeRecipe = None,
    strict: Strict = False,
    symmetries: Symmetries = None,
    test_scales: TestScales = None,
    window: WindowPx = None,
    pixel_size: PixelSize = None,
    device: Device = "auto",
    precision: InPrecision = Precision.auto,
    fast: Fast = False,
    overrides: Overrides = None,
) -> None:
    """Measure an adapter, or the bare base, on labelled images."""
    from recipes.inputs import Asked, parse_scales

    asked = Asked(symmetries, window, parse_scales(test_scales))
    changed = changes(overrides, strict=strict, pixel_size=pixel_size)
    from recipes.shared import check_adapter

    shared = check_adapter(adapter, recipe, changed, fast)  # before anything heavy is imported
    if shared is not None:
        shared.on_data(data, changed)
    from recipes.runtime import choose
    from recipes.verbs.evaluate import evaluate as run

    chosen = choose(device, str(precision))
    run(adapter, data, str(split), json, recipe, changed, asked, runtime=chosen, fast=fast)


@app.command()
def predict(
    adapter: Adapter,
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Images, slides, folders, or lists (.txt).")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results go, named after the inputs.")],
    format: Annotated[
        list[Format] | None, typer.Option(help="May be given several times; by default those that fit.")
    ] = None,
    recipe: MaybeRecipe = None,
    overwrite: Overwrite = False,
    symmetries: Symmetries = None,
    test_scales: TestScales = None,
    window: WindowPx = None,
    pixel_size: PixelSize = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Look at a slide's empty glass too.")] = False,
    smallest_piece: Annotated[
        float | None,
        typer.Option(min=0, metavar="UM2", help="Pieces of a slide below are dust; by default 236, three small cells."),
    ] = None,
    simplify: Annotated[
        float | None,
        typer.Option(min=0, max=16, metavar="PX", help="Polygons within PX pixels; by default 0.5 on maps, else 0."),
    ] = None,
    square: Annotated[bool, typer.Option("--square", help="Polygons with right angles, for buildings.")] = False,
    least_score: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="X", help="Entities less sure are left out of all formats.")
    ] = None,
    least_area: Annotated[
        str | None, typer.Option(metavar="A", help="Smaller entities are left out: 60 (px), 20um2, 3m2.")
    ] = None,
    most_area: Annotated[str | None, typer.Option(metavar="B", help="Larger entities are left out.")] = None,
    device: Device = "auto",
    precision: InPrecision = Precision.auto,
    fast: Fast = False,
    runtime: InEngine = Engine.auto,
    backbone: Base = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="local:N|ADDRESS|FILE", help="Dask workers predict: N here, or a scheduler's."),
    ] = None,
) -> None:
    """Find the entities of images and slides, and write them to files."""
    from recipes.inputs import (
        Asked,
        Request,
        Sight,
        Writing,
        check_predictor,
        check_present,
        metres,
        parse_areas,
        parse_scales,
        parse_scheduler,
    )

    check_present(inputs)
    cluster = parse_scheduler(scheduler, device)
    asked = Asked(symmetries, window, parse_scales(test_scales))
    sight = Sight(asked, metres(pixel_size), everywhere, smallest_piece)
    formats = tuple(str(word) for word in format or ())
    areas = parse_areas(least_area, most_area)
    writing = Writing(formats, overwrite, simplify, square, least_score, *areas)
    how = {"sight": sight, "writing": writing, "scheduler": cluster, "runtime": str(runtime), "fast": fast}
    request = Request(adapter, inputs, out, recipe, backbone, **how)
    check_predictor(request)
    from recipes.runtime import choose
    from recipes.verbs.predict import predict as run

    run(request, choose(*request.words_of_runtime(device, str(precision))))


@app.command()
def transfer(
    adapter: Annotated[
        list[str],
        typer.Option("--adapter", "-a", metavar="[NAME:]PATH", help="Several times: adapters, `base` is added."),
    ],
    data: Annotated[
        list[str],
        typer.Option(metavar="DOMAIN=DIR", help="Several times: a set, also NAME:DIR or DOMAIN:NAME=DIR."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the tables and the heat maps go.")],
    split: Annotated[Split, typer.Option(help="all: every labelled image.")] = Split.test,
    groups: Annotated[
        list[str] | None, typer.Option(metavar="NAME:FILE", help="Several times: a set's CSV of file,group.")
    ] = None,
    device: Device = "auto",
    precision: InPrecision = Precision.auto,
    backbone: Base = None,
) -> None:
    """Measure every adapter on every data set."""
    from recipes.sets import parse_adapters, parse_sets
    from recipes.shared import BASE, check_adapter, on_base

    adapters, sets = parse_adapters(adapter), parse_sets(data, groups or ())
    for path in adapters:
        if path != BASE:
            check_adapter(path, overrides=on_base(backbone))
    from recipes.runtime import choose
    from recipes.verbs.transfer import transfer as run

    run(adapters, sets, out, str(split), backbone, choose(device, str(precision)))


@app.command()
def pretrain(
    recipe: Recipe = "pretrain",
    out: Run = None,
    resume: Resume = False,
    overrides: Overrides = None,
) -> None:
    """Train the embedded base from nothing, on generated scenes."""
    from recipes.reading.compose import load_pretrain_recipe

    checked = load_pretrain_recipe(recipe, overrides or ())
    from recipes.reading.ignored import tell_ignored

    tell_ignored(recipe, overrides or ())
    from recipes.verbs.pretrain import pretrain as run

    run(checked, out, resume)


@app.command()
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """The machine, the versions, what is missing, and the speed to expect; exits with 1 where fit cannot work."""
    from recipes.verbs.doctor import doctor as run

    diagnosis = run()
    typer.echo(diagnosis.json_text() if json else diagnosis.text())
    if diagnosis.faults:
        raise typer.Exit(FAILED)


@adapters_app.command("show")
def adapters_show(adapter: Annotated[Path, typer.Argument(help="An adapter's folder or file.")]) -> None:
    """What an adapter is: base, method, decoder, domain, metrics."""
    from recipes.verbs.share import shown_text

    typer.echo(shown_text(adapter))


@adapters_app.command("verify")
def adapters_verify(
    adapter: Annotated[Path, typer.Argument(help="An adapter's folder or file.")],
    backbone: Base = None,
) -> None:
    """Check that an adapter is whole and gives the output it was saved with."""
    from recipes.shared import check_adapter, on_base

    check_adapter(str(adapter), overrides=on_base(backbone))
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
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.")],
) -> None:
    """Get an adapter's folder back from one file."""
    from recipes.verbs.share import unpacked_text

    typer.echo(unpacked_text(file, out))


@adapters_app.command("export")
def adapters_export(
    adapter: Annotated[Path, typer.Argument(help="An adapter's folder or file.")],
    format: Annotated[Export, typer.Option(help="Base, merged adapter and decoder as one file (docs/runtimes.md).")],
    out: Annotated[Path, typer.Option(metavar="PATH", help="The file to write.")],
    backbone: Base = None,
) -> None:
    """Write an adapter with its base for other runtimes: one graph from pixels to fields."""
    from recipes.shared import check_adapter, on_base

    check_adapter(str(adapter), overrides=on_base(backbone))
    from recipes.verbs.export import exported_text

    typer.echo(exported_text(str(adapter), str(format), out, backbone))


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


def changes(
    overrides: Sequence[str] | None, data: str | None = None, strict: bool = False, pixel_size: str | None = None
) -> list[str]:
    """Overrides of the recipe, those that have an option of their own included."""
    import json

    from recipes.inputs import metres

    options = [f"domain.data={json.dumps(data)}"] if data is not None else []
    if pixel_size is not None:
        options.append(f"domain.pixel_size_m={metres(pixel_size)!r}")
    return [*(overrides or ()), *options, *(["domain.strict=true"] if strict else [])]


# Exit codes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 failed, 2 wrong input, 130 stopped by Ctrl-C.

    Whatever goes wrong is one line on standard error; `--debug`, anywhere on the line, lets the trace through.
    """
    from recipes.reading.command import program_name

    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        result = app([word for word in words if word != "--debug"], prog_name=program_name(), standalone_mode=False)
        code = result if isinstance(result, int) else DONE  # typer gives the code of an Exit, 130 for Ctrl-C
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except Exception as error:
        if debug:
            raise
        code, line = verdict(error)
        print("\n".join(map(printable, line.split("\n"))), file=sys.stderr)
    if code == STOPPED:
        print("stopped by Ctrl-C", file=sys.stderr)
    return code


def verdict(error: Exception) -> tuple[int, str]:
    """Exit code and line for an error that ended a command."""
    if isinstance(error, UsageError):
        return WRONG_INPUT, usage_text(error)
    if isinstance(error, InputError):
        return WRONG_INPUT, f"error: {one_line(error)}"
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
        place = getattr(error, "filename", None)
        where = f" to write {place!r}" if place else ""
        return FAILED, f"error: no space is left{where}; free some, or choose another --out"
    if isinstance(error, OSError) and error.filename:
        return FAILED, f"error: {error.filename!r}: {error.strerror}"
    return FAILED, f"error: {type(error).__name__}: {one_line(error)} (--debug shows where)"


def one_line(error: Exception) -> str:
    """The message; of an error that a worker process sent with its trace, the last line, which is the reason."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    if any(line.startswith("Original Traceback") for line in lines):
        return lines[-1].partition(": ")[2] or lines[-1]
    return " ".join(line.strip() for line in lines)


def usage_text(error: Any) -> str:
    """One line, but the whole help where a group of commands was called without any."""
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        return message
    from recipes.reading.command import program_name

    command = error.ctx.command_path if error.ctx else program_name()
    return f"error: {message} ({command} --help shows what is possible)"


if __name__ == "__main__":
    sys.exit(main())
