"""`cut` makes flat maps of forests at any granularity; at that of the prediction they are its own, to the byte."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cli import main
from domains.exports.forest_reading import read_forest
from tests.domains.exports.test_forest_files import three

ROOT = Path(__file__).parents[3]


@pytest.fixture
def words(run: Path, data: Path) -> list[str]:
    images = [str(data / "images" / name) for name in ("0.png", "1.png")]
    return ["predict", "--adapter", str(run / "adapter"), *images, "--out"]


def formats(*names: str) -> list[str]:
    return [word for name in names for word in ("--format", name)]


def same(folder: Path, other: Path, *names: str) -> bool:
    return all((folder / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_without_a_granularity_a_cut_is_the_prediction_to_the_byte(words: list[str], tmp_path: Path, capsys) -> None:
    names = ("labels", "csv", "geojson", "coco", "images")
    assert main([*words, str(tmp_path / "flat"), *formats(*names)]) == 0
    assert main([*words, str(tmp_path / "both"), *formats(*names, "forest")]) == 0
    written = ("0.labels.tif", "1.labels.tif", "entities.csv", "predictions.coco.json")
    assert same(tmp_path / "flat", tmp_path / "both", *written, "images.csv", "0.geojson")
    capsys.readouterr()
    assert main(["cut", str(tmp_path / "both"), "--out", str(tmp_path / "cut")]) == 0
    assert "entities in 2 forests" in capsys.readouterr().out
    assert same(tmp_path / "flat", tmp_path / "cut", *written)
    features = [json.loads((tmp_path / name / "0.geojson").read_text())["features"] for name in ("flat", "cut")]
    for feature, again in zip(*features, strict=True):  # but for what is measured on the pixels of the image
        assert feature["geometry"] == again["geometry"]
        assert again["properties"]["measurements"].items() <= feature["properties"]["measurements"].items()


def test_predict_at_a_granularity_is_the_cut_at_it(words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "forest"
    assert main([*words, str(out), *formats("forest")]) == 0
    counts = []
    for granularity in ("0.1", "1"):
        at = ["--granularity", granularity, *formats("labels")]
        assert main([*words, str(tmp_path / f"predicted{granularity}"), *at]) == 0
        rasters = [str(out / f"{name}.forest.tif") for name in "01"]
        assert main(["cut", *rasters, "--out", str(tmp_path / f"cut{granularity}"), *at]) == 0
        counts.append(0)
        for name in "01":
            ids = [
                tifffile.imread(tmp_path / f"{way}{granularity}" / f"{name}.labels.tif") for way in ("predicted", "cut")
            ]
            pairs = np.unique(np.stack([image.ravel() for image in ids]), axis=1)
            assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
            counts[-1] += int(ids[0].max())
    flat = sum(read_forest(out / f"{name}.forest.tif").forest.entity_forest.cut(0.5).count for name in "01")
    assert counts[0] <= flat < counts[1]  # else nothing is nested, and nothing shown


def test_another_granularity_is_another_prediction(words: list[str], tmp_path: Path, capsys) -> None:
    words = [*words, str(tmp_path), *formats("labels")]
    assert main([*words, "--granularity", "1"]) == 0 and main([*words, "--granularity", "1"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main(words) == 2 and "with another --granularity" in capsys.readouterr().err


def test_a_scene_that_does_not_fit_into_memory_goes_on_and_is_cut_by_windows(
    run: Path, data: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    picture = np.tile(np.asarray(Image.open(data / "images" / "0.png").convert("RGB")), (2, 2, 1))
    tifffile.imwrite(tmp_path / "slide.tif", picture, photometric="rgb", tile=(64, 64))
    words = ["predict", "--adapter", str(run / "adapter"), str(tmp_path / "slide.tif"), "--window", "0"]
    words += [*formats("labels", "csv", "forest"), "--out"]
    assert main([*words, str(tmp_path / "held")]) == 0
    assert main(["cut", str(tmp_path / "held"), "--out", str(tmp_path / "fine"), "--granularity", "1"]) == 0
    monkeypatch.setattr("recipes.verbs.predict_scenes.LARGE_PX", 1000)
    monkeypatch.setattr("recipes.verbs.cut.LARGE_PX", 1000)
    capsys.readouterr()
    assert main([*words, str(tmp_path / "streamed")]) == 0
    assert "as labels, csv, forest" in capsys.readouterr().err
    assert not (tmp_path / "streamed" / ".slide.running").exists()
    held, streamed = (tmp_path / name / "slide.forest.tif" for name in ("held", "streamed"))
    assert np.array_equal(tifffile.imread(held), tifffile.imread(streamed))
    assert same(tmp_path / "held", tmp_path / "streamed", "slide.forest.csv", "entities.csv")
    assert main(["cut", str(streamed), "--out", str(tmp_path / "windows"), "--granularity", "1"]) == 0
    assert "coco would take it into memory" in capsys.readouterr().err
    labels = [tifffile.imread(tmp_path / name / "slide.labels.tif") for name in ("fine", "windows")]
    assert np.array_equal(*labels) and labels[0].max() > tifffile.imread(tmp_path / "held" / "slide.labels.tif").max()
    assert same(tmp_path / "fine", tmp_path / "windows", "entities.csv")


def test_levels_and_limits_of_a_cut(tmp_path: Path, capsys) -> None:
    three(tmp_path / "in")
    words = ["cut", str(tmp_path / "in" / "a.forest.csv"), "--out"]
    for level, areas in (("whole", ["4"]), ("part", ["2", "2"])):
        assert main([*words, str(tmp_path / level), "--level", level]) == 0
        with (tmp_path / level / "entities.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["area_px"] for row in rows] == areas and rows[0]["image"] == "slides/a.png"
    assert main([*words, str(tmp_path / "large"), "--level", "part", "--least-area", "3"]) == 0
    assert "0 entities in 1 forest:" in capsys.readouterr().out


def test_a_cut_wants_no_network(tmp_path: Path) -> None:
    three(tmp_path)
    code = (
        "import sys; from cli import main; "
        f"assert main(['cut', {str(tmp_path)!r}, '--out', {str(tmp_path / 'out')!r}, '--granularity', '0.2']) == 0; "
        "print({'torch', 'transformers', 'adapters.network'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr
    assert (tmp_path / "out" / "a.labels.tif").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--granularity", "1.5"], "'--granularity': Input should be less than or equal to 1"),
        (["--granularity", "0.5", "--level", "part"], "--granularity and --level are two ways to say one thing"),
        (["--format", "density"], "no format is left to write"),
        (["--least-area", "3um2"], "does not say the size of a pixel"),
    ],
)
def test_a_cut_that_cannot_be_is_one_line(tmp_path: Path, capsys, more: list[str], message: str) -> None:
    three(tmp_path)
    assert main(["cut", str(tmp_path), "--out", str(tmp_path / "out"), *more]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_what_is_no_forest_is_named_and_the_others_are_cut(tmp_path: Path, capsys) -> None:
    three(tmp_path / "a")
    damaged = three(tmp_path / "b")
    damaged.with_suffix(".csv").unlink()
    words = [str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")]
    assert main(["cut", *words]) == 2
    assert "1 of 2 forests were left out, the others are done" in capsys.readouterr().err
    assert (tmp_path / "out" / "a_a.labels.tif").exists()
    for path, message in ((tmp_path, "holds no NAME.forest.tif"), (tmp_path / "no.forest.tif", "does not exist")):
        assert main(["cut", str(path), "--out", str(tmp_path / "new")]) == 2
        assert message in capsys.readouterr().err


def test_workers_and_wholes_have_flat_maps_alone(words: list[str], tmp_path: Path, capsys) -> None:
    for more in (["--granularity", "1"], formats("forest")):
        assert main([*words, str(tmp_path), "--scheduler", "local:1", *more]) == 2
        assert "leave out --granularity and --format forest" in capsys.readouterr().err
