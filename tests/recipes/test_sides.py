"""Sides of crops, tiles and windows, rounded to what a backbone takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.backbones import Backbone, BackboneOptions, build_backbone
from adapters.inference.segment import InputContract
from cli import main
from domains.errors import InputError
from recipes.build import contract_of, decoder_of, segmenter_of
from recipes.inputs import Asked
from recipes.reading.compose import list_recipes, load_any, load_pretrain_recipe, load_recipe
from recipes.reading.schema import Recipe
from recipes.sides import check_sides, crops_on_patches, multiple_of, nearest, on_patches, window_on_patches
from tests.adapters.backbones.tiny_models import tiny_folder

BASES = (
    *(("dinov2", patch_px) for patch_px in (8, 14, 16)),
    *(("dinov2_with_registers", patch_px) for patch_px in (8, 14, 16)),
    *(("dinov3_vit", 16), ("vit", 16), ("sam", 16)),
)
FITS = {name: recipe for name in list_recipes() if isinstance(recipe := load_any(name), Recipe)}
SHIPPED = [name for name, recipe in FITS.items() if recipe.mix is None and not recipe.domain.good_only]
SMALL = ("decoder.width=4", "train.steps=1", "train.batch_size=2", "train.precision=fp32")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    root = tmp_path_factory.mktemp("bases")
    return {(kind, patch_px): tiny_folder(kind, root / f"{kind}-{patch_px}", patch_px) for kind, patch_px in BASES}


@pytest.fixture(scope="module")
def patch_14(folders: dict[tuple[str, int], Path]) -> Backbone:
    return build_backbone(BackboneOptions(str(folders["dinov2", 14])))


@pytest.mark.parametrize("recipe", SHIPPED)
@pytest.mark.parametrize("base", BASES, ids=lambda base: f"{base[0]}-{base[1]}")
def test_every_shipped_recipe_sees_a_crop_and_a_window_by_every_backbone(
    recipe: str, base: tuple[str, int], folders: dict[tuple[str, int], Path]
) -> None:
    backbone = build_backbone(BackboneOptions(str(folders[base])))
    fitting = on_patches(load_recipe(recipe, SMALL), backbone)
    check_sides(fitting, backbone)
    domain = fitting.domain
    for side in (domain.crop_px, domain.tile_px, *([domain.window_px] if domain.window_px else [])):
        assert side % backbone.stride == 0 and side % 8 == 0
    contract = contract_of(fitting)
    assert (contract.tile_px, contract.window_px) == (domain.tile_px, domain.window_px)
    assert decoder_of(fitting.decoder, backbone) is not None
    assert on_patches(fitting, backbone) == fitting


@pytest.mark.parametrize(
    ("recipe", "base"),
    [
        *((recipe, ("dinov2", 14)) for recipe in SHIPPED if recipe != "base"),
        *(("pathology", base) for base in (("dinov2_with_registers", 14), ("dinov2", 16), ("sam", 16))),
        *(("natural", ("dinov3_vit", 16)), ("industrial", ("vit", 16)), ("base", ("dinov2", 8))),
    ],
    ids=str,
)
def test_a_shipped_recipe_is_fitted_and_predicts_on_another_backbone_by_its_name_alone(
    recipe: str, base: tuple[str, int], folders: dict[tuple[str, int], Path], data: Path, tmp_path: Path, capsys
) -> None:
    words = ["fit", "--recipe", recipe, "--data", str(data), "--out", str(tmp_path / "run"), *SMALL]
    assert main([*words, f"backbone.name={folders[base]}"]) == 0, capsys.readouterr().err
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rounded: ")]
    assert len(told) == (base[1] == 14)
    adapter = tmp_path / "run" / "adapter"
    stored = json.loads((adapter / "entity.json").read_text())["input"]
    multiple = multiple_of(base[1])
    assert stored["tile_px"] % multiple == 0 and (stored["window_px"] or 0) % multiple == 0
    words = ["predict", "--adapter", str(adapter), str(data / "images" / "0.png"), "--format", "labels"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert not [line for line in capsys.readouterr().err.splitlines() if line.startswith("rounded: ")]
    assert (tmp_path / "out" / "0.labels.tif").exists()


def test_the_line_says_which_side_became_which_and_why(patch_14: Backbone, capsys) -> None:
    domain = on_patches(load_recipe("pathology"), patch_14).domain
    assert (domain.crop_px, domain.tile_px, domain.window_px) == (112, 336, 168)
    assert capsys.readouterr().err == (
        f"rounded: {patch_14.name} has patches of 14 px, the decoder cells of 8, so sides are multiples of 56: "
        "domain.crop_px 128 -> 112, domain.tile_px 320 -> 336, domain.window_px 192 -> 168\n"
    )


@pytest.mark.parametrize(
    ("length", "multiple", "side"), [(256, 56, 280), (84, 56, 112), (50, 8, 48), (16, 56, 56), (2048, 56, 2016)]
)
def test_a_side_becomes_the_nearest_multiple_in_range_and_of_two_the_larger(
    length: int, multiple: int, side: int
) -> None:
    assert nearest(length, multiple, 16, 2048) == side


def test_a_tile_stays_larger_than_its_overlap(patch_14: Backbone, capsys) -> None:
    recipe = load_recipe("natural", ["domain.tile_px=80", "domain.overlap_px=60"])
    assert on_patches(recipe, patch_14).domain.tile_px == 112


def test_a_window_that_is_asked_for_is_rounded_and_told(patch_14: Backbone, capsys) -> None:
    asked = window_on_patches(Asked(window_px=256), patch_14)
    assert asked.window_px == 280 and "--window 256 -> 280" in capsys.readouterr().err
    assert InputContract(window_px=112).changed(**vars(asked)).window_px == 280
    for unchanged in (Asked(), Asked(window_px=0), Asked(window_px=112), Asked(window_px=7)):
        assert window_on_patches(unchanged, patch_14) == unchanged
    assert capsys.readouterr().err == ""


def test_the_bare_base_is_measured_by_rounded_sides(
    folders: dict[tuple[str, int], Path], data: Path, tmp_path: Path, capsys
) -> None:
    words = ["evaluate", "--adapter", "base", "--recipe", "industrial", "--data", str(data), "domain.window_px=64"]
    assert main([*words, f"backbone.name={folders['dinov2', 14]}", *SMALL, "--split", "test"]) == 0
    told = capsys.readouterr().err
    assert told.count("rounded: ") == 1 and "domain.window_px 64 -> 56" in told


def test_a_script_that_rounds_nothing_is_told_the_nearest_side(patch_14: Backbone) -> None:
    with pytest.raises(InputError, match=r"domain\.crop_px is 128; .* wants a multiple of 56: set it to 112"):
        segmenter_of(load_recipe("natural"), patch_14, None)  # type: ignore[arg-type]


def test_the_crops_of_a_pretraining_are_rounded_to_its_own_patch(capsys) -> None:
    assert crops_on_patches(load_pretrain_recipe()) == load_pretrain_recipe()
    assert capsys.readouterr().err == ""
    recipe = load_pretrain_recipe("pretrain", ["vit.patch_px=14", "scenes.crop_px=128"])
    assert crops_on_patches(recipe).scenes.crop_px == 112
    assert "scenes.crop_px 128 -> 112" in capsys.readouterr().err
