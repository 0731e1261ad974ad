"""The arguments that several verbs of the command line take: each its type, its limits and its line of help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import update_wrapper
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, cast

import typer

Split = StrEnum("Split", "train val test all")
Format = StrEnum("Format", [
    "labels", "geojson", "coco", "csv", "images", "overlay", "zarr", "parquet", "density", "heat", "gpkg", "forest",
    "forest-geojson", "forest-coco", "forest-gpkg", "tracks", "ctc", "mot", "ytvis", "sav",
])  # fmt: skip
CutFormat = StrEnum("CutFormat", [
    "labels", "geojson", "coco", "csv", "images", "zarr", "parquet", "density", "gpkg", "forest-geojson",
    "forest-coco", "forest-gpkg",
])  # fmt: skip
Level = StrEnum("Level", "whole part subpart")
Explored = StrEnum("Explored", "entities features")
Tracker = StrEnum("Tracker", "motion iou nearest memory sam2")
Masks = StrEnum("Masks", "automatic esam apg")
Precision = StrEnum("Precision", "auto fp32 bf16 int8")
Engine = StrEnum("Engine", "auto torch onnx")

Recipe = Annotated[str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A shipped recipe or a .yaml file.")]
MaybeRecipe = Annotated[
    str | None, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="In place of the recipe in the adapter.")
]
Adapter = Annotated[str, typer.Option("--adapter", "-a", help="An adapter's folder or file, or `base` for none.")]
MaybeAdapter = Annotated[
    str | None, typer.Option("--adapter", "-a", help="An adapter's folder or file, or `base` for none.")
]
Inputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT...", help="Images, slides, clips, folders, lists (.txt), https://, s3://, zip://."),
]
OutOfPrediction = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Where results go, named after the inputs.")
]
Formats = Annotated[
    list[Format] | None, typer.Option("--format", help="May be given several times; by default those that fit.")
]
TracksOf = Annotated[
    Path | None,
    typer.Option("--tracks", metavar="DIR", help="Tracks in place of an adapter: CTC, DAVIS, SA-V, YouTube-VIS."),
]
TrackerOf = Annotated[
    Tracker | None, typer.Option("--tracker", help="Measure the adapter on clips, its entities followed so.")
]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="A folder of labelled images; else the recipe's.")]
Run = Annotated[Path | None, typer.Option(metavar="RUN", help="Where results go; by default below runs/.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the run in RUN was interrupted.")]
Strict = Annotated[bool, typer.Option("--strict", help="A file that cannot be used is an error, not skipped.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")]
OfMixture = Annotated[
    str | None,
    typer.Option("--domain", metavar="NAME", help="Which domain of an adapter of several (docs/mixtures.md)."),
]
Groups = Annotated[Path | None, typer.Option(metavar="FILE", help="CSV of file,group.")]
Unlabelled = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Images without labels, which a mean teacher labels meanwhile.")
]
UNLABELLED_SHARE = "train.unlabelled_share=0.4"
"""Of the crops of `fit --unlabelled`, unless the overrides say another."""
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
Points = Annotated[Path | None, typer.Option(metavar="FILE", help="Entities at these points: CSV, GeoJSON, QuPath.")]
Boxes = Annotated[Path | None, typer.Option(metavar="FILE", help="Entities in these boxes, COCO's too.")]
AllMasks = Annotated[Masks | None, typer.Option("--masks", help="All entities, as by prompts (docs/prompts.md).")]
PixelSize = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Of a pixel of the images, in place of their own: 0.25 (um), 250nm, 10m."),
]
Granularity = Annotated[
    float | None,
    typer.Option(min=0, max=1, metavar="G", help="0 the wholes, 1 the finest parts; by default the adapter's own."),
]
EachGranularity = Annotated[
    str | None,
    typer.Option("--granularity", metavar="G|all", help="As in predict; all: every cut, and the curve over them."),
]
OutOfCurve = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Where the curve of --granularity all goes; by default below runs/."),
]
Video = Annotated[bool, typer.Option("--video", help="Folders and TIFF stacks are clips, whose entities are followed.")]
Track = Annotated[
    list[str] | None,
    typer.Option("--track", metavar="KEY=VALUE", help="An option of the tracker, such as memory_frames=60."),
]
Realtime = Annotated[
    bool,
    typer.Option("--realtime", help="Of clips: the network sees keyframes, optical flow carries entities between."),
]
Everywhere = Annotated[bool, typer.Option("--everywhere", help="Look at a slide's empty glass too.")]
SmallestPiece = Annotated[
    float | None,
    typer.Option(min=0, metavar="UM2", help="Pieces of a slide below are dust; by default 236, three small cells."),
]
Simplify = Annotated[
    float | None,
    typer.Option(min=0, max=16, metavar="PX", help="Polygons within PX pixels; by default 0.5 on maps, else 0."),
]
Square = Annotated[bool, typer.Option("--square", help="Polygons with right angles, for buildings.")]
LeastScore = Annotated[
    float | None, typer.Option(min=0, max=1, metavar="X", help="Entities less sure are left out of all formats.")
]
LeastArea = Annotated[str | None, typer.Option(metavar="A", help="Smaller entities are left out: 60 (px), 20um2, 3m2.")]
MostArea = Annotated[str | None, typer.Option(metavar="B", help="Larger entities are left out.")]
Ids = Annotated[
    Path | None,
    typer.Option(metavar="REGISTRY", help="A file of entities that keep their ids (docs/ids.md)."),
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
OfScheduler = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="local:N|ADDRESS|FILE", help="Dask workers predict: N here, or a scheduler's."),
]
Shelf = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Adapters that --adapter auto chooses from; by default the kept.")
]
Fast = Annotated[bool, typer.Option("--fast", help="By the adapter's student (train.student), at a cost in accuracy.")]
OutOfFits = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Where fits and table go; goes on from what is there.")
]
Seconds = Annotated[float, typer.Option(min=1, help="Of the processor, for each fit.")]
Seeds = Annotated[int, typer.Option(min=1, max=20, help="Fits of each row.")]
AdapterPath = Annotated[Path, typer.Argument(help="An adapter's folder or file.")]
AdapterName = Annotated[str, typer.Argument(metavar="ADAPTER")]
NewFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.")]
Base = Annotated[str | None, typer.Option(metavar="FOLDER|FILE", help="The base, where it lies elsewhere.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Options of the recipe, such as train.steps=100.")
]


def changes(
    overrides: Sequence[str] | None,
    data: str | None = None,
    strict: bool = False,
    pixel_size: str | None = None,
    groups: Path | None = None,
) -> list[str]:
    """Overrides of the recipe, those that have an option of their own included."""
    import json

    from recipes.inputs import metres

    options = [f"domain.data={json.dumps(data)}"] if data is not None else []
    if groups is not None:
        options.append(f"domain.groups={json.dumps(str(groups))}")
    if pixel_size is not None:
        options.append(f"domain.pixel_size_m={metres(pixel_size)!r}")
    return [*(overrides or ()), *options, *(["domain.strict=true"] if strict else [])]


def without_labels(folder: Path | None, overrides: Sequence[str]) -> list[str]:
    """The overrides that `--unlabelled` comes to, beside these; none without a folder."""
    import json

    if folder is None:
        return []
    share = [] if any(word.startswith("train.unlabelled_share=") for word in overrides) else [UNLABELLED_SHARE]
    return [f"train.unlabelled={json.dumps(str(folder))}", *share]


def on_data(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of a recipe's data in place of its `changed`, the overrides that they come to."""

    def called(
        *,
        data: Data = None,
        strict: Strict = False,
        pixel_size: PixelSize = None,
        groups: Groups = None,
        overrides: Overrides = None,
        **further: Any,
    ) -> None:
        command(changed=changes(overrides, data, strict, pixel_size, groups), **further)

    options = list(signature(called, eval_str=True).parameters.values())[:-1]
    further = signature(command, eval_str=True).parameters.values()
    kept = [option.replace(kind=Parameter.KEYWORD_ONLY) for option in further if option.name != "changed"]
    update_wrapper(called, command)
    cast(Any, called).__signature__ = Signature([*kept, *options])
    return called
