"""The verbs from end to end, on generated scenes and on a small folder, with a base of two blocks."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from transformers import SamConfig

from adapters.backbones.folders import save_base
from adapters.backbones.sam import SamBackbone
from adapters.inference.segment import InputContract, has_data
from adapters.network import EntitySegmenter
from cli import main
from domains.datasets.domain import build_domain
from domains.errors import InputError
from domains.exports import Destination, open_exports
from domains.procedural.scene import draw_scene
from domains.scenes import Photograph, open_scene
from domains.tiling.grid import Window
from domains.tiling.running import RunningPrediction
from recipes.build import domain_of
from recipes.inputs import Sight
from recipes.looking import looking
from recipes.plan import calibrated_for
from recipes.reading.compose import load_recipe
from recipes.verbs.predict import hardly_looked
from recipes.verbs.predict_scenes import Run, check_formats


def test_fit_leaves_a_whole_run(run: Path) -> None:
    found = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    wanted = {
        "recipe.yaml",
        "history.csv",
        "metrics.json",
        "preview.png",
        "checkpoints/last.ckpt",
        "adapter/entity.json",
    }
    assert wanted <= found
    report = json.loads((run / "metrics.json").read_text())
    assert set(report["metrics"]) == {"before", "after"} and report["steps"] == 6
    assert {"ap", "ap50", "pq", "aji"} <= set(report["metrics"]["after"])
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row["loss"]] == [1, 2, 3, 4, 5, 6]
    assert sum(bool(row["val/loss"]) for row in rows) == 2


def test_a_run_is_not_overwritten_and_not_resumed_with_another_recipe(run: Path, data: Path, options, capsys) -> None:
    arguments = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(run), *options]
    assert main(arguments) == 2
    assert "holds a run already; go on with it by --resume" in capsys.readouterr().err
    assert main([*arguments, "--resume", "train.lr=0.5"]) == 2
    assert "was started with another recipe" in capsys.readouterr().err


def test_resume_of_a_finished_run_changes_nothing_and_says_how_to_fit_for_longer(run: Path, capsys) -> None:
    content = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    capsys.readouterr()
    words = ["fit", "--recipe", str(run / "recipe.yaml"), "--out", str(run), "--resume"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert (
        "is finished, nothing was changed" in told
        and f"train.start={run / 'adapter'} train.steps=6 train.seconds=240" in told
    )
    assert main([*words, "train.steps=4"]) == 2
    told = capsys.readouterr().err
    line = told.partition("go on from its adapter: ")[2].strip()
    assert "which is finished" in told and "train.steps=4" in line
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == content
    out = line.split("--out ")[1].split()[0]
    assert main(line.split()[2:]) == 0 and json.loads((Path(out) / "metrics.json").read_text())["steps"] == 4
    shutil.rmtree(out)


def test_a_fit_says_once_that_time_ended_it_and_that_regions_were_not_learnt(
    data: Path, options, tmp_path, capsys
) -> None:
    out = tmp_path / "run"
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), *options]
    assert main([*words, "train.steps=500", "train.seconds=0.01", "domain.max_images=1", "domain.tile_px=48"]) == 0
    told = capsys.readouterr().err.splitlines()
    (ended,) = (line for line in told if line.startswith("ended by time: "))
    assert "train.seconds=0.01 were over at step 1 of 500" in ended and f"train.start={out / 'adapter'}" in ended
    (regions,) = (line for line in told if line.startswith("regions: "))
    assert "wanted 200 or more" in regions and "by the watershed instead" in regions
    assert json.loads((out / "adapter" / "entity.json").read_text())["decoder"]["regions"] is False


def test_a_fit_that_does_all_its_steps_says_nothing_of_time(data: Path, options, tmp_path, capsys) -> None:
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(tmp_path / "run"), *options]
    assert main([*words, "train.steps=1", "decoder.regions=false", "train.backbone_lr=0.1"]) == 0
    told = capsys.readouterr().err
    assert "ended by time" not in told and "regions: " not in told
    assert "fit: 0/1 steps\nfit: 1/1  loss" in told and "measure after: 0/" in told and "\r" not in told
    assert [line.split(": ")[1] for line in told.splitlines() if line.startswith("ignored")] == ["train.backbone_lr"]


def test_a_run_killed_after_its_last_step_is_finished_by_resume(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(run, again)
    (again / "metrics.json").unlink()
    assert main(["fit", "--recipe", str(again / "recipe.yaml"), "--out", str(again), "--resume"]) == 0
    whole, resumed = (json.loads((folder / "metrics.json").read_text()) for folder in (run, again))
    assert resumed["steps"] == 6 and resumed["metrics"] == whole["metrics"]
    assert (again / "history.csv").read_bytes() == (run / "history.csv").read_bytes()


def test_ctrl_c_saves_what_was_learnt_and_ends_with_130(
    data: Path, options, tmp_path: Path, capsys, interrupt_at
) -> None:
    interrupt_at(4)
    out = tmp_path / "run"
    assert main(["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), *options]) == 130
    told = capsys.readouterr()
    assert "stopped after 4 steps; what was learnt is in" in told.out and told.err.endswith("stopped by Ctrl-C\n")
    assert (out / "adapter" / "entity.json").exists()
    assert main(["fit", "--recipe", str(out / "recipe.yaml"), "--out", str(out), "--resume"]) == 0
    assert json.loads((out / "metrics.json").read_text())["steps"] == 6


def test_evaluate_repeats_the_numbers_of_fit(run: Path, data: Path, tmp_path, capsys) -> None:
    file = tmp_path / "numbers.json"
    assert main(["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert result["metrics"] == pytest.approx(
        json.loads((run / "metrics.json").read_text())["metrics"]["after"], nan_ok=True
    )
    test = build_domain("pathology", data).dataset("test")
    assert result["split"] == "test" and result["images"] == len(test) > 0
    assert result["entities"] == sum(sample.truth.count for sample in test) > 0
    assert (
        main(
            ["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--split", "all", "--json", str(file)]
        )
        == 0
    )
    assert json.loads(file.read_text())["images"] == 6


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


def test_a_large_scene_is_written_piece_by_piece_and_taken_up_where_it_was_stopped(
    run: Path, data: Path, tmp_path, capsys, monkeypatch
) -> None:
    """Large is made small here: the same picture, once in memory and once as a slide, has the same entities."""
    picture = np.tile(np.asarray(Image.open(data / "images" / "0.png").convert("RGB")), (3, 3, 1))
    tifffile.imwrite(tmp_path / "slide.tif", picture, photometric="rgb", tile=(64, 64))
    words = ["predict", "--adapter", str(run / "adapter"), str(tmp_path / "slide.tif"), "--window", "0", "--out"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    monkeypatch.setattr("recipes.verbs.predict_scenes.LARGE_PX", 1000)
    add = RunningPrediction.add

    def stop(self, index, entities):
        if index == 10 and not self.resumed:
            raise KeyboardInterrupt
        add(self, index, entities)

    monkeypatch.setattr(RunningPrediction, "add", stop)
    out = tmp_path / "out"
    assert main([*words, str(out)]) == 130
    capsys.readouterr()
    assert main([*words, str(out)]) == 0
    told = capsys.readouterr().err
    assert "goes on at tile 8" in told and "predict slide: 8/" in told and "megapixels/s" in told and "\r" not in told
    assert {path.name for path in out.iterdir()} >= {"slide.geojson", "slide.labels.zarr", "entities.csv"}
    assert not (out / ".slide.running").exists() and not (out / "slide.labels.tif").exists()
    expected = tifffile.imread(tmp_path / "whole" / "slide.labels.tif")
    assert np.array_equal(open_scene(out / "slide.labels.zarr").read(0, 0, *expected.shape)[..., 0], expected)
    assert (out / "entities.csv").read_text() == (tmp_path / "whole" / "entities.csv").read_text()


def test_predict_and_evaluate_by_windows(run: Path, data: Path, tmp_path, capsys) -> None:
    words = ["--adapter", str(run / "adapter"), "--window"]
    out, file = tmp_path / "out", tmp_path / "numbers.json"
    image = str(data / "images" / "0.png")
    assert main(["predict", *words, "32", image, "--out", str(out)]) == 0 and (out / "0.labels.tif").exists()
    assert main(["evaluate", *words, "32", "--data", str(data), "--json", str(file)]) == 0
    assert json.loads(file.read_text())["images"] >= 1
    assert main(["evaluate", *words, "20", "--data", str(data)]) == 0
    assert "--window 20 -> 24\n" in capsys.readouterr().err
    assert main(["evaluate", *words, "9", "--data", str(data)]) == 2
    assert "window_px is 9; wanted an integer from 16 to 2048 and a multiple of 8" in capsys.readouterr().err


def test_predict_and_evaluate_by_several_sizes_of_a_tile(run: Path, data: Path, tmp_path, capsys) -> None:
    words = ["--adapter", str(run / "adapter"), "--test-scales"]
    out, file = tmp_path / "out", tmp_path / "numbers.json"
    assert main(["predict", *words, "1,0.5", str(data / "images" / "0.png"), "--out", str(out)]) == 0
    assert (out / "0.labels.tif").exists()
    assert main(["evaluate", *words, "1,0.5", "--data", str(data), "--json", str(file)]) == 0
    assert json.loads(file.read_text())["images"] >= 1
    for wrong, message in (
        ("1,half", "--test-scales is '1,half'; wanted numbers with commas between"),
        ("9", "error: input test_scales[0] is 9.0; wanted a number from 0.25 to 4\n"),
        ("1,1,1,1,1", "wanted a list of 1 to 4, each a number"),
    ):
        assert main(["evaluate", *words, wrong, "--data", str(data)]) == 2
        assert message in capsys.readouterr().err


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


def test_transfer_fills_a_table_of_adapters_and_sets(run: Path, data: Path, tmp_path, capsys) -> None:
    out = tmp_path / "transfer"
    sets = ["--data", f"pathology={data}", "--data", f"industrial={data}"]
    assert main(["transfer", "--adapter", str(run / "adapter"), *sets, "--out", str(out), "--split", "all"]) == 0
    table = json.loads((out / "transfer.json").read_text())["metrics"]
    assert set(table["pq"]) == {"base", "one"} and set(table["pq"]["one"]) == {"pathology", "industrial"}
    assert "aji" in table and "industrial" not in table["aji"]["one"]
    assert all(any(value is not None for row in one.values() for value in row.values()) for one in table.values())
    assert "image_auroc" not in table  # every image has entities
    with Image.open(out / "transfer.png") as picture:
        assert picture.size[0] > 100
    assert "| one |" in (out / "transfer.md").read_text()
    with (out / "transfer.csv").open() as file:
        assert {row["adapter"] for row in csv.DictReader(file)} == {"base", "one"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--adapter", "base"], "wants a --recipe"),
        (["evaluate", "--adapter", "nowhere"], "'nowhere' does not exist"),
        (["evaluate", "--adapter", "base", "--recipe", "pathology", "--data", "nowhere"], "nowhere"),
        (["predict", "--adapter", "base", "--recipe", "pathology", "nowhere.png", "--out", "out"], "does not exist"),
        (["fit", "--recipe", "pathology", "--data", "nowhere", "--out", "out"], "nowhere"),
        (["fit", "--recipe", "natural", "--out", "out", "method.rank=0"], "method.rank"),
        (["fit", "--recipe", "pathology", "--out", "out", "backbone.name=dino2"], "backbone.name"),
        (["fit", "--recipe", "patology", "--out", "out"], "did you mean 'pathology'"),
        (["fit", "--recipe", "natural", "--out", "out", "train.calibrate_for=aji"], "natural measures ap, ap50"),
        (["transfer", "--adapter", "nowhere", "--data", "pathology=sample", "--out", "out"], "does not exist"),
        (["adapters", "verify", "nowhere"], "does not exist"),
        (["adapters", "show", "nowhere"], "does not exist"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert not (tmp_path / "out").exists()  # so that the corrected line may use the same name


@pytest.mark.parametrize(
    ("recipe", "options", "metric"),
    [("remote_sensing", [], "f1"), ("remote_sensing", ["train.calibrate_for=ap50"], "ap50"), ("pathology", [], "aji")],
)
def test_calibration_follows_the_recipe_or_the_domain(recipe: str, options: list[str], metric: str) -> None:
    loaded = load_recipe(recipe, options)
    assert calibrated_for(loaded, domain_of(loaded)) == metric


def test_an_adapter_is_measured_on_the_split_that_it_was_fitted_with(data: Path, options, tmp_path, capsys) -> None:
    """A table of groups decides the split; on the same folder it has to be named again, as an adapter names no file."""
    groups = tmp_path / "groups.csv"
    groups.write_text("file,group\n" + "".join(f"{i}.png,{'abc'[i % 3]}\n" for i in range(6)))
    out = tmp_path / "run"
    arguments = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), f"domain.groups={groups}"]
    assert main([*arguments, *options, "train.steps=1"]) == 0
    fitted = json.loads((out / "metrics.json").read_text())["metrics"]["after"]
    file = tmp_path / "numbers.json"
    words = ["evaluate", "--adapter", str(out / "adapter"), "--data", str(data), "--json", str(file)]
    assert main(words) == 2 and "groups by 'groups.csv'" in capsys.readouterr().err
    assert main([*words, f"domain.groups={groups}"]) == 0
    assert json.loads(file.read_text())["groups"] == 1
    assert json.loads(file.read_text())["metrics"] == pytest.approx(fitted, nan_ok=True)
    words = ["transfer", "--adapter", str(out / "adapter"), "--out", str(tmp_path / "t")]
    assert main([*words, "--data", f"pathology={data}"]) == 2
    groups.rename(data / "groups.csv")
    try:
        assert main([*words, "--data", f"pathology={data}"]) == 0
    finally:
        (data / "groups.csv").unlink()
    assert (
        json.loads((tmp_path / "t" / "transfer.json").read_text())["metrics"]["pq"]["run"]["pathology"] == fitted["pq"]
    )


def test_a_pixel_size_that_is_said_is_stored_by_fit_and_asked_of_evaluate(
    data: Path, options, tmp_path, capsys
) -> None:
    out, file = tmp_path / "run", tmp_path / "numbers.json"
    arguments = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), "--pixel-size", "0.5"]
    assert main([*arguments, *options, "train.steps=1"]) == 0
    adapter = out / "adapter"
    assert json.loads((adapter / "entity.json").read_text())["input"]["pixel_size_m"] == 0.5e-6
    fitted = json.loads((out / "metrics.json").read_text())["metrics"]["after"]
    words = ["evaluate", "--adapter", str(adapter), "--data", str(data), "--json", str(file)]
    assert main(words) == 0 and json.loads(file.read_text())["metrics"] == pytest.approx(fitted, nan_ok=True)
    assert main([*words, "--pixel-size", "20"]) == 2  # forty times as large as what it was fitted to
    printed = capsys.readouterr()
    assert "the adapter was trained at 0.5 um" in printed.err and "note:" not in printed.out
    assert main([*words, "domain.pixel_size_m=null"]) == 0
    assert "do not say their pixel size and are taken to have 0.5 um" in capsys.readouterr().out


def test_transfer_refuses_an_image_that_was_learned_from(run: Path, data: Path, tmp_path, capsys) -> None:
    leaky = tmp_path / "leaky"
    for folder, suffix in (("images", "png"), ("labels", "png")):
        (leaky / folder).mkdir(parents=True)
        for i in range(6):
            content = (data / folder / f"0.{suffix}").read_bytes()
            (leaky / folder / f"{i}.{suffix}").write_bytes(content)
    words = ["transfer", "--adapter", str(run / "adapter"), "--data", f"pathology={leaky}", "--out"]
    assert main([*words, str(tmp_path / "t")]) == 2
    assert "hold the same bytes" in capsys.readouterr().err and not (tmp_path / "t").exists()
    assert main([*words, str(tmp_path / "all"), "--split", "all"]) == 0  # somebody else's test set


def test_sam_and_the_query_decoder_go_through_fit_and_evaluate(data: Path, options, tmp_path, capsys) -> None:
    torch.manual_seed(0)
    vision = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 48, "output_channels": 16}
    size = {"image_size": 64, "patch_size": 16}
    config = SamConfig(
        vision_config={**vision, **size, "window_size": 2, "global_attn_indexes": [1], "num_pos_feats": 8},
        prompt_encoder_config={"hidden_size": 16, **size},
        mask_decoder_config={"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
    )
    folder = tmp_path / "sam"
    save_base(SamBackbone(SamBackbone.randomised(config), name="sam", taps=(1, 2)), folder)
    changed = [f"backbone.name={folder}", "train.steps=2", "decoder.name=query", "decoder.queries=6", "decoder.dim=16"]
    kept = [word for word in options if not word.startswith(("backbone.name", "decoder.", "train.steps"))]
    arguments = ["fit", "--recipe", "natural", "--data", str(data), "--out", str(tmp_path / "run"), *kept, *changed]
    assert main(arguments) == 0, capsys.readouterr().err
    assert main(["adapters", "verify", str(tmp_path / "run" / "adapter")]) == 0
    words = ["evaluate", "--adapter", str(tmp_path / "run" / "adapter"), "--split", "test"]
    assert main(words) == 2 and "name yours by --data DIR" in capsys.readouterr().err
    assert main([*words, "--data", str(data)]) == 0


def test_bands_go_from_fit_through_the_adapter_to_predict_and_results_lie_on_the_map(
    options: list[str], tmp_path: Path, capsys
) -> None:
    rasterio, pyogrio = pytest.importorskip("rasterio"), pytest.importorskip("pyogrio")
    features_of = pytest.importorskip("rasterio.features").shapes
    folder = tmp_path / "data"
    folder.mkdir()
    sample = draw_scene("aerial", (3, 1), 240, 240)
    red, green, blue = np.moveaxis(sample.image.astype(np.uint16) * 9 + 1, -1, 0)
    transform = rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 5e6)
    profile = {"driver": "GTiff", "height": 240, "width": 240, "dtype": "uint16", "crs": "EPSG:32633"}
    raster = folder / "town.tif"
    with rasterio.open(raster, "w", count=4, transform=transform, nodata=0, **profile) as file:
        file.write(np.stack([blue, green, red, 2300 - red]))
    with rasterio.open(tmp_path / "rgb.tif", "w", count=3, transform=transform, **profile) as file:
        file.write(np.stack([red, green, blue]))
    ids = sample.truth.ids.astype(np.int32)
    features = [
        {"type": "Feature", "properties": {}, "geometry": shape}
        for shape, value in features_of(ids, mask=ids > 0, transform=transform)
        if value
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    (folder / "town.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    run, out = tmp_path / "run", tmp_path / "out"
    bands = [
        "domain.bands=[red,green,blue,nir,ndvi]",
        "domain.band_names=[blue,green,red,nir]",
        "domain.scale=1",
        "method.name=decoder_only",
        "domain.leaks=allow",
    ]
    arguments = ["fit", "--recipe", "remote_sensing", "--data", str(folder), "--out", str(run), *options, *bands]
    assert main(arguments) == 0, capsys.readouterr().err
    adapter = run / "adapter"
    contract = json.loads((adapter / "entity.json").read_text())["input"]
    assert contract["channels"] == 5 and contract["bands"] == ["red", "green", "blue", "nir", "ndvi"]
    assert (adapter / "band_projection.safetensors").is_file() and main(["adapters", "verify", str(adapter)]) == 0
    formats = [word for name in ("labels", "geojson", "gpkg", "overlay") for word in ("--format", name)]
    formats += ["--simplify", "1", "--square"]
    assert main(["predict", "--adapter", str(adapter), str(raster), "--out", str(out), *formats]) == 0
    with rasterio.open(out / "town.labels.tif") as file:
        assert file.crs.to_epsg() == 32633 and tuple(file.transform) == tuple(transform)
        count = int(file.read(1).max())
    assert pyogrio.read_info(out / "town.gpkg", layer="entities")["features"] == count
    capsys.readouterr()
    assert main(["predict", "--adapter", str(adapter), str(tmp_path / "rgb.tif"), "--out", str(out / "rgb")]) == 2
    assert "the image has 3" in capsys.readouterr().err


def test_two_bands_go_from_fit_through_the_adapter_to_predict(options: list[str], tmp_path: Path, capsys) -> None:
    rasterio = pytest.importorskip("rasterio")
    sample = draw_scene("aerial", (3, 1), 240, 240)
    folder, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "out"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    raster = folder / "images" / "town.tif"
    profile = {"driver": "GTiff", "height": 240, "width": 240, "dtype": "float32", "crs": "EPSG:32633"}
    with rasterio.open(raster, "w", count=2, transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), **profile) as file:
        file.write(np.moveaxis(sample.image[..., :2].astype(np.float32) / 10 - 25, -1, 0))  # decibels
    for part in "abc":
        (folder / "images" / f"{part}.tif").write_bytes(raster.read_bytes())
        Image.fromarray(sample.truth.ids.astype(np.uint16)).save(folder / "labels" / f"{part}.png")
    raster.unlink()
    bands = ["domain.bands=[vv,vh]", "domain.band_names=[vv,vh]", "method.name=decoder_only", "domain.leaks=allow"]
    arguments = ["fit", "--recipe", "remote_sensing", "--data", str(folder), "--out", str(run), *options, *bands]
    assert main(arguments) == 0, capsys.readouterr().err
    adapter = str(run / "adapter")
    assert json.loads((run / "adapter" / "entity.json").read_text())["input"]["channels"] == 2
    assert (run / "adapter" / "band_projection.safetensors").is_file() and main(["adapters", "verify", adapter]) == 0
    assert main(["predict", "--adapter", adapter, str(folder / "images" / "a.tif"), "--out", str(out)]) == 0
    with Image.open(out / "a.overlay.png") as shown:
        assert shown.size == (240, 240)


def test_a_picture_in_memory_keeps_where_it_has_no_data(tmp_path: Path) -> None:
    image = np.full((40, 50, 3), 90, np.uint16)
    image[:10] = 255
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=[(42113, "s", 0, "255", True)])
    network = cast(EntitySegmenter, None)  # nothing is predicted
    run = Run(network, InputContract(), open_exports(["labels"], Destination(tmp_path), ["a"]))
    scene = run.open(tmp_path / "a.tif")
    seen = has_data(scene)
    assert isinstance(scene, Photograph) and seen is not None
    assert not seen(Window(0, 0, 10, 50)).any() and seen(Window(10, 0, 30, 50)).all()


def test_a_density_map_of_pixels_larger_than_its_cells_is_refused(tmp_path: Path) -> None:
    exports = open_exports(["density"], Destination(tmp_path), ["a"])
    with pytest.raises(InputError, match="pixels of 10 m are larger than a density map's cells, 100 um; leave it out"):
        check_formats(Path("a.tif"), Photograph(np.zeros((4, 4, 3), np.uint8), 10.0), exports)


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
    assert main(words) == 2 and not list(out.iterdir())


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


def test_a_size_of_dust_is_refused_where_a_domain_looks_at_everything() -> None:
    with pytest.raises(InputError, match="--smallest-piece is 50 um2; the domain 'natural'"):
        looking("natural", Sight(smallest_um2=50.0))
    assert looking("natural", Sight()) is None
