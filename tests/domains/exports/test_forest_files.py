"""A forest is a raster and a table that anybody can read, and that come back as they were."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domains.entities import EntityMap, Place
from domains.entities.forest import NEVER, EntityForest, Nodes
from domains.errors import InputError
from domains.exports import Destination, open_exports
from domains.exports.forest_reading import read_forest
from domains.scenes.georeference import Georeference
from domains.scenes.results import results_among
from domains.tiling.grid import Grid, Window
from domains.tiling.prediction import Prediction
from domains.tiling.running import PredictionInMemory, gathered
from domains.tiling.running_forest import RunningForest
from tests.domains.tiling.test_nesting import LEVELS, at_odds, in_folders, together
from tests.test_readme import blocks

PLACE = Place("slides/a.png")
GROUND = Georeference("EPSG:32633", (0.5, 0, 400_000, 0, -0.5, 5_000_000))


def written(folder: Path, prediction: Prediction, place: Place = PLACE, name: str = "a") -> Path:
    with open_exports(["forest", "labels"], Destination(folder), [name]) as exports:
        exports.stream(replace(prediction, name=name, place=place))
    return folder / f"{name}.forest.tif"


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_to_save_and_to_load_is_the_identity(tmp_path: Path, seed: int) -> None:
    prediction = together(at_odds(seed))
    raster = written(tmp_path / str(seed), prediction, Place("a.png", pixel_size_m=0.25e-6))
    forest = prediction.forest
    assert forest is not None
    for _ in ("parquet", "csv"):
        again = read_forest(raster)
        assert again.place.scene == "a.png" and again.place.pixel_size_m == 0.25e-6
        assert again.forest.granularity == forest.granularity
        assert np.array_equal(again.forest.entity_forest.leaves, forest.entity_forest.leaves)
        for name in ("parents", "g", "gone", "scores"):
            column, expected = getattr(again.forest.nodes, name), getattr(forest.nodes, name)
            assert column.dtype == expected.dtype and np.array_equal(column, expected)
        for column, expected in zip(again.forest.entities[:8], forest.entities[:8], strict=True):
            assert np.array_equal(column, expected)
        raster.with_suffix(".parquet").unlink(missing_ok=True)


def test_a_few_lines_of_numpy_make_the_same_cut(tmp_path: Path) -> None:
    names: dict = {}
    exec(next(block for block in blocks("docs/forest.md") if "def cut" in block), names)
    prediction = together(at_odds(4))
    raster = written(tmp_path, prediction)
    assert prediction.forest is not None
    for granularity in (0.0, 0.25, 0.3, 0.5, 0.75, 1.0):
        ids = names["cut"](raster.with_name("a"), granularity)
        assert np.array_equal(EntityMap.from_ids(ids).ids, prediction.forest.entity_forest.cut(granularity).ids)


def test_the_first_nodes_are_the_entities_of_the_label_image(tmp_path: Path) -> None:
    raster = written(tmp_path, together(at_odds(6)))
    forest, labels = read_forest(raster).forest, tifffile.imread(tmp_path / "a.labels.tif")
    assert np.array_equal(forest.nodes.lookup(forest.granularity)[forest.entity_forest.leaves], labels)


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="an extra")
def test_pyarrow_and_csv_read_one_table(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    written(tmp_path, together(at_odds(7)))
    table = parquet.read_table(tmp_path / "a.forest.parquet")
    with (tmp_path / "a.forest.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == table.column_names and len(rows) == table.num_rows > 10
    assert [row[header.index("level")] for row in rows] == table["level"].to_pylist()
    assert np.array_equal([float(row[header.index("g")]) for row in rows], table["g"].to_numpy().round(6))
    assert table["id"].to_pylist() == [*range(1, len(rows) + 1)]


@pytest.mark.skipif(find_spec("rasterio") is None, reason="an extra")
def test_a_forest_on_the_ground_lies_where_its_labels_lie(tmp_path: Path) -> None:
    import rasterio

    raster = written(tmp_path, together(at_odds(8)), Place("town.tif", 0.5, georeference=GROUND))
    with rasterio.open(raster) as forest, rasterio.open(tmp_path / "a.labels.tif") as labels:
        assert forest.crs == labels.crs and forest.transform == labels.transform and forest.nodata == 0
    assert read_forest(raster).place.georeference == GROUND
    assert read_forest(raster).place.scene == "town.tif"


def test_a_forest_that_does_not_fit_into_memory_is_written_and_read_by_windows(tmp_path: Path) -> None:
    tiles = at_odds(3)
    streamed, held = gathered(in_folders(tmp_path / "run"), tiles), together(tiles)
    rasters = [written(tmp_path / name, prediction) for name, prediction in (("s", streamed), ("h", held))]
    assert np.array_equal(*map(tifffile.imread, rasters))
    assert (tmp_path / "s" / "a.forest.csv").read_bytes() == (tmp_path / "h" / "a.forest.csv").read_bytes()
    for raster in rasters:
        with closing(read_forest(raster, largest_px=100)) as file:
            assert file.forest.leaves is None and held.forest is not None
            window = Window(3, 5, 30, 40)
            assert np.array_equal(file.forest.read(window), held.forest.read(window))


def test_a_forest_is_known_as_a_result_of_ours(tmp_path: Path) -> None:
    raster = written(tmp_path, together(at_odds(1)))
    assert raster in results_among(tmp_path.iterdir())


def test_a_forest_of_nothing_is_written_and_read(tmp_path: Path) -> None:
    grid = Grid((9, 9), 20, 6)
    running = RunningForest(LEVELS, lambda level: PredictionInMemory(grid))
    prediction = gathered(running, [(0, EntityForest.flat(EntityMap(np.zeros((9, 9), np.int32))))])
    raster = written(tmp_path, prediction)
    for _ in range(2):
        assert read_forest(raster).forest.nodes.count == 0
        raster.with_suffix(".parquet").unlink(missing_ok=True)


def test_a_flat_prediction_is_a_forest_of_trees_of_one_node(tmp_path: Path) -> None:
    ids = np.array([[1, 1, 0], [2, 3, -1]], np.int32)
    scores = np.array([0.5, 0.25, 1], np.float32)
    forest = read_forest(written(tmp_path, Prediction.of_map(EntityMap(ids, scores)))).forest.entity_forest
    assert np.array_equal(forest.leaves, ids) and np.array_equal(forest.nodes.scores, scores)
    assert not forest.nodes.parents.any() and forest.cut(0).count == 3


def three(folder: Path) -> Path:
    """A raster of three nodes, the third a group of the others, with its CSV alone."""
    leaves = np.array([[1, 1, 2, 2, 0]], np.int32)
    columns = np.float32([1, 1, 0.25]), np.full(3, NEVER, np.float32), np.float32([0.5, 0.5, 0.5])
    trees = EntityForest(leaves, Nodes(np.array([3, 3, 0], np.int32), *columns))
    grid = Grid((1, 5), 20, 6)
    raster = written(folder, gathered(RunningForest(LEVELS, lambda level: PredictionInMemory(grid)), [(0, trees)]))
    raster.with_suffix(".parquet").unlink(missing_ok=True)
    return raster


def edited(raster: Path, before: str, after: str) -> None:
    table = raster.with_suffix(".csv")
    text = table.read_text(encoding="utf-8")
    assert before in text
    table.write_text(text.replace(before, after, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("\n1,3,part,1.0", "\n1,3,part,1.5", "node 1 has g 1.5; wanted 0 to 1"),
        ("\n1,3,part,1.0", "\n1,3,part,nan", "g holds what is no finite number"),
        ("\n1,3,part,1.0", "\n1,3,part,high", "cannot be read as a table of nodes"),
        ("\n3,0,whole", "\n3,1,whole", "lies in itself: the parents go in a circle"),
        ("\n1,3,part", "\n1,7,part", "has parents"),
        ("\n1,3,part,1.0", "\n1,3,part,0.1", "no finer than what holds it"),
        ("\n1,3,part", "\n2,3,part", "wanted a row for each node"),
        ("gone", "end", "lacks the column 'gone'"),
        (",1.0,-1.0,0.5,2,", ",1.0,-1.0,0.5,4,", "has 2 px of node 1, its table says 4"),
    ],
)
def test_a_table_that_is_wrong_is_one_line(tmp_path: Path, before: str, after: str, message: str) -> None:
    raster = three(tmp_path)
    assert read_forest(raster).forest.nodes.count == 3
    edited(raster, before, after)
    with pytest.raises(InputError, match=message) as error:
        read_forest(raster)
    assert "\n" not in str(error.value) and "a.forest." in str(error.value)


def test_a_raster_and_a_table_that_disagree_are_refused(tmp_path: Path) -> None:
    raster = three(tmp_path)
    table = raster.with_suffix(".csv")
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-1]).replace(",3,part", ",0,whole"))
    with pytest.raises(InputError, match="says that it has 3 nodes, its table has 2"):
        read_forest(raster)
    with tifffile.TiffFile(raster) as file:
        about = json.loads(file.pages.first.description)
    tifffile.imwrite(raster, np.full((1, 5), 9, np.int32), description=json.dumps(about | {"nodes": 2}), metadata=None)
    with pytest.raises(InputError, match="holds node 9, its table has nodes 1 to 2"):
        read_forest(raster)
    with closing(read_forest(raster, 1)) as file, pytest.raises(InputError, match="holds node 9, its table"):
        file.forest.read(Window(0, 0, 1, 5))
    table.unlink()
    with pytest.raises(InputError, match="has no table a.forest.parquet or a.forest.csv beside it"):
        read_forest(raster)


@pytest.mark.parametrize(
    "change", [{"granularity": 2}, {"forest": 2}, {"georeference": {"crs": "EPSG:32633"}}, {"pixel_size_m": "far"}]
)
def test_another_raster_is_no_forest(tmp_path: Path, change: dict) -> None:
    raster = three(tmp_path)
    with tifffile.TiffFile(raster) as file:
        about = json.loads(file.pages.first.description)
    tifffile.imwrite(raster, tifffile.imread(raster), description=json.dumps(about | change), metadata=None)
    with pytest.raises(InputError, match="is no raster of leaves"):
        read_forest(raster)


def test_damaged_bytes_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    raster = written(tmp_path, together(at_odds(2)))
    whole_files = {path: path.read_bytes() for path in tmp_path.glob("a.forest.*")}
    rng, refused = np.random.default_rng(0), 0
    for path in [*whole_files] * 15:
        damaged = bytearray(whole_files[path])
        for place in rng.integers(len(damaged), size=3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(damaged))] if rng.random() < 0.2 else damaged)
        if path.suffix == ".csv":
            raster.with_suffix(".parquet").unlink(missing_ok=True)
        for largest_px in (10**6, 1):
            try:
                with closing(read_forest(raster, largest_px)) as file:
                    file.forest.nodes.lookup(0.5)[file.forest.read(Window(0, 0, *file.forest.shape))]
            except InputError as error:
                refused += 1
                assert "\n" not in str(error)
        for intact, content in whole_files.items():
            intact.write_bytes(content)
    assert refused > 20
