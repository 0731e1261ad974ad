"""The comparison of two golden runs, on folders of a few small files."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tests.golden.compare import compare_folders, is_fault, main
from tests.golden.formats import JOURNAL_HEAD

HISTORY = "step,seconds,lr\n1,{seconds},0.001\n2,{seconds},{rate}\n"
ERRORS = "fit: {done}/40 steps  0.4 steps/s\nregions: not learnt, {candidates} candidates\n"


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()
    return a, b


def write(root: Path, name: str, content: str | bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def only_outcome(a: Path, b: Path) -> str:
    (outcome,) = compare_folders(a, b).values()
    return outcome


def test_equal_folders_are_equal_and_a_missing_file_is_a_fault(folders):
    a, b = folders
    for root in folders:
        write(root, "out/fit_nuclei/preview.png", b"\x89PNG")
    assert compare_folders(a, b) == {"out/fit_nuclei/preview.png": "equal"}
    write(a, "out/entities.csv", "id\n1\n")
    assert compare_folders(a, b)["out/entities.csv"] == "missing in B"
    assert compare_folders(b, a)["out/entities.csv"] == "missing in A"


def test_a_job_that_failed_in_both_runs_is_a_fault(folders):
    for root in folders:
        write(root, "terminal/fit.out", "")
    assert compare_folders(*folders)["done/fit.json"] == "missing in both: the job has failed"


def test_the_clock_and_the_folder_are_masked_and_numbers_are_not(folders):
    a, b = folders
    for root, seconds in zip(folders, ("2.71", "3e-05"), strict=True):
        write(root, "out/fit_nuclei/history.csv", HISTORY.format(seconds=seconds, rate=0.002))
        write(root, "out/fit_nuclei/adapter/recipe.yaml", f"data: {root.resolve()}/inputs\n")
        write(root, "terminal/fit.err", ERRORS.format(done=int(float(seconds)), candidates=7))
        write(root, "done/fit.json", f'{{"command": ["fit"], "seconds": {float(seconds):.1f}}}')
    outcomes = compare_folders(a, b)
    assert len(outcomes) == 4 and all(outcome.startswith("equal but for") for outcome in outcomes.values()), outcomes
    write(b, "out/fit_nuclei/history.csv", HISTORY.format(seconds="3", rate=0.003))
    write(b, "terminal/fit.err", ERRORS.format(done=3, candidates=8))
    outcomes = compare_folders(a, b)
    assert "line 3: '2,0,0.002', '2,0,0.003'" in outcomes["out/fit_nuclei/history.csv"]
    assert "7 candidates" in outcomes["terminal/fit.err"] and is_fault(outcomes["terminal/fit.err"])


def test_tensors_are_held_against_each_other_to_the_bit(folders):
    a, b = folders
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    changed = weights.copy()
    changed[1, 2] += 2.0**-10
    for root, tensors in zip(folders, (weights, changed), strict=True):
        save_file({"weight": tensors}, root / "decoder.safetensors")
    assert only_outcome(a, b) == "different: weight: 1 of 6 values differ, by 0.000977 at most"
    save_file({"weight": weights.astype(np.float16)}, b / "decoder.safetensors")
    assert only_outcome(a, b) == "different: weight: float32 (2, 3), float16 (2, 3)"
    save_file({"bias": weights}, b / "decoder.safetensors")
    assert only_outcome(a, b) == "different: tensors ['bias', 'weight'] in one of them"


def test_a_checkpoint_may_have_taken_longer_and_have_learnt_nothing_else(folders):
    a, b = folders
    for root, seconds in zip(folders, (3.5, 4.5), strict=True):
        rows = [{"step": 1, "seconds": seconds}]
        state = {
            "weight": torch.ones(3),
            "rows": rows,
            "seconds": seconds,
            "best": {f"{root.resolve()}/best.ckpt": 0.5},
        }
        torch.save(state, root / "last.ckpt")
    assert only_outcome(a, b) == "equal but for seconds and the folder of the run"
    torch.save(state | {"weight": torch.tensor([1.0, 1.0, 1.5])}, b / "last.ckpt")
    assert only_outcome(a, b) == "different: /weight: 1 of 3 values differ, by 0.5 at most"
    torch.save(state | {"rows": [{"step": 2, "seconds": 4.5}]}, b / "last.ckpt")
    assert only_outcome(a, b) == "different: /rows/0/step: 1, 2"


def test_a_journal_may_name_other_times_and_places_and_no_other_count(folders):
    a, b = folders
    for root, time, at in ((a, 10**18, 800), (b, 10**18 + 5, 795)):
        write(root, "out/predict_map/.predict/journal", journal(root, time, at, entities=7))
    assert only_outcome(a, b).startswith("equal but for times of change")
    write(b, "out/predict_map/.predict/journal", journal(b, 10**18, 800, entities=8))
    assert is_fault(only_outcome(a, b)) and '"entities": 8' in only_outcome(a, b)


def journal(root: Path, time: int, at: int, entities: int) -> bytes:
    """One record, as `predict` writes it when an image is done."""
    values = {"path": f"{root.resolve()}/0.png", "entities": entities}
    record = {"files": {"0.heat.tif": [319, time]}, "values": values, "rows": {"coco": [at], "csv": [at, at + 9]}}
    content = json.dumps(record).encode()
    return JOURNAL_HEAD.pack(b"done", b"", len(content), at) + content


def test_the_times_of_an_archives_members_do_not_count_and_their_content_does(folders):
    a, b = folders
    for root, year in zip(folders, (2020, 2021), strict=True):
        with zipfile.ZipFile(root / "pack.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("entity.json", (year, 1, 1, 0, 0, 0)), '{"least_iou": 0.5}')
    assert not is_fault(only_outcome(a, b))
    with zipfile.ZipFile(b / "pack.zip", "w") as archive:
        archive.writestr("entity.json", '{"least_iou": 0.6}')
    assert "member entity.json" in only_outcome(a, b)


def test_a_geopackage_may_be_made_at_another_time_and_hold_no_other_row(folders):
    a, b = folders
    for root, time, area in ((a, "2020", 7), (b, "2021", 7)):
        geopackage(root / "map.gpkg", time, area)
    assert not is_fault(only_outcome(a, b))
    (b / "map.gpkg").unlink()
    geopackage(b / "map.gpkg", "2021", 8)
    assert only_outcome(a, b) == "different: entities, row 1: (7,), (8,)"


def geopackage(path: Path, time: str, area: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table gpkg_contents (table_name text, last_change text)")
        database.execute("create table entities (area integer)")
        database.execute("insert into gpkg_contents values ('entities', ?)", (time,))
        database.execute("insert into entities values (?)", (area,))
        database.commit()


@pytest.mark.parametrize(("content", "code"), [("0.5", 0), ("0.6", 1)])
def test_the_exit_code_says_whether_anything_differs(folders, monkeypatch, capsys, content, code):
    a, b = folders
    write(a, "out/metrics.json", '{"aji": 0.5}')
    write(b, "out/metrics.json", f'{{"aji": {content}}}')
    monkeypatch.setattr("sys.argv", ["compare", str(a), str(b)])
    assert main() == code
    out = capsys.readouterr().out
    assert out.endswith(f"1 files: 0 equal but for what is masked, {code} different or missing\n")


def test_two_empty_folders_prove_nothing(folders, monkeypatch):
    monkeypatch.setattr("sys.argv", ["compare", *map(str, folders)])
    assert main() == 1
