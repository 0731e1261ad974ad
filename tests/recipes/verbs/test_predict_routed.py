"""`predict --adapter auto`: every image by the adapter of its kind, strangers by the base, the choice in a table."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.backbones import BackboneOptions, build_backbone
from adapters.decoders import DECODERS
from adapters.inference.segment import InputContract
from adapters.methods import METHODS
from adapters.network import EntitySegmenter
from adapters.sharing.door import read_info, sealed
from adapters.sharing.folder import describe, save_adapter
from cli import main
from domains.procedural.scene import draw_scene
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.routing import appearances_of
from tests.adapters.sharing.conftest import write_adapter

KINDS = {"stained": ("nuclei_he", "pathology"), "aerial": ("aerial", "remote_sensing")}


def scenes(family: str, count: int, seed: int = 0) -> list:
    return [draw_scene(family, (seed, i), 200, 200) for i in range(count)]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    for name, (family, domain) in KINDS.items():
        backbone = build_backbone(BackboneOptions())
        method = METHODS["decoder_only"]()
        method.attach(backbone)
        segmenter = EntitySegmenter(backbone, DECODERS["dense"](width=8).build(backbone.dim, 3, backbone.stride))
        contract = InputContract(1.0, 320, 48, None, None, symmetries=1)
        words = ["decoder.width=8", "decoder.regions=false", "method.name=decoder_only", "domain.scale=1"]
        words += ["domain.tile_px=320", "domain.overlap_px=48", "domain.symmetries=1", "domain.window_px=null"]
        recipe = load_recipe(domain, [*words, "domain.test_scales=[1]"])
        images = scenes(family, 20)
        looks = appearances_of(images[:14], images[14:])
        info = describe(segmenter.eval(), method, contract, domain, "drawn", appearances=looks)
        save_adapter(folder / name / "adapter", segmenter, method, info, resolved_yaml(recipe))
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, (family, _) in KINDS.items():
        for i, scene in enumerate(scenes(family, 2, seed=5)):
            Image.fromarray(scene.image).save(folder / f"{name}{i}.png")
    Image.fromarray(np.zeros((200, 200, 3), np.uint8) + np.arange(200, dtype=np.uint8)[:, None]).save(
        folder / "ramp.png"
    )
    return folder


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "routing.csv").open(encoding="utf-8") as file:
        return {Path(row["image"]).stem: row for row in csv.DictReader(file)}


def test_every_image_goes_to_its_kind_and_a_stranger_to_the_base(shelf, images, tmp_path, capsys):
    out = tmp_path / "out"
    words = [
        "predict",
        "--adapter",
        "auto",
        "--shelf",
        str(shelf),
        str(images),
        "--out",
        str(out),
        "--format",
        "labels",
    ]
    main(words)
    table = rows(out)
    assert {name: row["adapter"] for name, row in table.items()} == {
        "stained0": "stained", "stained1": "stained", "aerial0": "aerial", "aerial1": "aerial", "ramp": "base",
    }  # fmt: skip
    assert float(table["ramp"]["distance"]) > float(table["ramp"]["limit"])
    assert all(float(row["margin"]) > 1 for row in table.values())
    for name, row in table.items():
        assert list((out / row["adapter"]).glob(f"{name}.*tif*")) or list((out / row["adapter"]).glob(f"{name}.*png"))
    assert "1 look like no adapter's images" in capsys.readouterr().out
    main(words)  # goes on: nothing to do
    assert "nothing to do" in capsys.readouterr().out
    assert rows(out) == table


@pytest.mark.parametrize(
    "words,line",
    [
        (["--adapter", "base", "--recipe", "natural", "--shelf", "."], "--shelf is for --adapter auto"),
        (["--adapter", "auto", "--shelf", "nowhere"], "--shelf 'nowhere' is no folder"),
        (["--adapter", "auto", "--shelf", "images"], "--shelf 'images' holds no adapter"),
    ],
)
def test_what_cannot_be_chosen_from_is_told_in_one_line(words, line, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *words, "images", "--out", "out"]) == 2
    assert line in capsys.readouterr().err


def test_adapters_that_do_not_say_how_their_images_look_are_left_out(shelf, images, tmp_path, capsys):
    mixed = tmp_path / "mixed"
    shutil.copytree(shelf / "stained", mixed / "stained")
    silent = json.loads((shelf / "aerial" / "adapter" / "entity.json").read_text())
    assert silent["appearances"]["train"]
    shutil.copytree(shelf / "aerial", mixed / "aerial")
    place = mixed / "aerial" / "adapter"
    info = replace(read_info(place), appearances=None, digest=None)
    (place / "entity.json").write_text(sealed(place, info).json_text())
    out = tmp_path / "out"
    main(["predict", "--adapter", "auto", "--shelf", str(mixed), str(images / "stained0.png"), "--out", str(out)])
    assert "left out: aerial" in capsys.readouterr().err
    assert rows(out)["stained0"]["nearest"] == "stained"


def test_two_adapters_whose_results_would_share_a_folder_are_refused(shelf, images, tmp_path, capsys):
    for place in ("a/b", "c/b", "a-b"):
        shutil.copytree(shelf / "stained" / "adapter", tmp_path / "mixed" / place)
    words = ["--shelf", str(tmp_path / "mixed"), str(images), "--out", str(tmp_path / "out")]
    assert main(["predict", "--adapter", "auto", *words]) == 2
    assert "holds adapters of one name" in capsys.readouterr().err


def test_an_image_that_cannot_be_read_is_told_and_the_others_are_done(shelf, images, tmp_path, capsys):
    (images / "torn.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert main(["predict", "--adapter", "auto", "--shelf", str(shelf), str(images), "--out", str(out)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "not all is predicted, the others are done" in error and "torn.png" in error
    assert len(rows(out)) == 5 and list((out / "stained").glob("stained0.*"))


def test_a_shelf_without_adapters_or_whose_adapters_say_no_look_is_told(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ENTITY_ADAPTERS_HOME", str(tmp_path / "home"))
    words = ["predict", "--adapter", "auto", str(images), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "home' holds no adapter: keep some by `adapters keep`, or name --shelf DIR" in capsys.readouterr().err
    assert main(["adapters", "keep", str(write_adapter(tmp_path / "silent")), "silent"]) == 0
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "left out: silent: fitted before adapters noted how their images look" in told
    assert "no adapter says how its images look; fit one anew, or name an adapter" in told
    assert main([*words, "--domain", "natural"]) == 2
    assert "--domain is of one adapter; --adapter auto chooses several: leave out --domain" in capsys.readouterr().err
