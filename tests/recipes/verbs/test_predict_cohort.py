"""Cohorts on a cluster: what one process writes, to the byte, whatever ends in the middle."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import tifffile
from PIL import Image

pytest.importorskip("distributed")

from distributed import Client, LocalCluster

from adapters.inference.segment import Tiles
from cli import main
from domains.entities import EntityMap
from domains.errors import InputError
from domains.tiling.running import RunningPrediction
from recipes.cluster import NOWHERE, Workers, local
from recipes.load import loaded
from recipes.verbs.predict_cohort import AHEAD, BYTES_PX, SHARED, Cohort
from recipes.verbs.predict_task import BENCH, Work, digest_of, from_wire, replies, to_wire, wire_bytes


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local(1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def slide(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of 20 tiles, three batches."""
    picture = np.tile(np.asarray(Image.open(data / "images" / "0.png").convert("RGB")), (3, 3, 1))
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    tifffile.imwrite(path, picture, photometric="rgb", tile=(64, 64))
    return path


@pytest.fixture
def at_tile(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """`at_tile(index, act)`: something happens, once, before the map of that tile of a large scene is kept."""
    add, acts = RunningPrediction.add, {}

    def watched(self: RunningPrediction, index: int, entities: EntityMap) -> None:
        acts.pop(index, lambda: None)()
        add(self, index, entities)

    monkeypatch.setattr(RunningPrediction, "add", watched)
    monkeypatch.setattr("recipes.verbs.predict_scenes.LARGE_PX", 20_000)
    monkeypatch.setattr("recipes.verbs.predict_cohort.AHEAD_PX", 1)
    return acts.__setitem__


@pytest.fixture(scope="module")
def words(run: Path) -> list[str]:
    return ["predict", "--adapter", str(run / "adapter"), "--window", "0"]


def results(out: Path) -> dict[str, bytes]:
    """Every file of a prediction but its journal, which knows when the others were written."""
    files = [path for path in out.rglob("*") if path.is_file() and ".predict" not in path.parts]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_results_are_those_of_one_process_to_the_byte_also_where_a_worker_is_killed(
    cluster, words, data, slide, tmp_path, at_tile, capsys
) -> None:
    inputs = [str(data / "images"), str(slide)]
    assert main([*words, *inputs, "--out", str(tmp_path / "alone")]) == 0

    def kill() -> None:
        with Client(cluster, set_as_default=False) as client:
            (pid,) = client.run(os.getpid).values()
        os.kill(pid, signal.SIGKILL)

    at_tile(3, kill)
    capsys.readouterr()
    assert main([*words, *inputs, "--out", str(tmp_path / "out"), "--scheduler", cluster.scheduler_address]) == 0
    error = capsys.readouterr().err
    assert "predict: 7/7" in error and "Traceback" not in error and "distributed" not in error
    assert results(tmp_path / "out") == results(tmp_path / "alone")
    assert len(results(tmp_path / "out")) > 20


def test_a_prediction_goes_on_where_the_scheduler_was_lost(words, slide, tmp_path, at_tile, capsys) -> None:
    assert main([*words, str(slide), "--out", str(tmp_path / "alone")]) == 0
    with LocalCluster(n_workers=1, processes=False, dashboard_address=NOWHERE, silence_logs=60) as lost:
        at_tile(9, lost.close)
        code = main([*words, str(slide), "--out", str(tmp_path / "out"), "--scheduler", lost.scheduler_address])
    error = capsys.readouterr().err
    assert code == 2 and error.splitlines()[-1].startswith(f"error: the scheduler {lost.scheduler_address} was lost")
    assert "the same command goes on" in error
    assert main([*words, str(slide), "--out", str(tmp_path / "out")]) == 0
    assert re.search(r"goes on at tile (16|24) of 30", capsys.readouterr().err)
    assert results(tmp_path / "out") == results(tmp_path / "alone")


def test_a_scheduler_that_is_not_there_is_one_line(words, slide, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("recipes.cluster.REACH_S", 0.2)
    code = main([*words, str(slide), "--out", str(tmp_path), "--scheduler", "tcp://127.0.0.1:1"])
    error = capsys.readouterr().err
    assert code == 2 and error.startswith("error: --scheduler 'tcp://127.0.0.1:1' cannot be reached")
    assert error.count("\n") == 1


@pytest.mark.parametrize("word", ["local", "local:0", "local:x", "127.0.0.1:8786", "nowhere.json"])
def test_a_word_that_is_no_scheduler_is_refused(word, words, slide, tmp_path, capsys) -> None:
    assert main([*words, str(slide), "--out", str(tmp_path), "--scheduler", word]) == 2
    assert f"--scheduler {'is ' if word != 'nowhere.json' else ''}{word!r}" in capsys.readouterr().err


class Inline(Workers):
    """Workers that work when their result is asked for, in this process."""

    threads = 1

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.scenes: list[int] = []

    def submit(self, work, *values, order):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.scenes.append(len(values[1]))
        return Waiting(lambda: work(*values))

    def result(self, future, name, meanwhile):
        meanwhile()
        self.under_way -= 1
        return future.work()


class Waiting:
    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work

    def release(self) -> None:
        pass


@pytest.fixture
def work(run: Path) -> Iterator[Work]:
    adapter = str(run / "adapter")
    with loaded(adapter) as network:
        contract = vars(network.contract.changed(window_px=0))
    yield Work(
        adapter=adapter, recipe=None, backbone=None, device="cpu", precision="fp32", digest=digest_of(adapter),
        ahead_px=40_000, reply_bytes=2**24,
        contract=contract, pixel_size_m=None, everywhere=False, smallest_um2=None, fast=False, member=None,
    )  # fmt: skip
    BENCH.clear()


def opened_tiles(path: Path, work: Work) -> Tiles:
    return BENCH.scene(work, {"path": str(path), "bytes": path.stat().st_size, "start": 0, "end": None}).tiles


def test_few_tasks_are_under_way_and_small_images_share_one(work, data, slide) -> None:
    images = sorted((data / "images").iterdir()) * 4
    paths = [Path(*path.parts[:-1], "..", path.parent.name, path.name) if i else path for i, path in enumerate(images)]
    paths = [slide, *dict.fromkeys(paths)]
    workers = Inline()
    cohort = Cohort(workers, work, paths)
    network = BENCH.network(work).segmenter
    for path in paths[:3] + paths[4:]:  # one cannot be opened
        tiles = opened_tiles(path, work)
        expected = {index: entities.ids for index, entities in tiles.predicted(network)}
        maps = {index: entities.ids for index, entities in cohort.maps(path, tiles, 0)}
        assert list(maps) == list(expected)
        assert all(np.array_equal(maps[index], expected[index]) for index in expected)
    assert workers.most <= 2 * AHEAD and 1 < max(workers.scenes) <= SHARED


def test_where_replies_are_large_fewer_tasks_are_under_way_and_the_maps_are_the_same(
    work, data, slide, monkeypatch
) -> None:
    monkeypatch.setattr("recipes.verbs.predict_cohort.HELD_BYTES", 1)
    paths = [slide, *sorted((data / "images").iterdir())]
    workers, network = Inline(), BENCH.network(work).segmenter
    cohort = Cohort(workers, {**work, "reply_bytes": 1, "ahead_px": 1}, paths)
    for path in paths:
        tiles = opened_tiles(path, work)
        maps = {index: entities.ids for index, entities in cohort.maps(path, tiles, 0)}
        assert maps.keys() == {index for index, _ in tiles.predicted(network)}
        assert all(np.array_equal(maps[index], entities.ids) for index, entities in tiles.predicted(network))
    assert workers.most <= 2 * (workers.threads + 1) < 2 * AHEAD


def test_by_windows_a_task_is_one_large_tile(work, slide) -> None:
    work["contract"] |= {"window_px": 32, "symmetries": 1}
    tiles, network = opened_tiles(slide, work), BENCH.network(work).segmenter
    maps = dict(Cohort(Inline(), {**work, "ahead_px": 1}, [slide]).maps(slide, tiles, 0))
    assert tiles.at_once == 1 and len(maps) == len(tiles.grid) > 1
    for index, entities in tiles.predicted(network):
        assert np.array_equal(maps[index].ids, entities.ids)


def test_a_task_that_ends_worker_after_worker_is_one_line(cluster) -> None:
    with Client(cluster, set_as_default=False) as client:
        workers = Workers(client, "here")
        # after a moment, as a lack of memory does: dask's nanny replaces no worker that ends as soon as it is there
        task = workers.submit(lambda: sleep(1) or os._exit(1), order=0)
        with pytest.raises(InputError, match=r"^'a.png': 3 workers ended while they predicted it, .*too little memory"):
            workers.result(task, "'a.png'", lambda: None)


def test_where_no_worker_of_ours_is_left_the_wait_ends_in_one_line(monkeypatch) -> None:
    class Deserted:
        status = "running"

        def nthreads(self) -> dict[str, int]:
            return {}

        def as_current(self):
            return nullcontext()

    class Never:
        def done(self) -> bool:
            return False

    monkeypatch.setattr("recipes.cluster.wait", lambda future, timeout: None)
    monkeypatch.setattr("recipes.cluster.GONE_S", 0.0)
    with pytest.raises(InputError, match="^'a.png': the workers of local:1 ended, and none was started"):
        Workers(Deserted(), "local:1", ours=True).result(Never(), "'a.png'", lambda: None)


def test_a_scene_that_was_begun_goes_on_at_its_tile(work, slide) -> None:
    tiles = opened_tiles(slide, work)
    cohort = Cohort(Inline(), work, [slide], begun=frozenset([slide]))
    assert [index for index, _ in cohort.maps(slide, tiles, tiles.at_once)] == [*range(tiles.at_once, len(tiles.grid))]


def test_a_worker_without_the_file_or_the_adapter_says_so_in_one_line(work, slide, tmp_path) -> None:
    tiles = opened_tiles(slide, work)
    with pytest.raises(
        InputError, match=r"process \d+ cannot predict it: .*no.png.* cannot be opened.*every worker wants"
    ):
        next(Cohort(Inline(), work, [tmp_path / "no.png"]).maps(tmp_path / "no.png", tiles, 0))
    missing = tmp_path / "no.png"
    with pytest.raises(InputError, match=r"process \d+ cannot predict it: .*no.png.* be opened.*every worker wants"):
        next(Cohort(Inline(), work, [missing]).maps(missing, tiles, 0))
    with pytest.raises(InputError, match="cannot predict it: .*is not here what it is where the command was given"):
        next(Cohort(Inline(), {**work, "digest": "another"}, [slide]).maps(slide, tiles, 0))
    (reply,) = replies(work, [{"path": str(slide), "bytes": 7, "start": 0, "end": None}])
    assert "bytes here; wanted 7" in reply["fault"]


def test_a_map_comes_over_the_wire_as_it_was() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(-1, 4, (20, 30)).astype(np.int32)
    scores = rng.random(3, np.float32)
    sent = EntityMap(ids, scores, np.array([0, 1, -1], np.int32), ("a", "b"), None, rng.random((20, 30)).astype("f2"))
    back = from_wire(to_wire(sent, with_pixel_scores=True))
    assert np.array_equal(back.ids, ids) and np.array_equal(back.scores, scores) and back.vocabulary == ("a", "b")
    assert np.array_equal(back.labels, sent.labels) and np.array_equal(back.pixel_scores, sent.pixel_scores)
    assert from_wire(to_wire(sent, with_pixel_scores=False)).pixel_scores is None
    assert 20 * 30 * 2 < wire_bytes(to_wire(sent, with_pixel_scores=True)) < 20 * 30 * BYTES_PX
