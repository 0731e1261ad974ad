"""The verbs of the command line: arguments in, one function called.

Each verb imports its work when it is called, so that `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recipes.verbs.arguments import (
    Adapter,
    AllMasks,
    Base,
    Boxes,
    CutFormat,
    Data,
    Device,
    EachGranularity,
    Engine,
    Everywhere,
    Fast,
    Formats,
    Granularity,
    Groups,
    Ids,
    InEngine,
    InPrecision,
    Inputs,
    LeastArea,
    LeastScore,
    Level,
    MaybeAdapter,
    MaybeRecipe,
    MostArea,
    OfMixture,
    OfScheduler,
    OutOfCurve,
    OutOfPrediction,
    Overrides,
    Overwrite,
    PixelSize,
    Points,
    Precision,
    Realtime,
    Recipe,
    Resume,
    Run,
    Shelf,
    Simplify,
    SmallestPiece,
    Split,
    Square,
    Strict,
    Symmetries,
    TestScales,
    Track,
    TrackerOf,
    TracksOf,
    Unlabelled,
    Video,
    WindowPx,
    changes,
    on_data,
    without_labels,
)
from recipes.verbs.deciding import deciding_app
from recipes.verbs.groups import adapters_app, domains_app, ids_app, recipes_app

if TYPE_CHECKING:
    from recipes.inputs import Prompting, Request

DONE, FAILED, WRONG_INPUT, STOPPED = 0, 1, 2, 130
"""Exit codes."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(deciding_app)
app.add_typer(adapters_app, name="adapters")
app.add_typer(recipes_app, name="recipes")
app.add_typer(domains_app, name="domains")
app.add_typer(ids_app, name="ids")


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error; anywhere on the line.")] = False,
) -> None:
    """Every distinct region of an image with its own id, by a small adapter on a frozen vision model."""


@app.command()
@on_data
def fit(
    recipe: Recipe, changed: list[str], out: Run = None, resume: Resume = False, unlabelled: Unlabelled = None
) -> None:
    """Fit an adapter to labelled images."""
    from recipes.reading.compose import load_recipe

    changed = [*changed, *without_labels(unlabelled, changed)]
    checked = load_recipe(recipe, changed)  # before anything heavy is imported
    from recipes.reading.ignored import tell_ignored

    tell_ignored(recipe, changed)
    if checked.mix is not None:
        from recipes.verbs.fit_mixture import fit_several

        fit_several(checked, out, resume)
        return
    from recipes.verbs.fit import fit as run

    run(checked, out, resume)


@app.command()
def evaluate(
    adapter: MaybeAdapter = None,
    data: Data = None,
    tracks: TracksOf = None,
    tracker: TrackerOf = None,
    track: Track = None,
    split: Annotated[Split, typer.Option(help="all: every labelled image.")] = Split.test,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the numbers there as JSON.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page there: numbers, pictures, digests (HTML).")
    ] = None,
    recipe: MaybeRecipe = None,
    strict: Strict = False,
    symmetries: Symmetries = None,
    test_scales: TestScales = None,
    window: WindowPx = None,
    pixel_size: PixelSize = None,
    granularity: EachGranularity = None,
    out: OutOfCurve = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    precision: InPrecision = Precision.auto,
    fast: Fast = False,
    domain: OfMixture = None,
    groups: Groups = None,
    overrides: Overrides = None,
) -> None:
    """Measure an adapter or the bare base on labelled images, or tracks of clips."""
    from recipes.inputs import Asked, check_evaluated, parse_granularity, parse_scales

    settings = [*([f"name={tracker}"] if tracker else []), *(track or ())]
    adapter = check_evaluated(adapter, data, tracks, bool(settings))
    if tracks is not None or settings:
        changed = changes(overrides, strict=strict)
        if settings:
            from recipes.verbs.tracking import stated_tracking, tracking_of

            tracking_of(stated_tracking(adapter, recipe, changed, fast), settings)  # before anything heavy is imported
        from recipes.verbs.evaluate_clips import evaluate_clips

        of_adapter = {"recipe": recipe, "overrides": changed, "where": (device, str(precision)), "fast": fast}
        evaluate_clips(adapter, str(data), tracks, settings, json, **of_adapter)
        return

    asked = Asked(symmetries, window, parse_scales(test_scales))
    at = parse_granularity(granularity)
    changed = changes(overrides, strict=strict, pixel_size=pixel_size, groups=groups)
    from recipes.shared import check_adapter

    shared = check_adapter(adapter, recipe, changed, fast, domain)  # before anything heavy is imported
    if shared is not None:
        shared.on_data(data, changed)
    from recipes.runtime import choose
    from recipes.verbs.evaluate import evaluate as run

    how = {"runtime": choose(device, str(precision)), "fast": fast, "report": report, "granularity": at}
    how["member"] = domain
    run(adapter, data, str(split), json, recipe, changed, asked, out=out, overwrite=overwrite, **how)


