"""A registry keeps ids over visits, crashes and other processes, and says in one line what it cannot read."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from adapters.tracking import registry as module
from adapters.tracking.looks import LENGTH, unit
from adapters.tracking.recognising import View
from adapters.tracking.registry import VERSION, Registry
from adapters.tracking.visit import Visit
from domains.errors import InputError
from tests.adapters.tracking.test_recognising import cropped, scene_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


def ids_of(path: Path, view: View, source: str = "clip") -> np.ndarray:
    with Registry(path) as registry:
        return Visit(registry, source).ids(view)


def test_a_second_visit_gets_the_ids_of_the_first_and_new_ones_for_what_is_new(path: Path):
    scene = scene_of(0)
    left, rows_left = cropped(scene, 0, 0, 300)
    right, rows_right = cropped(scene, 60, 80, 300)
    first = dict(zip(rows_left.tolist(), ids_of(path, left).tolist(), strict=True))
    second = dict(zip(rows_right.tolist(), ids_of(path, right).tolist(), strict=True))
    shared = sorted(first.keys() & second.keys())
    assert len(shared) > 20
    assert np.mean([first[row] == second[row] for row in shared]) > 0.9
    new = [second[row] for row in second.keys() - first.keys()]
    assert min(new) > max(first.values()) and len(set(new)) == len(new)


def test_another_place_shares_no_id(path: Path):
    first = ids_of(path, cropped(scene_of(1), 0, 0, 400)[0])
    second = ids_of(path, cropped(scene_of(2), 0, 0, 400)[0])
    assert not set(first) & set(second)


def test_named_entities_keep_their_ids_and_barred_ones_are_given_to_nobody(path: Path):
    view, _ = cropped(scene_of(3), 0, 0, 400)
    first = ids_of(path, view)
    with Registry(path) as registry:
        visit = Visit(registry, "again")
        named = np.where(np.arange(len(view)) < 5, first[::-1], 0)
        ids = visit.recognised(view, named=named)
        assert (ids[:5] == first[::-1][:5]).all() and len(set(ids[ids > 0])) == (ids > 0).sum()
        assert not visit.recognised(view, barred=first.tolist()).any()
        assert (visit.recognised(view) == first).all() and (visit.ids(view) == first).all()


def test_looks_are_means_over_moments(path: Path):
    view, _ = cropped(scene_of(5), 0, 0, 400)
    turned = View(np.roll(view.looks, 1, axis=1), view.centres, view.areas * 3)
    with Registry(path) as registry:
        ids = Visit(registry, "a").ids(view)
        Visit(registry, "b").keep(7, ids, turned, [b""] * len(ids))
        assert np.allclose(registry.looks[registry.place(ids)], unit(view.looks + turned.looks), atol=2e-3)
        ((area,),) = registry.ask("SELECT area FROM entity WHERE id = ?", (int(ids[0]),))
        assert area == pytest.approx(2 * view.areas[0])
        assert registry.ask("SELECT tick FROM moment ORDER BY id") == [(0.0,), (7.0,)]


def test_a_run_that_is_killed_before_its_moment_is_kept_leaves_a_file_that_goes_on(path: Path):
    view, _ = cropped(scene_of(6), 0, 0, 400)
    with Registry(path) as registry, pytest.raises(KeyboardInterrupt), registry.writing():
        registry.add(view.looks, view.areas, "2026-01-01T00:00:00+00:00")
        raise KeyboardInterrupt
    with Registry(path) as registry:
        assert len(registry.ids) == 0
    assert len(ids_of(path, view)) == len(view)


def test_what_another_process_writes_is_seen(path: Path):
    view, _ = cropped(scene_of(7), 0, 0, 400)
    with Registry(path) as registry:
        visit = Visit(registry, "here")
        first = ids_of(path, view, "there")
        assert (visit.ids(view) == first).mean() > 0.95


def test_a_registry_that_another_process_holds_is_one_line(path: Path, monkeypatch: pytest.MonkeyPatch):
    view, _ = cropped(scene_of(8), 0, 0, 400)
    ids_of(path, view)
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with Registry(path) as registry, pytest.raises(InputError, match="locked for 0.05 s by another process"):
            Visit(registry, "here").ids(cropped(scene_of(9), 0, 0, 400)[0])


def altered(path: Path, *lines: str) -> Path:
    with Registry(path):
        pass
    with closing(sqlite3.connect(path)) as database:
        for line in lines:
            database.execute(line)
        database.commit()
    return path


ROW = "INSERT INTO entity (look, times, area, first_seen, last_seen) VALUES ({}, 1, 9, '', '')"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([f"PRAGMA user_version = {VERSION + 1}"], f"version {VERSION + 1}, and this build reads {VERSION}"),
        (["PRAGMA application_id = 7"], "a database of something else"),
        (["CREATE TRIGGER t AFTER INSERT ON visit BEGIN DELETE FROM entity; END"], "other tables than a registry"),
        (["DROP TABLE alias"], "other tables than a registry"),
        ([ROW.format("x'00'")], f"a look that is not {LENGTH} numbers"),
        ([ROW.format(f"x'{'ff' * 2 * LENGTH}'")], "a look beyond -1 to 1"),
    ],
)
def test_what_is_no_registry_of_ours_is_one_line(path: Path, lines: list[str], says: str):
    with pytest.raises(InputError, match=says):
        Registry(altered(path, *lines))


def test_a_file_that_is_no_database_and_one_that_is_cut_are_one_line(path: Path, tmp_path: Path):
    path.write_bytes(b"no database at all, " * 100)
    with pytest.raises(InputError, match="is no registry, or is damaged"):
        Registry(path)
    with pytest.raises(InputError, match="cannot use"):
        Registry(tmp_path / "no" / "folder.sqlite")
    with pytest.raises(InputError, match="is not there"):
        Registry(tmp_path / "none.sqlite", make=False)
    whole = tmp_path / "whole.sqlite"
    ids_of(whole, cropped(scene_of(11), 0, 0, 400)[0])
    cut = tmp_path / "cut.sqlite"
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged"):
        ids_of(cut, cropped(scene_of(11), 0, 0, 400)[0])


def test_a_registry_of_too_many_entities_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapters.tracking.registry.MOST_ENTITIES", 0)
    with pytest.raises(InputError, match="entities, more than 0: forget some, or name another file"):
        Registry(altered(path, ROW.format(f"x'{'00' * 2 * LENGTH}'")))
