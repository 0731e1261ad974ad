"""The forests of tiles become one of the scene: a cut of it is the stitched map of that cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.entities import EntityMap
from domains.entities.forest import NEVER, EntityForest, Levels, Nodes
from domains.entities.linking import linked
from domains.tiling import stitching
from domains.tiling.forest_cut import prediction_of
from domains.tiling.grid import Grid, Window
from domains.tiling.nesting import laminar
from domains.tiling.prediction import Prediction
from domains.tiling.running import PredictionInMemory, RunningPrediction, gathered, stitch
from domains.tiling.running_forest import RunningForest, running_forest

GRID = Grid((40, 52), 20, 6)
LEVELS = Levels((1.0, 0.75, 0.5, 0.25), 2)
REPEATING = Levels((1.0, 0.9, 0.75, 0.5, 0.4, 0.25), 4)
"""Two of these change nothing, and the flat map is one of them."""


def scene(seed: int, shape: tuple[int, int] = GRID.shape) -> EntityForest:
    """Regions around random points, some of none, joined at random at each level; every third may be gone at some."""
    rng = np.random.default_rng(seed)
    points = rng.random((14, 2)) * shape
    grid = np.stack(np.mgrid[: shape[0], : shape[1]], -1)
    leaves = np.linalg.norm(grid[:, :, None] - points, axis=-1).argmin(-1) + 1
    leaves[leaves > 12] = 0
    parents, g, alive = [0] * 12, [1.0] * 12, [*range(1, 13)]
    for level in LEVELS.finest_first[1:]:
        for _ in range(2):
            members = rng.choice(alive, 2, replace=False).tolist()
            if all(g[member - 1] > level for member in members):
                parents.append(0)
                g.append(level)
                for member in members:
                    parents[member - 1] = len(parents)
                alive = [node for node in alive if node not in members] + [len(parents)]
    gone = np.where(rng.random(len(g)) < 0.2, np.float32(0.25), np.float32(NEVER))
    gone = np.where(np.float32(g) > gone, gone, NEVER).astype(np.float32)
    columns = np.array(parents, np.int32), np.float32(g), gone, rng.random(len(g)).astype(np.float32)
    return EntityForest(leaves.astype(np.int32), Nodes(*columns))


def crops(forest: EntityForest, grid: Grid = GRID) -> list[tuple[int, EntityForest]]:
    return [(i, EntityForest(forest.leaves[grid.window(i).slices], forest.nodes)) for i in range(len(grid))]


def at_odds(seed: int, grid: Grid = GRID) -> list[tuple[int, EntityForest]]:
    """Tiles of which each has a forest of its own."""
    return [(i, scene(seed + i, (grid.window(i).height, grid.window(i).width))) for i in range(len(grid))]


def together(tiles: list[tuple[int, EntityForest]], grid: Grid = GRID, levels: Levels = LEVELS) -> Prediction:
    return gathered(RunningForest(levels, lambda level: PredictionInMemory(grid)), tiles)


def by_flat_maps(tiles: list[tuple[int, EntityForest]], granularity: float) -> EntityMap:
    return stitch(GRID, [(i, forest.cut(granularity)) for i, forest in tiles])


def same_regions(ids: np.ndarray, other_ids: np.ndarray) -> bool:
    """Whether two maps are one but for the numbers."""
    pairs = np.unique(np.stack([ids.ravel(), other_ids.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs) and bool(((ids > 0) == (other_ids > 0)).all())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_a_cut_after_stitching_is_stitching_after_the_cut(seed: int) -> None:
    tiles = crops(scene(seed))
    forest = together(tiles).forest
    assert forest is not None
    for granularity in (*LEVELS.finest_first, 0.6, 0.1):
        assert same_regions(forest.entity_forest.cut(granularity).ids, by_flat_maps(tiles, granularity).ids)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_tiles_at_odds_still_give_one_forest_of_which_the_flat_map_is_a_cut_to_the_pixel(seed: int) -> None:
    tiles = at_odds(seed)
    prediction = together(tiles)
    flat, forest = by_flat_maps(tiles, 0.5), prediction.forest
    assert forest is not None
    for entities in (prediction.whole_map, forest.entity_forest.cut(forest.granularity)):
        assert np.array_equal(entities.ids, flat.ids) and np.array_equal(entities.scores, flat.scores)
    cuts = [forest.entity_forest.cut(granularity).ids for granularity in LEVELS.finest_first[1:]]
    for fine, coarse in zip(cuts, cuts[1:], strict=False):
        inside = (fine > 0) & (coarse > 0)
        pairs = np.unique(np.stack([fine[inside], coarse[inside]]), axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1]  # no fine entity lies in two coarse ones


def test_levels_with_the_same_cuts_are_linked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []

    def counting(a: np.ndarray, b: np.ndarray, threshold: float) -> np.ndarray:
        asked.append(a.shape)
        return linked(a, b, threshold)

    monkeypatch.setattr(stitching, "linked", counting)
    flat = [(i, EntityForest.flat(forest.cut(0.5))) for i, forest in crops(scene(3))]
    prediction = together(flat)
    often, asked[:] = len(asked), []
    assert np.array_equal(prediction.whole_map.ids, by_flat_maps(flat, 0.5).ids)
    assert often == len(asked) > 0 and prediction.forest is not None and prediction.forest.nodes.parents.sum() == 0


def test_the_table_measures_every_node_with_all_that_lies_in_it() -> None:
    forest = together(at_odds(5)).forest
    assert forest is not None
    whole, table = forest.entity_forest, forest.entities
    assert np.array_equal(whole.areas, table.area_px) and table.area_px.min() > 0
    assert np.array_equal(whole.boxes, np.stack([table.y0, table.x0, table.y1, table.x1], 1))
    for node in (1, forest.nodes.count):
        inside = np.isin(whole.leaves, [i for i in range(1, whole.count + 1) if node in [i, *whole.ancestors(i)]])
        assert np.allclose(np.argwhere(inside).mean(0), [table.centroid_y[node - 1], table.centroid_x[node - 1]])


def test_the_prediction_of_a_cut_has_the_rows_of_its_nodes() -> None:
    forest = together(at_odds(2)).forest
    assert forest is not None
    for granularity in (1.0, 0.5, 0.25):
        cut = prediction_of(forest, forest.nodes.lookup(granularity))
        again = Prediction.of_map(forest.entity_forest.cut(granularity))
        assert np.array_equal(cut.whole_map.ids, again.whole_map.ids)
        assert np.array_equal(cut.entities.area_px, again.entities.area_px)
        assert np.array_equal(cut.entities.x1, again.entities.x1)
        assert np.allclose(cut.entities.centroid_y, again.entities.centroid_y, atol=0.01)


def in_folders(folder: Path, levels: Levels = LEVELS) -> RunningForest:
    return RunningForest(levels, lambda level: RunningPrediction(folder / str(level), {}, GRID, GRID.shape))


@pytest.mark.parametrize("levels", [LEVELS, REPEATING])
def test_a_forest_on_disk_that_was_stopped_is_the_one_in_memory(tmp_path: Path, levels: Levels) -> None:
    tiles = at_odds(3)
    running = in_folders(tmp_path, levels)
    for index, forest in tiles[:5]:
        running.add(index, forest)
    running.commit()
    for run in running.runs[:2]:  # killed while the levels were written
        run.add(5, tiles[5][1].cut(1.0))
        run.commit()
    again = in_folders(tmp_path, levels)
    assert again.next_tile == again.resumed == 5
    streamed, held = gathered(again, tiles[5:]), together(tiles, levels=levels)
    assert streamed.forest is not None and held.forest is not None and streamed.forest.leaves is None
    everywhere = Window(0, 0, *GRID.shape)
    assert streamed.forest.granularity == held.forest.granularity == levels.finest_first[levels.flat]
    for column, expected in zip(vars(streamed.forest.nodes).values(), vars(held.forest.nodes).values(), strict=True):
        assert np.array_equal(column, expected)
    assert np.array_equal(streamed.read(everywhere), held.read(everywhere))
    assert np.array_equal(streamed.forest.read(everywhere), held.forest.read(everywhere))
    for column, expected in zip(streamed.forest.entities[:8], held.forest.entities[:8], strict=True):
        assert np.array_equal(column, expected)
    shown = held.forest.nodes.lookup(1.0)
    cut = prediction_of(streamed.forest, shown)
    assert cut.entity_map is None
    assert np.array_equal(cut.read(everywhere), prediction_of(held.forest, shown).read(everywhere))


def test_parts_are_cut_at_the_seams_of_wholes_and_groups_follow_their_members() -> None:
    finest_first = np.array([[1, 1, 5], [1, 2, 6], [2, 3, 7], [0, 3, 8], [0, 0, 8]])
    parts, wholes, groups = laminar(finest_first, 1).T
    assert wholes.tolist() == [1, 2, 3, 3, 0]
    assert len({*parts[:3].tolist()}) == 3 and parts[3] == parts[4] == 0  # part 1 lay in two wholes, part 2 too
    assert groups[2] == groups[3] == groups[4] and len({*groups[:3].tolist()}) == 3


@pytest.mark.parametrize("shape", [(20, 20), (9, 13)])
def test_a_scene_of_one_tile_is_its_forest(shape: tuple[int, int]) -> None:
    grid, trees = Grid(shape, 20, 6), scene(1, shape)
    forest = together([(0, trees)], grid).forest
    assert forest is not None
    for granularity in LEVELS.finest_first:
        assert same_regions(forest.entity_forest.cut(granularity).ids, trees.cut(granularity).ids)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(20, 20), (13, 9), (31, 26)]), st.booleans())
def test_of_one_tile_the_forest_is_what_stitching_makes_of_it_to_the_byte(
    seed: int, size: tuple[int, int], is_seen: bool
) -> None:
    grid, trees = Grid((20, 17), 20, 6), scene(seed, (20, 17))
    levels = Levels(LEVELS.finest_first, seed % 4)
    tiles = [(0, trees)] if is_seen else []

    def begin(level: int) -> PredictionInMemory:
        return PredictionInMemory(grid, size)

    alone, stitched = (gathered(run, tiles) for run in (running_forest(levels, begin), RunningForest(levels, begin)))
    assert np.array_equal(alone.whole_map.ids, stitched.whole_map.ids)
    assert all(np.array_equal(a, b) for a, b in zip(columns(alone), columns(stitched), strict=True))


def test_what_is_in_finer_cuts_alone_is_cut_by_the_groups_too() -> None:
    fine, flat, coarse = laminar(np.array([[1, 0, 0], [1, 0, 2], [3, 1, 2]]), 1).T
    assert fine[0] != fine[1] and flat.tolist() == [0, 0, 1] and coarse[1] == coarse[2] != coarse[0] == 0


def columns(prediction: Prediction) -> list[np.ndarray]:
    """All of a forest in memory: its leaves, its nodes and their table without labels."""
    forest = prediction.forest
    assert forest is not None and forest.entities.labels is None
    nodes = forest.nodes
    table = [column for column in forest.entities if column is not None]
    return [forest.entity_forest.leaves, nodes.parents, nodes.g, nodes.gone, nodes.scores, *table]


def test_a_scene_of_several_tiles_or_with_holes_is_stitched() -> None:
    def has_data(window: Window) -> np.ndarray:
        return np.ones((window.height, window.width), bool)

    for grid, data in ((GRID, None), (Grid((20, 17), 20, 6), has_data)):
        running = running_forest(LEVELS, lambda level, grid=grid, data=data: PredictionInMemory(grid, has_data=data))
        assert isinstance(running, RunningForest)


def test_a_scene_without_entities_has_a_forest_without_nodes() -> None:
    nothing = EntityForest.flat(EntityMap(np.zeros((20, 20), np.int32)))
    forest = together([(i, nothing) for i in range(len(GRID))]).forest
    assert forest is not None and forest.nodes.count == 0 and not forest.entity_forest.leaves.any()