@app.command()
def predict(
    adapter: Adapter,
    inputs: Inputs,
    out: OutOfPrediction,
    format: Formats = None,
    recipe: MaybeRecipe = None,
    overwrite: Overwrite = False,
    symmetries: Symmetries = None,
    test_scales: TestScales = None,
    window: WindowPx = None,
    pixel_size: PixelSize = None,
    everywhere: Everywhere = False,
    smallest_piece: SmallestPiece = None,
    simplify: Simplify = None,
    square: Square = False,
    least_score: LeastScore = None,
    least_area: LeastArea = None,
    most_area: MostArea = None,
    ids: Ids = None,
    granularity: Granularity = None,
    points: Points = None,
    boxes: Boxes = None,
    masks: AllMasks = None,
    device: Device = "auto",
    precision: InPrecision = Precision.auto,
    fast: Fast = False,
    domain: OfMixture = None,
    runtime: InEngine = Engine.auto,
    backbone: Base = None,
    scheduler: OfScheduler = None,
    shelf: Shelf = None,
    video: Video = False,
    track: Track = None,
    realtime: Realtime = False,
) -> None:
    """Find the entities of images, slides and clips, and write them to files."""
    from recipes import inputs as checks

    sources = [checks.source_of(word) for word in inputs]
    checks.check_present(sources)
    cluster = checks.parse_scheduler(scheduler, device)
    asked = checks.Asked(symmetries, window, checks.parse_scales(test_scales))
    sight = checks.Sight(asked, checks.metres(pixel_size), everywhere, smallest_piece, granularity)
    formats = tuple(str(word) for word in format or ())
    areas = checks.parse_areas(least_area, most_area)
    writing = checks.Writing(formats, overwrite, simplify, square, least_score, *areas, ids)
    how = {"sight": sight, "writing": writing, "scheduler": cluster, "runtime": str(runtime), "fast": fast}
    request = checks.Request(adapter, sources, out, recipe, backbone, member=domain, **how)
    prompting = checks.Prompting(points, boxes, None if masks is None else str(masks))
    if prompting.words:
        checks.check_prompting(request, prompting, str(precision))
    checks.check_predictor(request, shelf)
    from recipes.verbs.tracking import asks_for_tracks, check_tracking

    track = [*(track or ()), *(["realtime=true"] if realtime else [])]
    follows = asks_for_tracks(sources, formats, video, track)
    if follows:
        check_tracking(request, prompting.words, track)
    _predict(request, prompting, shelf, (device, str(precision)), track if follows else None)


def _predict(
    request: Request,
    prompting: Prompting,
    shelf: Path | None,
    where: tuple[str, str],
    track: Sequence[str] | None,
) -> None:
    """Predict what was checked: clips by the options of a tracker (`track`), prompts, or images by one adapter or by
    the one that each is routed to. where: device and precision.
    """
    from recipes.inputs import AUTO
    from recipes.runtime import choose
    from recipes.shared import BASE, is_exported, members_of

    runtime = choose(*(request.words_of_runtime(*where) if track is not None or not prompting.words else where))
    if track is not None:
        from recipes.verbs.predict_clips import predict_clips

        predict_clips(request, runtime, track)
    elif prompting.words:
        from recipes.verbs.predict_prompts import predict_prompts

        predict_prompts(request, prompting, runtime)
    elif request.adapter == AUTO:
        from recipes.verbs.predict_routed import predict_routed

        predict_routed(request, shelf, runtime)
    elif (
        request.member is None
        and request.adapter != BASE
        and not is_exported(request.adapter)
        and members_of(request.adapter)
    ):
        from recipes.verbs.predict_mixture import predict_by_look

        predict_by_look(request, runtime)
    else:
        from recipes.verbs.predict import predict

        predict(request, runtime)


@app.command()
def cut(
    forests: Annotated[
        list[Path],
        typer.Argument(metavar="FOREST...", help="NAME.forest.tif of `predict --format forest`, or folders."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results go, named after the forests.")],
    granularity: Granularity = None,
    level: Annotated[
        Level | None, typer.Option(help="In place of a granularity: what nothing holds, one holds, or two.")
    ] = None,
    format: Annotated[
        list[CutFormat] | None, typer.Option(help="May be given several times; by default those that fit.")
    ] = None,
    overwrite: Overwrite = False,
    simplify: Simplify = None,
    square: Square = False,
    least_score: LeastScore = None,
    least_area: LeastArea = None,
    most_area: MostArea = None,
) -> None:
    """Cut predicted forests at another granularity, without a network, and write the flat maps."""
    from recipes.inputs import Writing, parse_areas
    from recipes.verbs.cut import At
    from recipes.verbs.cut import cut as run

    formats = tuple(str(word) for word in format or ())
    areas = parse_areas(least_area, most_area)
    writing = Writing(formats, overwrite, simplify, square, least_score, *areas)
    run(forests, out, At(granularity, level and str(level)), writing)


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
    few_shot: Annotated[
        int | None,
        typer.Option(min=2, max=1000, metavar="N", help="Also after a short fit on N labelled images of each set."),
    ] = None,
    few_shot_seconds: Annotated[float, typer.Option(min=1, help="Of the processor, for each of these fits.")] = 30,
    generated: Annotated[
        bool, typer.Option("--generated", help="Also on generated scenes: what is forgotten.")
    ] = False,
    routed: Annotated[
        bool, typer.Option("--routed", help="Also a row of each image by the adapter that `--adapter auto` chooses.")
    ] = False,
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
    from recipes.verbs.few_shot import FewShot
    from recipes.verbs.transfer import Extras
    from recipes.verbs.transfer import transfer as run

    shots = None if few_shot is None else FewShot(few_shot, few_shot_seconds)
    extras = Extras(shots, generated, routed)
    run(adapters, sets, out, str(split), backbone, choose(device, str(precision)), extras)


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
