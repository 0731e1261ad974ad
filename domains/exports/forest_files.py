"""All nested entities of a scene: a raster of leaves, and the table of nodes as CSV and Parquet (docs/forest.md)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from domains.entities.forest import Levels
from domains.exports.destination import Destination
from domains.exports.label_raster import write_geotiff, write_strips, write_tiff
from domains.tiling.nesting import nested
from domains.tiling.prediction import Prediction
from domains.tiling.scene_forest import SceneForest

RASTER, CSV, PARQUET = ".forest.tif", ".forest.csv", ".forest.parquet"
ROWS = 2**16
"""Of a table that are spelled out at a time, and of a row group."""
COLUMNS = {
    "id": "int32", "parent": "int32", "level": "string", "g": "float32", "gone": "float32", "score": "float32",
    "area_px": "int64", "box_y_px": "int32", "box_x_px": "int32", "box_height_px": "int32", "box_width_px": "int32",
    "centroid_y_px": "float64", "centroid_x_px": "float64",
}  # fmt: skip
"""Of the table of nodes, with their types in Parquet."""


@dataclass(frozen=True)
class ForestFiles:
    """`<name>.forest.tif`: int32 numbers of nodes, placed as `LabelTiff` is; `<name>.forest.csv` and, where pyarrow is
    installed, `<name>.forest.parquet`: a row per node. Limits of scores and areas are for flat maps: a forest is whole.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def files(self, name: str) -> tuple[str, ...]:
        """The raster and the tables of an image."""
        endings = (RASTER, CSV, PARQUET) if find_spec("pyarrow") else (RASTER, CSV)
        return tuple(f"{name}{ending}" for ending in endings)

    def stream(self, prediction: Prediction) -> None:
        """Write the forest of a scene."""
        forest = forest_of(prediction)
        raster, *tables = self.files(prediction.name)
        with self.destination.writing(raster) as path:
            write_raster(path, prediction, forest, self.destination.flavour)
        for filename, write in zip(tables, (write_csv, write_parquet), strict=False):
            with self.destination.writing(filename) as path:
                write(path, forest)

    def close(self) -> None:
        """All is written."""


def forest_of(prediction: Prediction) -> SceneForest:
    """The forest of a prediction; of one without it the entities, of which none lies in another."""
    return prediction.forest or nested([prediction], Levels((1.0,), 0))


def write_raster(path: Path, prediction: Prediction, forest: SceneForest, flavour: str) -> None:
    """The leaves, and in the description of the file what a cut wants to know besides. flavour: of GeoJSON."""
    place = prediction.place
    about = {
        "forest": 1,
        "nodes": forest.nodes.count,
        "granularity": forest.granularity,
        "flavour": flavour,
        "scene": place.scene,
        "pixel_size_m": place.pixel_size_m,
        "georeference": place.georeference and place.georeference._asdict(),
    }
    text = json.dumps(about)
    if place.georeference is not None and find_spec("rasterio"):
        keys = Prediction(forest.shape, forest.read, forest.entities).chunks()  # groups lie beside the flat map too
        write_geotiff(path, forest.shape, forest.read, keys, place.georeference, text, band="node")
    elif forest.leaves is not None:
        write_strips(path, forest.leaves, text)
    else:
        write_tiff(path, forest.shape, forest.read, text)


def columns_of(forest: SceneForest) -> dict[str, Any]:
    """The columns (N,) of the table of nodes, those of `COLUMNS`."""
    nodes, table = forest.nodes, forest.entities
    values = (
        np.arange(1, nodes.count + 1, dtype=np.int32), nodes.parents, nodes.levels, nodes.g, nodes.gone, nodes.scores,
        table.area_px, table.y0, table.x0, table.y1 - table.y0, table.x1 - table.x0, table.centroid_y, table.centroid_x,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def write_csv(path: Path, forest: SceneForest) -> None:
    """Numbers are spelled such that reading gives them back to the bit."""
    columns = columns_of(forest)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        for start in range(0, forest.nodes.count, ROWS):
            table.writerows(zip(*(spelled(column[start : start + ROWS]) for column in columns.values()), strict=True))


def spelled(values: Any) -> Iterator[Any]:
    """Values as text of the fewest digits that tell each from its neighbours."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return (str(value) for value in values)  # 32 bits by their own digits
    return iter(values.tolist() if isinstance(values, np.ndarray) else values)


def write_parquet(path: Path, forest: SceneForest) -> None:
    """The typed columns."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in COLUMNS.items()])
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns_of(forest).values(), schema, strict=True)]
    parquet.write_table(pa.table(arrays, schema=schema), path, compression="zstd", row_group_size=ROWS)
