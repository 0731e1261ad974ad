from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from domains.entities import EntityMap
from domains.entities.measures import measure
from domains.entities.outlines import outlines
from domains.errors import InputError
from domains.tiling import prediction as predictions
from domains.tiling.canvas import CHUNK_PX, Canvas
from domains.tiling.grid import Grid, Window, predict_tiles
from domains.tiling.journal import Journal, Record, pack
from domains.tiling.prediction import Prediction
from domains.tiling.running import RunningPrediction, stitch
from domains.tiling.stitching import FRAGMENT
from tests.domains.memory import SIDE, peak


def scripted(images: list[np.ndarray]) -> list[EntityMap]:
    found = [np.asarray(label(image[..., 0] > 127, connectivity=2)) for image in images]
    return [
        EntityMap(ids, np.linspace(0.5, 1, ids.max(), dtype=np.float32), np.arange(ids.max()) % 2, ("round", "long"))
        for ids in found
    ]


def blobs(seed: int = 0, height: int = 400, width: int = 560, count: int = 80, most: int = 30) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scene = np.zeros((height, width, 3), np.uint8)
    for y, x in rng.integers(0, (height, width), (count, 2)):
        scene[y : y + rng.integers(2, most), x : x + rng.integers(2, most)] = 255
    return scene


def run(folder, scene, shape=None, stop=None, tile_px=128, batch=4, plan=None):
    """A whole prediction, or one that is killed when `stop` tiles were added: what was not committed is lost."""
    grid = Grid(scene.shape[:2], tile_px, 40)
    running = RunningPrediction(folder, plan or {"scene": "a"}, grid, shape or scene.shape[:2], batch)
    tiles = predict_tiles(lambda w: scene[w.slices], grid, scripted, batch, running.next_tile, readers=0)
    for done, (index, entities) in enumerate(tiles):
        if done == stop:
            tiles.close()
            return running
        running.add(index, entities)
        if done % 3 == 2:
            running.commit()
    return running


def same(found: Prediction, expected: EntityMap) -> None:
    ids = found.read(Window(0, 0, *found.shape))
    assert ids.dtype == np.int64 and np.array_equal(ids, expected.ids)
    assert list(found.measures()) == measure(expected)


@pytest.mark.parametrize("shape", [None, (200, 280), (800, 1120)])
def test_a_prediction_on_disk_is_the_one_in_memory(tmp_path, shape):
    scene = blobs()
    grid = Grid(scene.shape[:2], 128, 40)
    tiles = predict_tiles(lambda w: scene[w.slices], grid, scripted, 4, readers=0)
    running = run(tmp_path / "r", scene, shape)
    same(running.prediction(), stitch(grid, tiles, shape))
    running.remove()
    assert not (tmp_path / "r").exists()


@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=3), st.integers(0, 2**31))
def test_a_killed_prediction_goes_on_and_gives_the_same(tmp_path_factory, stops, seed):
    scene = blobs(seed, 300, 400, 40)
    whole = run(tmp_path_factory.mktemp("whole") / "r", scene).prediction()
    folder = tmp_path_factory.mktemp("killed") / "r"
    done = 0
    for stop in stops:
        killed = run(folder, scene, stop=stop)
        assert killed.resumed >= done // 4 * 4  # whatever was committed before is not predicted again
        done = len(list(Journal(folder / "journal").records()))
    resumed = run(folder, scene).prediction()
    assert np.array_equal(resumed.read(Window(0, 0, 300, 400)), whole.read(Window(0, 0, 300, 400)))
    assert list(resumed.measures()) == list(whole.measures()) and resumed.vocabulary == ("round", "long")


def test_a_journal_that_ends_in_the_middle_of_a_record_is_cut_there(tmp_path):
    scene = blobs(3, 300, 300, 30)
    whole = run(tmp_path / "whole", scene).prediction()
    running = run(tmp_path / "r", scene, batch=1)
    running.commit()
    journal = tmp_path / "r" / "journal"
    content = journal.read_bytes()
    for damaged in (content[:-7], content[: len(content) // 2], content[:-20] + bytes(20), b"\0" * 50):
        journal.write_bytes(damaged)
        again = run(tmp_path / "r", scene, batch=1)
        assert again.resumed < len(again.grid)
        same_ids = again.prediction().read(Window(0, 0, 300, 300))
        assert np.array_equal(same_ids, whole.read(Window(0, 0, 300, 300)))


def test_another_plan_does_not_go_on_with_what_lies_there(tmp_path):
    scene = blobs(0, 300, 300, 20)
    run(tmp_path / "r", scene, stop=3)
    with pytest.raises(InputError, match="another input, adapter or tiling"):
        run(tmp_path / "r", scene, plan={"scene": "b"})


def test_ids_of_the_canvas_and_the_journal_are_64_bit(tmp_path):
    canvas = Canvas(tmp_path / "c", (CHUNK_PX + 10, CHUNK_PX + 10))
    many = 2**40
    canvas.write(Window(CHUNK_PX - 2, CHUNK_PX - 3, 4, 6), np.full((4, 6), many))
    canvas.flush()
    found = Canvas(tmp_path / "c", canvas.shape).read(Window(0, 0, *canvas.shape))
    assert (found == many).sum() == 24 and found.max() == many
    journal = Journal(tmp_path / "j")
    journal.append(Record(7, np.zeros(1, FRAGMENT), np.array([[many, many + 1]]), pack(np.eye(3)), (3, 3)))
    journal.commit()
    [(record, _)] = journal.records()
    assert record.links.tolist() == [[many, many + 1]] and np.array_equal(record.ids, np.eye(3))


def test_empty_chunks_are_not_stored(tmp_path):
    scene = np.zeros((1600, 1600, 3), np.uint8)
    scene[1100:1110, 1100:1110] = 255
    running = run(tmp_path / "r", scene, tile_px=512)
    running.commit()
    assert len([one for one in (tmp_path / "r" / "parts").rglob("*") if one.is_file()]) == 2  # zarr.json and a chunk


def test_outlines_come_block_by_block_and_are_those_of_the_whole(monkeypatch):
    monkeypatch.setattr(predictions, "BLOCK_PX", 100)
    monkeypatch.setattr(predictions, "LARGEST_PX", 64)
    scene = blobs(1, 400, 500, 60, 40)
    scene[200:210, 50:400] = 255
    expected = scripted([scene])[0]
    by_blocks = replace(Prediction.of_map(expected), entity_map=None)
    found = {entity.id: (entity, polygons, step) for entity, polygons, step in by_blocks.outlined()}
    whole = dict(outlines(expected.ids))
    assert found.keys() == whole.keys()
    coarse = 0
    for number, (entity, polygons, step) in found.items():
        if max(entity.height, entity.width) <= 64:
            assert step == 1 and polygons == whole[number]
        else:
            coarse += 1
            x, y = np.concatenate([ring for polygon in polygons for ring in polygon]).T
            assert step > 1 and abs(x.min() - entity.x) <= step and abs(y.max() - entity.y - entity.height) <= step
    assert coarse > 0


def test_the_plan_is_readable(tmp_path):
    run(tmp_path / "r", blobs(0, 200, 200, 9), stop=1)
    assert json.loads((tmp_path / "r" / "plan.json").read_text())["scene"] == "a"


def test_stitching_holds_one_map_of_32_bits_and_the_scores():
    grid = Grid((SIDE, SIDE), 512, 32)
    blank = EntityMap(np.zeros((512, 512), np.int32), np.zeros(0, np.float32))
    assert peak(lambda: stitch(grid, ((i, blank) for i in range(len(grid))))) < 8
