"""`transfer --few-shot`: what goes on learning on a few images of a set, once for each start and content."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.sharing.door import read_info
from adapters.sharing.folder import load_adapter
from cli import main
from recipes.build import domain_of
from recipes.reading.compose import load_recipe
from recipes.sets import AskedSet, recipe_for
from recipes.verbs import few_shot
from recipes.verbs.few_shot import FewShot, Start, few_shot_jobs, few_shot_recipe
from recipes.verbs.timed_fit import run_job
from recipes.verbs.transfer_jobs import LabelledSet, about_adapter


@pytest.fixture(scope="module")
def inverted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set that looks otherwise than the one that the run was fitted on."""
    root = Path(shutil.copytree(data, tmp_path_factory.mktemp("inverted") / "stained"))
    for path in (root / "images").iterdir():
        with Image.open(path) as picture:
            Image.fromarray(255 - np.array(picture)).save(path)
    return root


def start(run: Path) -> Start:
    return Start(str(run / "adapter"), "mine", about_adapter(str(run / "adapter")))


def column(folder: Path, run: Path, domain: str = "pathology") -> LabelledSet:
    recipe = recipe_for(AskedSet("new", domain, str(folder)), [about_adapter(str(run / "adapter")).shared])
    data = domain_of(recipe)
    return LabelledSet("new", data.dataset("test"), data, data, recipe)


def test_a_fit_has_the_domain_of_the_set_and_the_shape_of_what_it_starts_from(run: Path, inverted: Path) -> None:
    few = FewShot(2, 5)
    new, mine = column(inverted, run, "industrial"), start(run)
    recipe = few_shot_recipe(few, mine, new)
    assert (recipe.domain.name, recipe.domain.data) == ("industrial", str(inverted))
    assert (recipe.domain.max_images, recipe.domain.max_val_images) == (1, 1)
    assert mine.about is not None and recipe.decoder == mine.about.shared.recipe.decoder
    assert recipe.train.start_adapter == str(run / "adapter") and recipe.train.seconds == 5
    base = few_shot_recipe(few, Start("base", "base", None), new)
    assert base.train.start_adapter is None and base.domain == recipe.domain and base.decoder != recipe.decoder


@pytest.mark.parametrize("images, to_choose_by", [(2, 1), (5, 1), (7, 1), (8, 2), (10, 2), (50, 10)])
def test_a_fit_sees_so_many_labels_in_all(run: Path, inverted: Path, images: int, to_choose_by: int) -> None:
    domain = few_shot_recipe(FewShot(images), start(run), column(inverted, run)).domain
    assert (domain.max_images, domain.max_val_images) == (images - to_choose_by, to_choose_by)


def test_rows_that_went_on_are_measured_beside_what_they_started_from(
    run: Path, inverted: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_shot, "run_apart", lambda folder: run_job(load_recipe(str(folder / "recipe.yaml")), folder))
    monkeypatch.setattr("recipes.verbs.transfer_generated.OF_EACH_FAMILY", 1)
    out = tmp_path / "out"
    words = ["transfer", "--adapter", f"mine:{run / 'adapter'}", "--data", f"new:{inverted}", "--out", str(out)]
    extras = ["--few-shot", "2", "--few-shot-seconds", "1", "--generated"]
    assert main([*words, *extras]) == 0
    printed, content = capsys.readouterr().out, json.loads((out / "transfer.json").read_text())
    assert content["few_shot"] == {"base, then 2 images": "base", "mine, then 2 images": "mine"}
    table = content["metrics"]["pq"]
    assert table["base"].keys() == table["mine"].keys() == {"new", "generated"}
    assert table["base, then 2 images"].keys() == table["mine, then 2 images"].keys() == {"new"}
    assert content["against_base_few_shot"]["pq"].keys() == {"mine, then 2 images"}
    assert content["against_start"]["pq"]["mine, then 2 images"]["new"]["change"] == pytest.approx(
        table["mine, then 2 images"]["new"] - table["mine"]["new"]
    )
    assert content["against_base"]["pq"]["mine"]["generated"]["verdict"] == "worse"  # two blocks with random weights
    assert printed.count("fit ") == 2 and "mine, then 2 images against the base after as many images" in printed
    folders = [folder for folder in (out / "few_shot").iterdir() if (folder / "result.json").exists()]
    weights = [load_adapter(folder / "adapter")[0].backbone.name for folder in folders]
    assert len(folders) == 2 and sum("tiny" in name for name in weights) == 1
    of_base = next(folder for folder, name in zip(folders, weights, strict=True) if "tiny" not in name)
    learnt = read_info(of_base / "adapter").learnt_from
    assert learnt is not None and (len(learnt.train.each), len(learnt.val.each)) == (1, 1)

    monkeypatch.setattr(few_shot, "run_apart", lambda folder: pytest.fail("fitted again"))
    before = (out / "transfer.json").read_bytes()
    assert main([*words, *extras]) == 0 and (out / "transfer.json").read_bytes() == before
    assert main(words) == 0 and "few_shot" not in json.loads((out / "transfer.json").read_text())


def test_a_start_that_cannot_go_on_is_told_and_left_out(
    run: Path, inverted: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(folder: Path) -> None:
        raise few_shot.InputError("it has other bands")

    monkeypatch.setattr(few_shot, "run_apart", refused)
    assert [*few_shot_jobs(FewShot(2), [start(run)], [column(inverted, run)], {}, tmp_path)] == []
    assert "note: no mine, then 2 images of new: it has other bands" in capsys.readouterr().out


def test_nothing_goes_on_on_a_set_that_it_was_fitted_on(run: Path, inverted: Path, tmp_path: Path) -> None:
    fitted = {"mine": {"new": "set"}}
    assert [*few_shot_jobs(FewShot(2), [start(run)], [column(inverted, run)], fitted, tmp_path)] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--few-shot", "2", "--split", "all"], "learns from train and val"),
        (["--few-shot", "1"], "few-shot"),
        (["--generated", "--data", "generated:."], "has a set of that name"),
    ],
)
def test_what_would_flatter_or_clash_is_refused(run: Path, data: Path, tmp_path, capsys, words, message) -> None:
    line = ["transfer", "--adapter", str(run / "adapter"), "--data", f"cells:{data}", "--out", str(tmp_path / "out")]
    assert main([*line, *words]) == 2 and message in capsys.readouterr().err
