"""`cli.py cut`: flat maps of forests that were predicted before, at any granularity, without any network."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from domains.errors import InputError
from domains.exports import STREAMED, Destination, Exports, open_exports, output_names
from domains.exports.forest_reading import ForestFile, described, rasters_of, read_forest
from domains.exports.impossible import impossible
from domains.exports.limits import Limits
from domains.tiling.canvas import LARGE_PX
from domains.tiling.forest_cut import prediction_of
from recipes.inputs import Writing
from recipes.verbs.numbers import counted

DEFAULT = ("labels", "geojson", "coco", "csv", "images")


@dataclass(frozen=True)
class At:
    """Where forests are cut: at a granularity, or at a level by name; without either as their flat maps were."""

    granularity: float | None = None
    level: str | None = None

    def check(self) -> None:
        """Raises InputError for both."""
        if self.granularity is not None and self.level is not None:
            raise InputError("--granularity and --level are two ways to say one thing; leave out one")


def cut(inputs: Sequence[Path], out: Path, at: At, writing: Writing) -> None:
    """Write every format for every forest. One that cannot be read is named and left out; the others go on.

    Raises InputError.
    """
    at.check()
    rasters = rasters_of(inputs)
    names = names_of(rasters)
    formats = writing.formats or DEFAULT
    limits = Limits(writing.least_score, writing.least_area, writing.most_area)
    how = {"simplify_px": writing.simplify_px, "square": writing.square, "order": tuple(names.values())}
    inputs_of = frozenset(raster.resolve() for raster in rasters)
    destination = Destination(out, writing.overwrite, flavour_of(rasters), inputs=inputs_of, limits=limits, **how)
    faults, count = [], 0
    with open_exports(formats, destination, names.values()) as exports:
        for raster, name in names.items():
            try:
                with closing(read_forest(raster, LARGE_PX)) as file:
                    write(file, name, at, exports)
                count += 1
            except InputError as error:
                faults.append(str(error))
    entities = sum(entry.values["entities"] for entry in destination.done())
    if count:
        print(f"{counted(entities, 'entity', 'entities')} in {counted(count, 'forest')}: {out}")
    if faults:
        note = ", the others are done" if count else ""
        raise InputError(f"{len(faults)} of {len(names)} forests were left out{note}; {faults[0]}")


def names_of(rasters: Sequence[Path]) -> Mapping[Path, str]:
    """The names of the results of rasters `NAME.forest.tif`, distinct."""
    images = {raster.with_name(raster.name.split(".forest.tif")[0] + ".tif"): raster for raster in rasters}
    return {images[image]: name for image, name in output_names(images).items() if isinstance(image, Path)}


def flavour_of(rasters: Sequence[Path]) -> Literal["plain", "qupath"]:
    """Whose GeoJSON to write: that of the first raster that says it, `plain` where none does."""
    for raster in rasters:
        with suppress(InputError):  # it is named when its turn comes
            return described(raster).flavour
    return "plain"


def write(file: ForestFile, name: str, at: At, exports: Exports) -> None:
    """Cut one forest and write it. Raises InputError."""
    forest, place = file.forest, file.place
    granularity = forest.granularity if at.granularity is None else at.granularity
    entity_of = forest.nodes.lookup(granularity, at.level)
    prediction = replace(prediction_of(forest, entity_of), name=name, place=place)
    in_memory = prediction.entity_map is not None
    words = exports.words(in_memory)
    reasons = impossible(place.pixel_size_m, place.georeference, words)
    for word, reason in reasons.items():
        print(f"{name}: --format {word} is left out: {reason}", file=sys.stderr)
    if not in_memory and (held := [word for word in exports.held if word not in STREAMED]):
        print(f"{name}: {', '.join(held)} would take it into memory and are left out", file=sys.stderr)
    if not {*words} - {*reasons}:
        raise InputError(f"{place.scene!r}: no format is left to write")
    exports.stream(prediction, frozenset(reasons))
