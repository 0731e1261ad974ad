"""`fit --unlabelled`: images without labels join the crops, and those that hold test images are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli import main
from recipes.reading.compose import load_recipe
from recipes.verbs.arguments import without_labels


def test_the_option_names_the_folder_and_a_share_unless_one_is_said() -> None:
    recipe = load_recipe("pathology", without_labels(Path("more"), []))
    assert recipe.train.unlabelled == "more" and recipe.train.unlabelled_share == 0.4 and recipe.train.taught
    words = ["train.unlabelled_share=0.1"]
    words += without_labels(Path("more"), words)
    assert load_recipe("pathology", words).train.unlabelled_share == 0.1
    assert not load_recipe("pathology").train.taught and without_labels(None, []) == []


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Six labelled images of discs, and two without labels."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        for split in ("train", "val", "test"):
            (tmp_path / "mine" / folder / split).mkdir(parents=True)
    (tmp_path / "more").mkdir()
    for number in range(8):
        y, x = np.mgrid[:64, :64]
        ids = np.zeros((64, 64), np.uint8)
        for i, (cy, cx) in enumerate(rng.integers(10, 54, (3, 2)), 1):
            ids[(y - cy) ** 2 + (x - cx) ** 2 < 60] = i
        image = np.where(ids[..., None] > 0, (90, 40, 120), (230, 200, 220)) + rng.integers(-20, 20, (64, 64, 3))
        picture = Image.fromarray(image.clip(0, 255).astype(np.uint8))
        if number < 6:
            split = ("train", "val", "test")[number // 2]
            picture.save(tmp_path / "mine" / "images" / split / f"{number}.png")
            Image.fromarray(ids).save(tmp_path / "mine" / "labels" / split / f"{number}.png")
        else:
            picture.save(tmp_path / "more" / f"{number}.png")
    return tmp_path


def test_a_fit_learns_from_both_and_refuses_test_images(sets: Path, capsys) -> None:
    words = ["fit", "--recipe", "pathology", "--data", str(sets / "mine"), "--out", str(sets / "run")]
    words += ["train.steps=2", "train.batch_size=2", "train.validate_every=2", "train.calibrate=false"]
    words += ["domain.crop_px=64", "train.cache=none", "domain.symmetries=1"]
    assert main([*words, "--unlabelled", str(sets / "mine" / "images" / "test")]) == 2
    assert "holds 2 of the 2 test images" in capsys.readouterr().err and not (sets / "run").exists()
    assert main([*words, "--unlabelled", str(sets / "none")]) == 2
    assert "train.unlabelled: " in capsys.readouterr().err
    assert main([*words, "--unlabelled", str(sets / "more")]) == 0
    assert "2 windows of images without labels" in capsys.readouterr().out
    assert (sets / "run" / "adapter" / "entity.json").exists()
