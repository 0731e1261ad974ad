"""More and more training images: what is asked for, real fits, the verdict, and what is written."""

from __future__ import annotations

import csv
import json
import math

import pytest

from cli import main
from domains.errors import InputError
from recipes.reading.compose import load_recipe
from recipes.verbs import apart
from recipes.verbs.apart import RESULT
from recipes.verbs.learning_curve import learning_curve, parse_images, point_of, within, worth_of
from recipes.verbs.timed_fit import run_job

FEW = ["train.calibrate=false", "decoder.regions=false", "domain.sample_count=16", "domain.crop_px=64"]
FEW += ["domain.scale=1", "train.batch_size=2"]


def test_numbers_of_images_are_read_from_small_to_large():
    assert parse_images("20, 5,all,10") == [5, 10, 20, None]
    assert parse_images("5,10") == [5, 10]


@pytest.mark.parametrize("text", ["", "5", "5,5", "0,5", "5,many", "5,-1", "all", "5,1.5"])
def test_what_is_no_list_of_numbers_is_refused(text):
    with pytest.raises(InputError, match="wanted two or more numbers of images, such as 5,10,20,all"):
        parse_images(text)


def test_more_images_than_there_are_is_all_of_them(capsys):
    assert within([5, 10, None], 30) == [5, 10, None]
    assert within([5, 10], 30) == [5, 10] and capsys.readouterr().out == ""
    assert within([5, 10, 40, 80], 30) == [5, 10, None]
    assert capsys.readouterr().out == "there are 30 images to train on: 40, 80 is all of them\n"
    with pytest.raises(InputError, match="there are 4 images to train on; name smaller numbers"):
        within([5, 10, None], 4)


def fits(images: int, values: list[float], resampled: list[list[float]], groups: int = 9) -> list[dict]:
    """Results of fits as `timed_fit` writes them, a seed each."""
    numbers = dict.fromkeys(("learning", "bytes", "steps", "cpu_s", "wall_s", "peak_mib"), 1)
    return [
        {
            "headline": "aji",
            "metrics": {"aji": value, "pq": 0.5},
            "intervals_95": {"aji": [0.1, 0.9]},
            "resampled": drawn,
            "groups": groups,
            "images": 12,
            "train_images": images,
            **numbers,
        }
        for value, drawn in zip(values, resampled, strict=True)
    ]


def worth(few: list[dict], many: list[dict]):
    """Of the step from the ones to the others."""
    return worth_of([point_of(few), point_of(many)], [few, many])


def test_the_interval_of_a_point_is_that_of_the_mean_of_its_seeds():
    row = point_of(fits(5, [0.4, 0.6], [[0.3, 0.5], [0.5, 0.7]]))
    low, high = row["metrics"]["aji"]["interval_95"]
    assert (low, high) == pytest.approx((0.405, 0.595)) and row["images"] == 5
    assert row["metrics"]["aji"]["mean"] == pytest.approx(0.5) and row["metrics"]["aji"]["seeds"] == [0.4, 0.6]


def test_more_images_help_where_the_change_is_above_chance_and_the_seeds():
    few, many = fits(5, [0.40, 0.41], [[0.3, 0.5]] * 2), fits(20, [0.60, 0.61], [[0.45, 0.65]] * 2)
    change = worth(few, many)
    assert (
        change.verdict == "helps"
        and change.change == pytest.approx(0.2)
        and change.interval == pytest.approx((0.15, 0.15))
    )
    assert str(change).startswith(
        "more images seem to help: aji +0.200 [+0.150, +0.150] from 5 to 20 images, seeds alone 0.007"
    )


def test_a_change_within_the_spread_of_the_seeds_or_the_interval_is_undecided():
    by_seeds = worth(fits(5, [0.3, 0.5], [[0.3, 0.5]] * 2), fits(20, [0.4, 0.6], [[0.4, 0.6]] * 2))
    by_images = worth(fits(5, [0.40, 0.41], [[0.3, 0.5]] * 2), fits(20, [0.60, 0.61], [[0.2, 0.9]] * 2))
    assert by_seeds.verdict == by_images.verdict == "undecided"
    assert "cannot be told" in str(by_seeds) and "more seeds or more test groups would tell" in str(by_seeds)


def test_a_fall_is_said_and_one_seed_or_one_group_has_no_spread():
    fall = worth(fits(5, [0.6], [[0.5, 0.6]]), fits(20, [0.3], [[0.2, 0.3]]))
    assert fall.verdict == "hurts" and math.isnan(fall.spread) and "one seed" in str(fall)
    alone = worth(fits(5, [0.6], [[0.5, 0.6]], groups=1), fits(20, [0.9], [[0.8, 0.9]], groups=1))
    assert alone.verdict == "undecided" and math.isnan(alone.interval[0]) and "[" not in str(alone)


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    """Two points, fitted for a second each on the embedded sample, in this process."""
    out = tmp_path_factory.mktemp("curve") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "run_apart", lambda folder: run_job(load_recipe(str(folder / "recipe.yaml")), folder))
        return out, learning_curve("pathology", [3, None], out, 1, seeds=1, overrides=FEW)


def test_each_point_is_fitted_to_its_images_and_written_in_every_form(curve, capsys):
    out, rows = curve
    assert [row["images"] for row in rows] == [3, 10] and all(row["metrics"]["aji"]["mean"] > 0 for row in rows)
    table = list(csv.reader((out / "learning-curve.csv").read_text(encoding="utf-8").splitlines()))
    assert [row[0] for row in table] == ["images", "3", "10"]
    content = json.loads((out / "learning-curve.json").read_text(encoding="utf-8"))
    assert content["last_step"]["images"] == [3, 10] and content["last_step"]["verdict"] in (
        "helps",
        "hurts",
        "undecided",
    )
    assert (out / "learning-curve.md").read_text(encoding="utf-8").count("\n|") == 4
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "pathology sample: 3 to 10 images" in page and 'aria-label="aji by images to train on"' in page


def test_a_stopped_curve_goes_on_from_the_fits_that_it_lacks(curve, monkeypatch):
    out, rows = curve
    lost = out / "3-0" / RESULT
    content, fitted = lost.read_text(encoding="utf-8"), []
    lost.unlink()

    def fit_again(folder):
        fitted.append(folder.name)
        (folder / RESULT).write_text(content, encoding="utf-8")

    monkeypatch.setattr(apart, "run_apart", fit_again)
    assert learning_curve("pathology", [3, None], out, 1, seeds=1, overrides=FEW) == rows and fitted == ["3-0"]
    with pytest.raises(InputError, match="is of another comparison; name another folder by --out"):
        learning_curve("pathology", [3, None], out, 2, seeds=1, overrides=FEW)


def test_what_varies_and_a_table_of_groups_that_is_not_there_are_refused_in_a_line(data, tmp_path, capsys):
    words = ["learning-curve", "--recipe", "pathology", "--images", "1,all", "--out", str(tmp_path / "out")]
    assert main([*words, "domain.max_images=2"]) == 2
    assert "domain.max_images is 2; leave it out, --images varies it" in capsys.readouterr().err
    assert main([*words, "--data", str(data), "--groups", str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err and not (tmp_path / "out").exists()
