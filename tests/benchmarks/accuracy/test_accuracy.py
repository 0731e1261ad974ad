from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.inference.segment import InputContract, measure
from benchmarks import figure
from benchmarks.accuracy.command import run_all
from benchmarks.accuracy.job import GRANULARITIES, best_of_granularities, recipe_of, result_name
from benchmarks.accuracy.plan import METHODS, SETS, Job, jobs
from benchmarks.accuracy.table import render, write_table
from benchmarks.accuracy.unet import UNETS, UNetSegmenter
from domains.entities import EntityMap, EntitySample, Place
from domains.errors import InputError

SIDE = 48


def result_of(method: str, seed: int, aji: float, budget: str = "time") -> dict[str, Any]:
    return {
        "set": "dsb2018_he",
        "method": method,
        "budget": budget,
        "seed": seed,
        "seconds_limit": 60.0,
        "steps_limit": None,
        "metrics": {"aji": aji, "f1": None},
        "intervals_95": {"aji": [aji - 0.1, aji + 0.1], "f1": [None, None]},
        "by_stratum": {"": {"aji": aji}},
        "stratum_entities": {"": 9},
        "split": "0a1b2c3d",
        "images": 4,
        "groups": 3,
        "entities": 9,
        "train_images": 5,
        "steps": 50,
        "fit_cpu_s": 60.2,
        "bytes": 1_500_000,
    }


def test_a_job_leaves_one_file_and_is_not_done_twice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "unet", ("domain.crop_px=32", "train.batch_size=2"))
    out = tmp_path / "results"
    chosen = [Job("dsb2018_he", method, "time", 0, seconds=0.1, steps=1) for method in ("unet", "classical")]
    assert run_all(chosen, data, out) == 0
    files = sorted(out.glob("*"))
    assert {file.name for file in files} == {f"{result_name(job)}.json" for job in chosen}
    classical, unet = (json.loads(file.read_text()) for file in files)
    assert unet["steps"] >= 1 and unet["bytes"] > 1e6 and unet["val_loss"] > 0
    assert classical["metrics"]["f1"] > 0.9
    assert unet["entities"] == 2 * unet["images"]

    written = [file.stat().st_mtime_ns for file in files]
    assert run_all(chosen, data, out) == 0
    assert [file.stat().st_mtime_ns for file in files] == written

    (out / "tracking-true.json").write_text('{"command": "python -m ...", "numbers": {}}')  # of tracks, beside fits
    write_table(out, tmp_path / "accuracy.md")
    assert "| MONAI U-Net from scratch |" in (tmp_path / "accuracy.md").read_text()


def test_adapters_are_kept_on_request_and_drawn_beside_the_other_methods(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "decoder_only", (*METHODS["decoder_only"], "domain.crop_px=32", "train.batch_size=2"))
    out, runs, picture = tmp_path / "results", tmp_path / "runs", tmp_path / "figure.png"
    names = ("decoder_only", "classical")
    assert run_all([Job("dsb2018_he", name, "minutes", 0, 0.1, steps=1) for name in names], data, out, runs) == 0
    assert [run.name for run in runs.iterdir()] == ["dsb2018_he-decoder_only-minutes-0"]
    figure.main(data, runs, ["dsb2018_he"], picture, results=out)
    with Image.open(picture) as drawn:
        assert drawn.width >= 5 * SIDE and drawn.height >= SIDE


def test_fits_on_few_images_have_a_file_and_a_table_of_their_own(tmp_path: Path) -> None:
    (job,) = jobs(["dsb2018_he"], ["unet"], seeds=[0], budgets=["time"], images=5)
    assert job.name == "dsb2018_he-unet-time-0-5img"
    assert recipe_of(job, tmp_path).domain.max_images == 5
    assert [base.images for base in jobs(["dsb2018_he"], ["base"], budgets=["time"], images=5)] == [None]
    few = {**result_of("unet", 0, 0.35), "images_limit": 5, "train_images": 5}
    text = render([{**result_of("unet", 0, 0.5), "train_images": 43}, few, result_of("base", 0, 0.2, "none")])
    whole, five = text.split("From 5 training images")
    assert "43 training images" in whole and "**.500**" in whole and ".350" not in whole
    assert "**.350**" in five and "base as it comes" in five and ".500" not in five


