"""What is killed: each scenario prepares a folder, runs a command in it, and says what must be equal in the end."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image
from transformers import Dinov2Config

import recipes.verbs.fit
import recipes.verbs.predict_scenes
from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.backbones.folders import save_base
from adapters.methods import build_method
from adapters.sharing.folder import load_adapter, save_adapter
from cli import main
from domains.procedural.scene import draw_scene

HIDDEN = ".predict"
SMALL_PX = 1000  # what counts as large here
IMAGES = 4


@dataclass(frozen=True)
class Scenario:
    """prepare: make the inputs in an empty folder; command: run in it, exit code; results: of it, what must be equal.

    interrupts: Ctrl-C is tried too.
    """

    name: str
    prepare: Callable[[Path], None]
    command: Callable[[Path], int]
    results: Callable[[Path], dict[str, object]]
    interrupts: bool = False


def make_shared(root: Path) -> int:
    """A base of two blocks, six labelled images, and an adapter of the one that is fitted to the others."""
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=8, image_size=32
    )
    save_base(Dinov2Backbone(Dinov2Backbone.randomised(config), name="tiny", taps=(1, 2)), root / "tiny")
    for name in ("images", "labels"):
        (root / "cells" / name).mkdir(parents=True)
    for i in range(6):
        sample = draw_scene("nuclei_fluo", (5, i), 96, 80)
        Image.fromarray(sample.image).save(root / "cells" / "images" / f"{i}.png")
        Image.fromarray(sample.truth.ids.astype(np.uint8)).save(root / "cells" / "labels" / f"{i}.png")
    return fit(root, root / "run")


def fit(shared: Path, out: Path) -> int:
    options = [
        f"backbone.name={shared / 'tiny'}", "backbone.taps=[1,2]", "decoder.width=8", "decoder.regions=false",
        "domain.crop_px=48", "domain.tile_px=64", "domain.overlap_px=16", "train.steps=4", "train.batch_size=2",
        "train.validate_every=2", "train.calibrate=false",
    ]  # fmt: skip
    words = ["fit", "--recipe", "pathology", "--data", str(shared / "cells"), "--out", str(out), "--resume", *options]
    return main(words)


def scenarios(shared: Path) -> list[Scenario]:
    adapter = shared / "run" / "adapter"

    def images(folder: Path) -> None:
        (folder / "in").mkdir()
        for i in range(IMAGES):
            shutil.copy2(shared / "cells" / "images" / f"{i}.png", folder / "in")

    def predict_images(folder: Path) -> int:
        os.chdir(folder)  # tables name images as the command does
        formats = [
            word for kind in ("labels", "geojson", "coco", "csv", "images", "parquet") for word in ("--format", kind)
        ]
        words = ["predict", "--adapter", str(adapter), "in", "--out", "out", *formats]
        return main([*words, "--symmetries", "1"])

    def slide(folder: Path) -> None:
        (folder / "in").mkdir()
        picture = np.asarray(Image.open(shared / "cells" / "images" / "0.png").convert("RGB"))
        tifffile.imwrite(folder / "in" / "slide.tif", np.tile(picture, (3, 3, 1)), photometric="rgb", tile=(64, 64))

    def predict_slide(folder: Path) -> int:
        os.chdir(folder)
        recipes.verbs.predict_scenes.LARGE_PX = SMALL_PX
        words = ["predict", "--adapter", str(adapter), "in", "--out", "out"]
        return main(
            [
                *words,
                "--window",
                "0",
                "--symmetries",
                "1",
                "--format",
                "zarr",
                "--format",
                "geojson",
                "--format",
                "csv",
                "--format",
                "images",
                "--format",
                "labels",
            ]
        )

    def copied(folder: Path) -> None:
        shutil.copytree(adapter, folder / "in")

    def pack(folder: Path) -> int:
        if (folder / "packed.zip").exists():  # whole, as the comparison shows
            return 0
        return main(["adapters", "pack", str(folder / "in"), str(folder / "packed.zip")])

    def save(folder: Path) -> int:
        segmenter, info = load_adapter(folder / "in")
        method = build_method(info.method)
        save_adapter(folder / "saved", segmenter, method, info, (folder / "in" / "recipe.yaml").read_text(), True)
        return 0

    def transfer(folder: Path) -> int:
        words = ["transfer", "--adapter", f"mine:{adapter}", "--data", f"cells:{shared / 'cells'}", "--split", "all"]
        return main([*words, "--out", str(folder / "out" / "table")])

    def nothing(folder: Path) -> None:
        (folder / "in").mkdir()

    def of_training(folder: Path) -> dict[str, object]:
        run, metrics = folder / "run", json.loads((folder / "run" / "metrics.json").read_text())
        weights = {path.name: path.read_bytes() for path in (run / "adapter").glob("*.safetensors")}
        return {**weights, "metrics": metrics["metrics"]}

    return [
        Scenario("images", images, predict_images, lambda folder: contents(folder / "out"), True),
        Scenario("slide", slide, predict_slide, lambda folder: contents(folder / "out"), True),
        Scenario("pack", copied, pack, lambda folder: {"zip": (folder / "packed.zip").read_bytes()}),
        Scenario("save", copied, save, lambda folder: contents(folder / "saved")),
        Scenario("transfer", nothing, transfer, lambda folder: contents(folder / "out" / "table")),
        Scenario("fit", nothing, lambda folder: fit(shared, folder / "run"), of_training),
    ]


def contents(folder: Path) -> dict[str, object]:
    """Of all files but what a prediction keeps for itself."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if HIDDEN not in path.parts}


def left_behind(folder: Path) -> list[str]:
    """Temporary files and folders of ours, and whatever else is hidden but the journal of a prediction."""
    hidden = (
        path.relative_to(folder)
        for path in folder.rglob("*")
        if any(part[0] == "." for part in path.relative_to(folder).parts)
    )
    expected = {Path("out") / HIDDEN, Path("out") / HIDDEN / "journal", Path("out/.mine.png")}
    return sorted(str(path) for path in hidden if path not in expected and "zarr" not in str(path))
