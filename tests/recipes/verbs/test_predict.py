"""`predict --least-score --least-area --most-area`, from the command line on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cli import main


@pytest.fixture
def words(run: Path, data: Path) -> list[str]:
    images = [str(data / "images" / name) for name in ("0.png", "1.png")]
    return ["predict", "--adapter", str(run / "adapter"), *images, "--format", "csv", "--format", "labels", "--out"]


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "entities.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_limits_leave_out_what_lies_beyond_them_and_are_part_of_the_journal(
    words: list[str], tmp_path: Path, capsys
) -> None:
    assert main([*words, str(tmp_path / "all")]) == 0
    every = rows(tmp_path / "all")
    areas, scores = sorted(int(row["area_px"]) for row in every), sorted(float(row["score"]) for row in every)
    least, most, score = areas[len(areas) // 4], areas[-2], scores[len(scores) // 4]
    limits = ["--least-area", str(least), "--most-area", f"{most}px", "--least-score", str(score)]
    out = tmp_path / "out"
    capsys.readouterr()
    assert main([*words, str(out), *limits]) == 0
    kept = rows(out)
    assert 0 < len(kept) < len(every) and f"{len(kept)} entities in 2 images" in capsys.readouterr().out
    assert all(least <= int(row["area_px"]) <= most and float(row["score"]) >= score - 1e-6 for row in kept)
    passed = {(row["name"], row["centroid_y_px"], row["centroid_x_px"]) for row in kept}
    for row in every:
        inside = least <= int(row["area_px"]) <= most and float(row["score"]) > score + 1e-6
        assert not inside or (row["name"], row["centroid_y_px"], row["centroid_x_px"]) in passed
    counts = [int(tifffile.imread(out / f"{name}.labels.tif").max()) for name in "01"]
    assert sum(counts) == len(kept) and all(count >= 0 for count in counts)
    before = (out / "entities.csv").read_bytes()
    assert main([*words, str(out), *limits]) == 0 and "nothing to do" in capsys.readouterr().out
    assert main([*words, str(out), *limits[:4]]) == 2
    assert "with another --least-score;" in capsys.readouterr().err
    assert main([*words, str(out), "--least-area", f"{least}um2", *limits[2:]]) == 2
    assert "with another --least-area;" in capsys.readouterr().err and (out / "entities.csv").read_bytes() == before


def test_a_unit_is_measured_by_the_size_of_a_pixel_and_refused_without(
    words: list[str], tmp_path: Path, capsys
) -> None:
    assert main([*words, str(tmp_path / "none"), "--least-area", "20um2"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "2 of 2 images were left out" in error and "0.png': --least-area is '20um2'" in error
    assert "--pixel-size" in error and not (tmp_path / "none" / "entities.csv").exists()
    assert main([*words, str(tmp_path / "out"), "--pixel-size", "0.5", "--least-area", "20um2"]) == 0
    areas = [float(row["area_um2"]) for row in rows(tmp_path / "out")]
    assert areas and min(areas) >= 20
    assert main([*words, str(tmp_path / "px"), "--pixel-size", "0.5", "--least-area", "80"]) == 0
    for name in "01":
        same = (tifffile.imread(tmp_path / folder / f"{name}.labels.tif") for folder in ("out", "px"))
        assert np.array_equal(*same)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (["--least-area", "20 feet2"], "--least-area is '20 feet2'; wanted a number of pixels"),
        (["--least-area", "20um2", "--most-area", "10um2"], "--least-area 20um2 is more than --most-area 10um2"),
        (["--least-area", "1m2", "--most-area", "10um2"], "--least-area 1m2 is more than --most-area 10um2"),
        (["--least-score", "1.5"], "--least-score"),
    ],
)
def test_limits_that_cannot_be_are_refused_before_anything_is_loaded(
    words: list[str], tmp_path: Path, capsys, limits: list[str], message: str
) -> None:
    assert main([*words, str(tmp_path / "out"), *limits]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error and not (tmp_path / "out").exists()
