from __future__ import annotations

from benchmarks.speed.cluster import Share, difference, report


def test_the_speed_up_is_told_by_the_clock_and_by_processor_time():
    shares = {
        "": [Share(1.0, 1.0, 0.0)] * 3,
        "local:1": [Share(1.2, 0.1, 1.0), Share(1.0, 0.1, 1.0), Share(1.1, 0.1, 1.0)],
        "local:2": [Share(0.6, 0.1, 1.1), Share(0.5, 0.1, 1.1), Share(0.5, 0.1, 1.1)],
    }
    lines = report(shares).split("\n")
    assert lines[2] == "two workers      2.00 images/s   CPU-s an image: command 0.1000, workers 1.1000"
    assert "by the clock: 2.00 (2.00 to 2.20), over one process 2.00" in lines[3]
    assert "by processor time: 1.82 with cores for all; over one process 1.82, on two cores 1.67" in lines[4]


def test_results_are_compared_but_for_their_journals(tmp_path):
    for name in ("one", "two"):
        for file in (".predict/journal", "a.labels.zarr/0/0", "a.csv"):
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(name if "journal" in file else file)
    assert difference(tmp_path / "one", tmp_path / "two") == "2 files: 0 differ [], 0 in one folder alone []"
    (tmp_path / "two" / "a.csv").write_text("other")
    (tmp_path / "two" / "b.csv").write_text("")
    told = difference(tmp_path / "one", tmp_path / "two")
    assert told == "2 files: 1 differ ['a.csv'], 1 in one folder alone ['b.csv']"
