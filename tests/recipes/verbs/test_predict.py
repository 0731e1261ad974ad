"""`predict` from the command line on: every format, its limits, what is left out and what is told."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cli import main
from recipes.verbs.numbers import counted
from recipes.verbs.predict import hardly_looked, next_step


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
    assert 0 < len(kept) < len(every)
    assert f"{counted(len(kept), 'entity', 'entities')} in 2 images" in capsys.readouterr().out
    assert all(least <= int(row["area_px"]) <= most and float(row["score"]) >= score - 1e-6 for row in kept)
    passed = {(row["name"], row["centroid_y_px"], row["centroid_x_px"]) for row in kept}
    for row in every:
        inside = least <= int(row["area_px"]) <= most and float(row["score"]) > score + 1e-6
        assert not inside or (row["name"], row["centroid_y_px"], row["centroid_x_px"]) in passed
    counts = [int(tifffile.imread(out / f"{name}.labels.tif").max()) for name in "01"]
    assert sum(counts) == len(kept)
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


def test_predict_writes_every_format_for_every_image(run: Path, data: Path, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["predict", "--adapter", str(run / "adapter"), str(data / "images"), "--out", str(out)]) == 0
    names = {path.name for path in out.iterdir()}
    assert {"entities.csv", "predictions.coco.json", "0.labels.tif", "0.geojson", "0.overlay.png"} <= names
    with (out / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list((data / "images").iterdir())) and all(0 < float(row["score"]) <= 1 for row in rows)


def test_results_in_the_folder_of_the_images_are_not_predicted(run: Path, data: Path, tmp_path, capsys) -> None:
    root = tmp_path / "mine"
    for name in ("0.png", "below/0.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((data / "images" / "0.png").read_bytes())
    words = ["predict", "--adapter", str(run / "adapter"), str(root), "--out", str(root), "--format", "heat"]
    assert main([*words, "--format", "overlay", "--format", "labels"]) == 0
    before = {path.name: path.stat().st_size for path in root.iterdir()}
    assert {"mine_0.overlay.png", "below_0.labels.tif", "below_0.heat.tif"} <= before.keys()
    capsys.readouterr()
    assert main([*words, "--format", "overlay", "--format", "labels", "--overwrite"]) == 0
    told = capsys.readouterr()
    assert "in 2 images" in told.out and "left out: 6 files" in told.err and "1 of 2 images lie in folders" in told.err
    assert {path.name: path.stat().st_size for path in root.iterdir()} == before


def test_predict_leaves_a_broken_image_out_and_says_so(run: Path, data: Path, tmp_path, capsys) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    arguments = [
        "predict",
        "--adapter",
        str(run / "adapter"),
        str(data / "images" / "0.png"),
        str(tmp_path / "broken.png"),
    ]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--format", "labels"]) == 2
    error = capsys.readouterr().err.strip()
    assert (
        "1 of 2 images were left out" in error and "broken.png" in error and "\n" not in error.partition("error: ")[2]
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0.labels.tif", ".predict"}


def test_a_format_that_an_image_cannot_have_is_left_out_alone(run: Path, data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    words = ["predict", "--adapter", str(run / "adapter"), str(data / "images/0.png"), "--out", str(out)]
    assert main([*words, "--format", "density", "--format", "gpkg", "--format", "csv"]) == 0
    told = capsys.readouterr().err
    assert "--format density is left out for" in told and "--format gpkg is left out for" in told
    assert told.index("--format gpkg") < told.index("predict: 1/1")
    assert {path.name for path in out.iterdir()} == {"entities.csv", ".predict"}


def test_a_run_that_writes_nothing_leaves_no_tables(run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    out = tmp_path / "out"
    words = ["predict", "--adapter", str(run / "adapter"), str(tmp_path / "a.png"), "--out", str(out)]
    assert main(words) == 2 and not out.exists()


def test_a_slide_that_is_hardly_looked_at_is_the_last_line(run: Path, tmp_path: Path, capsys) -> None:
    glass = np.full((3000, 3000, 3), (243, 242, 244), np.uint8)
    tifffile.imwrite(tmp_path / "glass.tif", glass, photometric="rgb", tile=(256, 256))
    glass[1110:1210, 1110:1210] = (150, 60, 140)
    tifffile.imwrite(tmp_path / "fragment.tif", glass, photometric="rgb", tile=(256, 256))
    words = ["predict", "--adapter", str(run / "adapter"), "--pixel-size", "0.25", "--format", "csv", "--out"]
    assert main([*words, str(tmp_path / "a"), str(tmp_path / "glass.tif")]) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("warning: nothing of 'glass' was looked at") and "--everywhere" in last
    assert main([*words, str(tmp_path / "b"), str(tmp_path / "fragment.tif")]) == 0
    told = capsys.readouterr().err
    assert "looks at 0 of" not in told and told.splitlines()[-1].startswith("warning: 0.")
    large = ["--smallest-piece", "1000000"]
    assert main([*words, str(tmp_path / "c"), *large, str(tmp_path / "fragment.tif")]) == 0
    assert "nothing of 'fragment' was looked at" in capsys.readouterr().err.splitlines()[-1]


def test_a_share_of_a_slide_below_a_hundredth_is_told() -> None:
    assert not hardly_looked({"a": 0.01, "b": 1.0}, None)
    assert "0.50% of 'b' was looked at (and 1 more scenes)" in hardly_looked({"a": 0.5, "b": 0.005, "c": 0.0}, None)


def test_the_next_step_is_of_what_was_written(tmp_path: Path) -> None:
    assert next_step(tmp_path, ["overlay", "csv"]) == "look at the .overlay.png files"
    assert next_step(tmp_path, ["csv"]) == ""
    forest = next_step(tmp_path, ["geojson", "forest"])
    assert forest.endswith(f", or python cli.py cut {tmp_path} --granularity 0.2 --out DIR") and "QuPath" in forest
