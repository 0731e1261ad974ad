"""`fit` from end to end: a whole run, a resumed one, a stopped one, and what goes on from it to the other verbs."""

from __future__ import annotations

import csv
import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import SamConfig

from adapters.backbones.folders import save_base
from adapters.backbones.sam import SamBackbone
from cli import main
from domains.procedural.scene import draw_scene


def test_fit_leaves_a_whole_run(run: Path) -> None:
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    expected = {
        "recipe.yaml",
        "history.csv",
        "metrics.json",
        "preview.png",
        "report.html",
        "checkpoints/last.ckpt",
        "adapter/entity.json",
    }
    assert expected <= files
    report = json.loads((run / "metrics.json").read_text())
    assert set(report["metrics"]) == {"before", "after"} and report["steps"] == 6
    assert {"ap", "ap50", "pq", "aji"} <= set(report["metrics"]["after"])
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row["loss"]] == [1, 2, 3, 4, 5, 6]
    assert sum(bool(row["val/loss"]) for row in rows) == 2


def test_the_report_of_a_run_has_its_numbers_its_images_and_no_place_of_this_machine(run: Path, data: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    value = json.loads((run / "metrics.json").read_text())["metrics"]["after"]["aji"]
    assert f'<p class="value">{value:.3f}</p>' in page and "Against the base: " in page
    assert page.count('<figure class="pair">') >= 1 and 'aria-label="loss by step"' in page
    for file in (run / "adapter").glob("*.safetensors"):
        assert sha256(file.read_bytes()).hexdigest() in page
    assert "method:" in page and data.name in page and str(data.parent) not in page and len(page) < 5e6


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
        and f"train.start={run / 'adapter'} train.steps=6 train.seconds=120" in told
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
    for name in "abc":
        (folder / "images" / f"{name}.tif").write_bytes(raster.read_bytes())
        Image.fromarray(sample.truth.ids.astype(np.uint16)).save(folder / "labels" / f"{name}.png")
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