def test_fits_of_two_precisions_are_two_results(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs_ = [Job("dsb2018_he", method, "minutes", 1, 600, 30) for method in ("lora", "classical")]
    names = []
    for precision in ("32-true", "bf16-mixed"):
        monkeypatch.setattr("benchmarks.accuracy.job.best_precision", lambda *_, precision=precision: precision)
        names.append([result_name(job) for job in jobs_])
    lora, classical = "dsb2018_he-lora-minutes-1", "dsb2018_he-classical-minutes-1"
    assert names == [[lora, classical], [f"{lora}-bf16", classical]]


def test_a_job_that_fails_is_counted_and_leaves_no_file(tmp_path: Path) -> None:
    job = Job("dsb2018_he", "unet", "steps", 0, seconds=1, steps=1)
    assert run_all([job], tmp_path, tmp_path / "results") == 1
    assert not list((tmp_path / "results").iterdir())


def test_every_job_comes_once() -> None:
    names = [job.name for job in jobs(list(SETS), list(METHODS))]
    assert len(set(names)) == len(names)
    assert {name.split("-")[1] for name in names} == set(METHODS)


@pytest.mark.parametrize("name", SETS)
def test_every_set_has_a_recipe_and_every_budget_one_limit(name: str, tmp_path: Path) -> None:
    time, steps = (recipe_of(job, tmp_path).train for job in jobs([name], ["unet"], seeds=[1]))
    assert (time.seed, time.seconds) == (1, SETS[name].seconds)
    assert (steps.steps, steps.seconds) == (SETS[name].steps, None)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_recipe(method: str, tmp_path: Path) -> None:
    job = next(jobs(["dsb2018_he"], [method]))
    assert recipe_of(job, tmp_path).backbone.random == (method in ("scratch", "random_lora", "instanseg", *UNETS))


def test_the_base_has_one_job_and_classical_methods_have_no_steps() -> None:
    found = [(job.method, job.budget, job.seed) for job in jobs(["dsb2018_he"], ["base", "classical"])]
    assert found == [("base", "none", 0), *(("classical", "time", seed) for seed in (0, 1, 2))]


def test_the_unet_gives_the_fields_at_the_size_of_the_image_and_decodes_any_size() -> None:
    network = UNetSegmenter().eval()
    with torch.inference_mode():
        fields = network(torch.rand(1, 3, 32, 48))
    assert {field.shape for field in fields.values()} == {(1, 1, 32, 48)}
    found = network.entities([np.zeros((37, 21, 3), np.uint8)])
    assert found[0].ids.shape == (37, 21)


def test_granularities_are_decoded_from_one_run_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network, contract, rng = UNetSegmenter().eval(), InputContract(tile_px=32, overlap_px=8), np.random.default_rng(0)
    truth = (EntityMap(np.full((48, 40), 1, np.int32)),)
    samples = [
        EntitySample(rng.integers(0, 256, (48, 40, 3), dtype=np.uint8), truth, Place(scene)) for scene in ("a", "b")
    ]
    options = network.decoder.options
    best = []
    for sample in samples:
        values = []
        for height in GRANULARITIES:
            network.decoder.options = replace(options, seed_height=height)
            values.append(measure(network, [sample], ["covering"], contract).compute()["covering"])
        best.append(max(values))
        assert min(values) < max(values)
    network.decoder.options = options
    runs = []
    monkeypatch.setattr(network.decoder, "forward", lambda *a, was=network.decoder.forward: runs.append(1) or was(*a))
    found = best_of_granularities(network, samples, "covering", contract)
    assert found == pytest.approx(np.mean(best), abs=1e-6) and len(runs) == len(samples)
    assert network.decoder.options == options


def test_the_table_shows_mean_spread_and_interval_and_marks_the_best() -> None:
    text = render([result_of("lora", 0, 0.5), result_of("lora", 1, 0.6), result_of("base", 0, 0.3, "none")])
    assert "| LoRA | **.550** ± .071 [.400, .600] | fp32 | 50 | 60 | 1.50 M | 2 |" in text
    assert "| base as it comes | .300 [.200, .400] |" in text
    assert "f1" not in text.partition("| method |")[2].partition("\n")[0]


@pytest.mark.parametrize("change", [{"split": "ffffffff"}, {"seconds_limit": 30.0}])
def test_results_that_cannot_be_compared_give_no_table(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="run them again"):
        render([result_of("lora", 0, 0.5), {**result_of("lora", 1, 0.6), **change}])


@pytest.mark.parametrize(("method", "name"), [("unet", ""), ("unet_regions", ", by regions")])
def test_the_views_of_a_recipe_are_a_row_of_their_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, name: str
) -> None:
    monkeypatch.setitem(METHODS, method, ("domain.crop_px=32", "train.batch_size=2", "domain.test_scales=[1,0.7]"))
    out = tmp_path / "results"
    assert run_all([Job("dsb2018_he", method, "minutes", 0, seconds=0.1, steps=1)], data, out) == 0
    (result,) = (json.loads(file.read_text()) for file in out.iterdir())
    assert (result["views"]["symmetries"], result["views"]["test_scales"]) == (2, [1.0, 0.7])
    assert result["views"]["metrics"].keys() == result["metrics"].keys()
    text = render([result])
    assert f"| MONAI U-Net from scratch{name} |" in text
    assert f"| MONAI U-Net from scratch{name}; symmetries 2, scales 1, 0.7 |" in text


def test_fits_of_two_precisions_are_two_rows() -> None:
    slow, fast = result_of("lora", 0, 0.5), {**result_of("lora", 1, 0.6), "precision": "bf16-mixed"}
    text = render([fast, slow])
    assert "| LoRA | .500 [.400, .600] | fp32 | 50 |" in text
    assert "| LoRA | **.600** [.500, .700] | bf16 | 50 |" in text
    base = {**result_of("base", 0, 0.3), "steps": 0}
    assert "| base as it comes | .300 [.200, .400] |  | 0 |" in render([base, slow])


def test_what_was_fitted_to_one_set_has_a_table_of_its_own_on_another() -> None:
    there = {"metrics": {"aji": 0.25}, "intervals_95": {"aji": [0.2, 0.3]}, "by_stratum": {}}
    fitted = {**result_of("lora", 0, 0.5), "elsewhere": {"monuseg": there}, "elsewhere_images": {"monuseg": 13}}
    own, _, other = render([fitted]).partition("measured on monuseg (13 images):")
    assert "| LoRA | **.500** [.400, .600]" in own and "| LoRA | **.250** [.200, .300]" in other


def test_a_method_is_measured_on_the_other_sets_that_are_there(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "dsb2018_he", data / "monuseg")  # the layout is recognised, whatever the name
    out = tmp_path / "results"
    assert run_all([Job("dsb2018_he", "classical", "time", 0, seconds=0.1, steps=1)], data, out) == 0
    (result,) = (json.loads(path.read_text()) for path in out.glob("*.json"))
    assert result["elsewhere_images"] == {"monuseg": 8} and 0 <= result["elsewhere"]["monuseg"]["metrics"]["aji"] <= 1
