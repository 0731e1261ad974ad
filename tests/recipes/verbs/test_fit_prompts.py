"""`fit decoder.name=sam`: encoder and mask decoder of a SAM, or the base's prompt decoder, on a user's masks."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file
from transformers import SamModel

from adapters.decoders.build_promptable import build_promptable
from adapters.decoders.prompt_batch import Prompted
from adapters.decoders.sam import SamPrompts
from cli import main
from recipes.load import loaded
from tests.adapters.backbones.tiny_models import tiny_folder
from tests.adapters.decoders.test_sam import SIDE, picture

SHORT = ["train.steps=2", "train.batch_size=2", "train.validate_every=1", "train.calibrate=false", "domain.scale=1"]
SEEN = ["decoder.name=sam", "decoder.points_per_side=3", "decoder.prompts=4", "decoder.corrections=1"]
SEEN += ["decoder.measured_tiles=1", "domain.crop_px=64", f"domain.tile_px={SIDE}", "domain.overlap_px=16"]


@pytest.fixture(scope="module")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """RUN of two steps on a tiny SAM, and the folder of that."""
    folder, run = tiny_folder("sam", tmp_path_factory.mktemp("sam")), tmp_path_factory.mktemp("runs") / "one"
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(run), f"backbone.name={folder}"]
    assert main([*words, *SHORT, *SEEN, "decoder.least_iou=0.0", "decoder.least_stability=0.0"]) == 0
    return run, folder


def test_the_run_is_as_every_other_and_entities_are_measured_at_every_look(fitted) -> None:
    run, _ = fitted
    names = {path.name for path in run.iterdir()}
    assert {"recipe.yaml", "history.csv", "metrics.json", "preview.png", "report.html"} <= names
    with (run / "history.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert [row["step"] for row in rows if row["val/loss"]] == ["1", "2"]
    measured = [name for name in rows[-1] if name.startswith("val/") and name not in ("val/loss", "val/prompted")]
    assert len(measured) == 1 and all(row[measured[0]] != "" for row in rows if row["val/loss"])
    info = json.loads((run / "adapter" / "entity.json").read_text())
    assert info["decoder"]["name"] == "sam" and info.get("start") is None
    assert main(["fit", "--recipe", str(run / "recipe.yaml"), "--out", str(run), "--resume"]) == 0


def test_plain_peft_loads_encoder_and_mask_decoder(fitted) -> None:
    """transformers' SamModel with the adapter by peft answers as ours does; its file has nothing else."""
    run, folder = fitted
    assert load_file(run / "adapter" / "entity_decoder.safetensors") == {}
    learnt = load_file(run / "adapter" / "adapter_model.safetensors")
    assert {name.split(".")[2] for name in learnt} == {"vision_encoder", "mask_decoder"}
    assert any(tensor.any() for name, tensor in learnt.items() if "mask_decoder" in name and "lora_B" in name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that will go
        theirs = PeftModel.from_pretrained(SamModel.from_pretrained(folder), str(run / "adapter")).eval()
    image = picture(SIDE, SIDE)
    points = np.array([[[20.0, 30.0]], [[50.0, 8.0]]])
    with loaded(str(run / "adapter")) as network, torch.no_grad():
        backbone = network.segmenter.backbone
        ours = SamPrompts(backbone).set_image(image).all_masks([Prompted(torch.from_numpy(points))])
        pixels = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - backbone.mean) / backbone.std
        prompts = {"input_points": torch.from_numpy(points)[None], "input_labels": torch.ones(1, 2, 1)}
        output = theirs(pixel_values=pixels, **prompts, multimask_output=True)
        torch.testing.assert_close(ours[0][:, 1:], output.pred_masks[0], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(ours[1][:, 1:], output.iou_scores[0], atol=1e-3, rtol=1e-3)
        bare = build_promptable(backbone)
        assert isinstance(bare, SamPrompts)


def test_the_adapter_predicts_by_itself_by_prompts_and_as_a_forest(fitted, data, tmp_path, capsys) -> None:
    run, _ = fitted
    image = str(data / "images" / "0.png")
    (tmp_path / "points.csv").write_text("x,y\n12,20\n40,30\n")
    words = ["predict", image, "--adapter", str(run / "adapter"), "--device", "cpu", "--format", "labels", "--out"]
    assert main([*words, str(tmp_path / "own")]) == 0
    assert main([*words, str(tmp_path / "clicks"), "--points", str(tmp_path / "points.csv"), "--format", "forest"]) == 0
    with Image.open(tmp_path / "clicks" / "0.labels.tif") as labels:
        assert 1 <= np.array(labels).max() <= 2 and np.array(labels).shape == (96, 80)
    assert (tmp_path / "clicks" / "0.forest.tif").exists() and (tmp_path / "own" / "0.labels.tif").exists()
    assert main(["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--device", "cpu"]) == 0
    assert main([*words, str(tmp_path / "apg"), "--masks", "apg"]) == 2
    assert "whose decoder finds entities by fields: decoder.name=dense" in capsys.readouterr().err


def test_the_embedded_base_is_fitted_by_prompts_and_its_adapter_answers(data, tmp_path) -> None:
    run = tmp_path / "run"
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(run)]
    assert main([*words, *SHORT, *SEEN, "train.steps=1", "train.start=null"]) == 0
    stored = load_file(run / "adapter" / "entity_decoder.safetensors")
    assert stored and not any(name.startswith("trunk.") for name in stored)
    (tmp_path / "points.csv").write_text("x,y\n12,20\n")
    words = ["predict", str(data / "images" / "0.png"), "--adapter", str(run / "adapter"), "--device", "cpu"]
    words += ["--points", str(tmp_path / "points.csv"), "--granularity", "0.3", "--format", "labels", "--out"]
    assert main([*words, str(tmp_path / "out")]) == 0


def test_several_devices_are_refused(data, capsys) -> None:
    words = ["fit", "--recipe", "pathology", "--data", str(data), "decoder.name=sam", "train.devices=2"]
    assert main([*words, "train.batch_size=2"]) == 2
    assert "train.devices wants another decoder.name than sam" in capsys.readouterr().err
