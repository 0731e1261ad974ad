"""Forests as `predict --format forest` wrote them, read again: for another cut, without any network."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tifffile

from domains.entities import Place
from domains.entities.forest import Nodes, leaf_areas
from domains.errors import InputError
from domains.exports.forest_files import COLUMNS, CSV, PARQUET, RASTER
from domains.scenes.decode import quiet
from domains.scenes.georeference import Georeference
from domains.tiling.grid import Window
from domains.tiling.scene_forest import SceneForest
from domains.tiling.stitching import Entities

WISH = "wanted what `predict --format forest` writes"


def rasters_of(inputs: Sequence[Path]) -> list[Path]:
    """The leaf rasters of inputs: of a folder all, of a raster or a table the one of its name. Raises InputError."""
    rasters: dict[Path, None] = {}
    for path in inputs:
        ending = next((ending for ending in (RASTER, CSV, PARQUET) if path.name.endswith(ending)), None)
        if path.is_dir():
            inside = sorted(path.glob(f"*{RASTER}"))
            if not inside:
                raise InputError(f"{str(path)!r} holds no NAME{RASTER}; {WISH}")
            rasters |= dict.fromkeys(inside)
        elif ending is None or not path.exists():
            fault = "does not exist" if not path.exists() else "is no forest"
            raise InputError(f"{str(path)!r} {fault}; {WISH}: a folder, or NAME{RASTER} beside NAME{CSV}")
        else:
            rasters[path.with_name(path.name.removesuffix(ending) + RASTER)] = None
    return list(rasters)


@dataclass(frozen=True)
class ForestFile:
    """A forest on the disk. place: where its scene lies. close: to be called when nothing is read of it any more."""

    forest: SceneForest
    place: Place
    close: Callable[[], None] = lambda: None


def read_forest(raster: Path, largest_px: float = np.inf) -> ForestFile:
    """The forest of a leaf raster and of the table beside it, the Parquet or else the CSV.

    Of more pixels than `largest_px` the leaves are read when they are asked for. Raises InputError where raster and
    table are damaged, disagree, or are none of ours.
    """
    about = described(raster)
    nodes, entities = read_table(raster)
    if nodes.count != about.nodes:
        raise InputError(f"{str(raster)!r} says that it has {about.nodes} nodes, its table has {nodes.count}")
    shape, granularity = about.shape, about.granularity
    if shape[0] * shape[1] > largest_px:
        file = Windowed(raster, nodes.count)
        return ForestFile(SceneForest(shape, file.read, nodes, entities, granularity), about.place, file.close)
    leaves = checked_leaves(raster, pixels(raster), nodes.count)
    areas = nodes.summed(leaf_areas(leaves, nodes.count))
    if len(wrong := np.flatnonzero(areas != entities.area_px)):
        node, area = wrong[0] + 1, entities.area_px[wrong[0]]
        raise InputError(f"{str(raster)!r} has {areas[node - 1]} px of node {node}, its table says {area}")
    return ForestFile(SceneForest.in_memory(leaves, nodes, entities, granularity), about.place)


class About(NamedTuple):
    """What a leaf raster says of itself: (height, width), how many nodes there are, where the flat map is cut, where
    the scene lies, and whose GeoJSON is written of it.
    """

    shape: tuple[int, int]
    nodes: int
    granularity: float
    place: Place
    flavour: Literal["plain", "qupath"]


def described(raster: Path) -> About:
    """What a leaf raster says. Raises InputError for another file."""
    try:
        with quiet(), tifffile.TiffFile(raster) as file:
            page = file.pages.first
            (height, width), kind, about = map(int, page.shape), str(page.dtype), json.loads(page.description)
        nodes, granularity, size = about["nodes"], float(about["granularity"]), about["pixel_size_m"]
        size = None if size is None else float(size)
        if about["forest"] != 1 or kind != "int32" or not 0 <= granularity <= 1 or (size and not 0 < size < np.inf):
            raise ValueError(about)
        ground = about["georeference"]
        if ground is not None:
            a, b, c, d, e, f = map(float, ground["transform"])
            ground = Georeference(str(ground["crs"]), (a, b, c, d, e, f))
        flavour = "qupath" if about["flavour"] == "qupath" else "plain"
        place = Place(str(about["scene"]), pixel_size_m=size, georeference=ground)
    except Exception as error:  # whatever a stranger's file makes its reader raise
        raise InputError(f"{str(raster)!r} is no raster of leaves; {WISH}") from error
    return About((height, width), nodes, granularity, place, flavour)


def pixels(raster: Path) -> np.ndarray:
    """(H, W) int32. Raises InputError for a damaged file."""
    try:
        with quiet():
            return np.ascontiguousarray(tifffile.imread(raster), np.int32)
    except Exception as error:  # whatever a damaged file makes its codecs raise
        raise InputError(f"{str(raster)!r} cannot be read: {reason(error)}; predict it again") from error


def checked_leaves(raster: Path, leaves: np.ndarray, count: int) -> np.ndarray:
    """The leaves themselves. Raises InputError for one that is none of `count` nodes."""
    if (leaf := int(leaves.max(initial=0))) > count or (leaf := int(leaves.min(initial=0))) < -1:
        raise InputError(f"{str(raster)!r} holds node {leaf}, its table has nodes 1 to {count}")
    return leaves


class Windowed:
    """A raster of leaves that is read by windows, tile by tile of the file, or strip by strip."""

    def __init__(self, raster: Path, count: int) -> None:
        self.raster, self.count = raster, count
        with quiet():
            self._file = tifffile.TiffFile(raster)
            self._page = self._file.pages.first

    def read(self, window: Window) -> np.ndarray:
        """(h, w) int32. Raises InputError."""
        leaves = np.zeros((window.height, window.width), np.int32)
        try:
            for tile, values in self._tiles(window):
                shared = window.shared(tile)
                leaves[shared.within(window).slices] = values[shared.within(tile).slices]
        except Exception as error:  # whatever a damaged file makes its codecs raise
            raise InputError(f"{str(self.raster)!r} cannot be read: {reason(error)}; predict it again") from error
        return checked_leaves(self.raster, leaves, self.count)

    def _tiles(self, window: Window) -> Iterator[tuple[Window, np.ndarray]]:
        """The tiles of the file that a window touches and that are stored, with their values (h, w)."""
        page = self._page
        side = page.chunks[:2]
        down, across = (
            range(start // step, -(-(start + length) // step))
            for start, length, step in zip(window[:2], window[2:], side, strict=True)
        )
        for index in (row * page.chunked[1] + column for row in down for column in across):
            if page.databytecounts[index]:
                self._file.filehandle.seek(page.dataoffsets[index])
                data = self._file.filehandle.read(page.databytecounts[index])
                values, (*_, y, x, _), shape = page.decode(data, index)
                if values is not None:
                    yield Window(y, x, shape[1], shape[2]), values.reshape(values.shape[-3:-1])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_table(raster: Path) -> tuple[Nodes, Entities]:
    """The nodes of the table beside a raster, and their measures. Raises InputError."""
    stem = raster.name.removesuffix(RASTER)
    tables = {raster.with_name(stem + PARQUET): parquet_columns, raster.with_name(stem + CSV): csv_columns}
    if find_spec("pyarrow") is None:
        tables.pop(raster.with_name(stem + PARQUET))
    path = next((path for path in tables if path.exists()), None)
    if path is None:
        raise InputError(f"{str(raster)!r} has no table {' or '.join(table.name for table in tables)} beside it")
    columns = tables[path](path)
    if not np.array_equal(columns["id"], np.arange(1, len(columns["id"]) + 1)):
        raise InputError(f"{str(path)!r}: wanted a row for each node, with the ids 1, 2, ... in order")
    try:
        nodes = Nodes(columns["parent"], columns["g"], columns["gone"], columns["score"])
    except ValueError as error:
        raise InputError(f"{str(path)!r}: {error}") from error
    y, x = columns["box_y_px"], columns["box_x_px"]
    box = y, x, y + columns["box_height_px"], x + columns["box_width_px"]
    centroid = columns["centroid_y_px"], columns["centroid_x_px"]
    return nodes, Entities(columns["area_px"], *centroid, *box, scores=nodes.scores, labels=None)


def parquet_columns(path: Path) -> dict[str, np.ndarray]:
    """The columns (N,) of numbers, by name. Raises InputError."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(path).read(columns=[name for name in COLUMNS if name != "level"])
        return {name: checked_column(path, name, table[name].to_numpy()) for name in numbers()}
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{str(path)!r} cannot be read as a table of nodes: {reason(error)}") from error


def csv_columns(path: Path) -> dict[str, np.ndarray]:
    """The columns (N,) of numbers, by name. Raises InputError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in header}
        return {name: checked_column(path, name, np.array(columns[name], kind)) for name, kind in numbers().items()}
    except KeyError as error:
        raise InputError(f"{str(path)!r} lacks the column {error}; {WISH}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{str(path)!r} cannot be read as a table of nodes: {reason(error)}") from error


def numbers() -> dict[str, str]:
    """The columns of numbers, with their types."""
    return {name: kind for name, kind in COLUMNS.items() if kind != "string"}


def checked_column(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    """A column in its type. Raises InputError for one that holds no finite number, or a granularity beyond [0, 1]."""
    kind = np.dtype(COLUMNS[name])
    least, most = {"g": (0, 1), "gone": (-1, 1), "score": (0, 1)}.get(name, (-np.inf, np.inf))
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise InputError(f"{str(path)!r}: {name} holds what is no finite number")
    if len(values) and not (values.min() >= least and values.max() <= most):
        place = int(np.flatnonzero((values < least) | (values > most))[0])
        raise InputError(f"{str(path)!r}: node {place + 1} has {name} {values[place]:g}; wanted {least} to {most}")
    return values.astype(kind)


def reason(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())
