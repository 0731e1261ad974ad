"""`fit` from good images alone, from end to end: a memory of them, and defects drawn on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.sharing.door import read_info
from cli import main


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category of MVTec AD: good parts, and some with a dark square."""
    root = tmp_path_factory.mktemp("data") / "tiles"
    for folder in ("train/good", "test/good", "test/hole", "ground_truth/hole"):
        (root / folder).mkdir(parents=True)
    for i in range(20):
        pixels = np.random.default_rng(i).normal(150, 6, (64, 64, 3))
        folder = "train/good" if i < 12 else "test/good" if i < 15 else "test/hole"
        if folder == "test/hole":
            mask = np.zeros((64, 64), np.uint8)
            mask[20:40, 12:36] = 255
            pixels[mask > 0] -= 120
            Image.fromarray(mask).save(root / "ground_truth" / "hole" / f"{i:03d}_mask.png")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / folder / f"{i:03d}.png")
    return root


@pytest.fixture(scope="module")
def options(base: Path) -> list[str]:
    sides = ["domain.tile_px=64", "domain.overlap_px=16", "domain.crop_px=48"]
    return [f"backbone.name={base}", "backbone.taps=[1,2]", *sides]


@pytest.fixture(scope="module")
def remembered(parts: Path, options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "memory"
    words = ["decoder.size=80", "decoder.smoothing_px=2"]
    assert main(["fit", "--recipe", "good_parts", "--data", str(parts), "--out", str(out), *options, *words]) == 0
    return out


def test_defects_are_told_without_one_label(remembered: Path) -> None:
    metrics = json.loads((remembered / "metrics.json").read_text())["metrics"]
    assert metrics["after"]["image_auroc"] == 1 and metrics["after"]["aupro"] > 0.8
    assert metrics["before"]["class_iou"] == 0 and metrics["after"]["class_iou"] > 0.1
    info = read_info(remembered / "adapter")
    assert info.decoder.name == "memory" and info.decoder.size == 80  # type: ignore[union-attr]


def test_the_adapter_predicts_entities_with_scores_and_heat(remembered: Path, parts: Path, tmp_path: Path) -> None:
    words = ["--out", str(tmp_path / "out"), "--format", "csv", "--format", "heat", "--format", "images"]
    adapter = str(remembered / "adapter")
    assert main(["predict", "--adapter", adapter, str(parts / "test" / "hole"), *words]) == 0
    assert main(["adapters", "verify", adapter]) == 0
    table = (tmp_path / "out" / "entities.csv").read_text().splitlines()
    column = table[0].split(",").index("score")
    assert len(table) > 4 and all(0.5 <= float(line.split(",")[column]) <= 1 for line in table[1:])
    assert len([*(tmp_path / "out").glob("*.heat.tif")]) == 5


def test_a_folder_of_good_parts_alone_is_read(parts: Path, options: list[str], tmp_path: Path) -> None:
    (tmp_path / "alone" / "train" / "good").mkdir(parents=True)
    for file in (parts / "train" / "good").iterdir():
        (tmp_path / "alone" / "train" / "good" / file.name).write_bytes(file.read_bytes())
    out = tmp_path / "run"
    words = ["fit", "--recipe", "good_parts", "--data", str(tmp_path / "alone"), "--out", str(out), *options]
    assert main([*words, "decoder.size=30"]) == 0
    after = json.loads((out / "metrics.json").read_text())["metrics"]["after"]
    assert after["image_auroc"] is None and after["false_alarms"] is not None


def test_a_decoder_learns_from_what_is_drawn_on_good_parts(
    parts: Path, options: list[str], tmp_path: Path, capsys
) -> None:
    words = ["decoder.width=8", "decoder.regions=false", "method.bits=16", "train.steps=2", "train.batch_size=2"]
    run = ["fit", "--recipe", "synthetic_defects", "--data", str(parts), "--out", str(tmp_path / "run")]
    assert main([*run, *options, *words]) == 0
    assert read_info(tmp_path / "run" / "adapter").decoder.name == "dense"
    assert "at most 0.05 of good images may show an entity: min_score" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("recipe", "word", "line"),
    [
        ("good_parts", "domain.good_only=false", "say domain.good_only=true"),
        ("good_parts", "method.name=lora", "goes by the backbone as it is"),
        ("good_parts", "domain.bands=[red,nir]", "wants RGB"),
        ("industrial", "domain.good_only=true", "leaves nothing to learn from"),
        ("synthetic_defects", "train.calibrate=false", "no threshold is chosen"),
    ],
)
def test_what_does_not_go_together_is_told(recipe: str, word: str, line: str, capsys) -> None:
    assert main(["fit", "--recipe", recipe, word]) == 2
    told = capsys.readouterr().err.strip()
    assert line in told and "\n" not in told


def test_data_without_a_good_image_are_told(parts: Path, options: list[str], tmp_path: Path, capsys) -> None:
    for folder in ("test/hole", "ground_truth/hole"):
        (tmp_path / "bad" / folder).mkdir(parents=True)
        for file in (parts / folder).iterdir():
            (tmp_path / "bad" / folder / file.name).write_bytes(file.read_bytes())
    assert main(["fit", "--recipe", "good_parts", "--data", str(tmp_path / "bad"), *options]) == 2
    assert "image without entity; add good ones" in capsys.readouterr().err
