"""A base and its decoders, from nothing or from another base."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import FOLDERS
from adapters.decoders.pretrained_prompts import OPTIONS, WEIGHTS
from adapters.losses import build_loss
from adapters.training.joint import JointData, JointModule
from cli import main
from domains.errors import InputError
from recipes.reading.compose import load_pretrain_recipe
from recipes.verbs.pretrain import build, data_of, kinds, pretrain

START = "vit.start=entity-small"


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_it_begins_with_the_weights_of_the_base_and_of_its_decoder() -> None:
    first, second = (build(load_pretrain_recipe("pretrain", [START])) for _ in range(2))
    nothing = build(load_pretrain_recipe("pretrain"))
    assert (FOLDERS["entity-small"] / "entity_decoder.safetensors").is_file()
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    weight = "decoder.general.head.weight"
    assert not torch.equal(first.state_dict()[weight], nothing.state_dict()[weight])
    assert all(parameter.requires_grad for parameter in first.backbone.used_parameters().values())


def test_a_base_that_does_not_learn_leaves_the_decoder_to_learn() -> None:
    segmenter = build(load_pretrain_recipe("pretrain", [START, "vit.learns=false"]))
    assert not any(parameter.requires_grad for parameter in segmenter.backbone.parameters())
    assert all(parameter.requires_grad for parameter in segmenter.decoder.parameters())


def test_another_architecture_is_refused_in_one_line() -> None:
    recipe = load_pretrain_recipe("pretrain", [START, "vit.width=96"])
    with pytest.raises(InputError, match=r"has width 192; vit\.width is 96: set it to 192"):
        build(recipe)


def test_nothing_learns_without_a_base_is_refused() -> None:
    with pytest.raises(InputError, match="no base to go on from"):
        load_pretrain_recipe("pretrain", ["vit.learns=false"])


def test_a_decoder_to_start_from_wants_its_base() -> None:
    with pytest.raises(InputError, match=r"name that base by vit\.start"):
        load_pretrain_recipe("pretrain", ["train.start=surfaces"])
    with pytest.raises(InputError, match="wants the name of a decoder"):
        load_pretrain_recipe("pretrain", [START, "train.start=./adapter"])


def test_it_goes_on_from_the_decoder_of_a_kind_of_scenes() -> None:
    general, surfaces = (
        build(load_pretrain_recipe("pretrain", [START, *more])) for more in ([], ["train.start=surfaces"])
    )
    weight = "decoder.general.head.weight"
    assert not torch.equal(general.state_dict()[weight], surfaces.state_dict()[weight])


TINY = (
    *("vit.width=16", "vit.layers=2", "vit.heads=2", "vit.taps=[1,2]", "decoder.width=4"),
    *("scenes.size_px=40", "scenes.crop_px=32", "scenes.val_count=4", "scenes.families.aerial=0"),
    *("train.steps=4", "train.validate_every=2", "train.batch_size=2", "train.workers=0", "train.precision=fp32"),
)


def test_each_kind_starts_from_its_own_decoder_and_a_new_one_from_the_general() -> None:
    segmenter = build(load_pretrain_recipe("pretrain", [START, "scenes.kinds.walls={surfaces: 1}"]))
    assert set(segmenter.decoder) == {"general", "nuclei", "surfaces", "aerial", "photographs", "walls"}
    weights = {kind: decoder.head.weight for kind, decoder in segmenter.decoder.items()}
    assert torch.equal(weights["walls"], weights["general"])
    assert not torch.equal(weights["nuclei"], weights["general"])


def test_a_base_ships_a_decoder_for_every_kind_and_is_not_overwritten(tmp_path: Path) -> None:
    recipe = load_pretrain_recipe("pretrain", list(TINY))
    base = pretrain(recipe, tmp_path / "run")
    whole = {path.name: path.read_bytes() for path in base.iterdir() if path.suffix == ".safetensors"}
    assert {name for name in whole if name.startswith("entity_decoder")} == {
        "entity_decoder.safetensors",
        *(f"entity_decoder.{kind}.safetensors" for kind in ("nuclei", "surfaces", "aerial", "photographs")),
    }
    assert len(set(whole.values())) == len(whole)
    assert build_backbone(BackboneOptions(str(base))).dim == 16
    with pytest.raises(InputError, match="already holds a pretraining"):
        pretrain(recipe, tmp_path / "run")
    with pytest.raises(InputError, match=r"was started with another recipe; .* vit\.start="):
        pretrain(load_pretrain_recipe("pretrain", [*TINY, "train.lr=0.1"]), tmp_path / "run", resume=True)
    assert whole == {path.name: path.read_bytes() for path in base.iterdir() if path.name in whole}


def test_it_says_where_results_lie_how_far_it_is_and_the_line_that_fits_to_the_base(
    tmp_path: Path, data: Path, capsys
) -> None:
    words = ["vit.layers=3" if word == "vit.layers=2" else word for word in TINY]
    kinds = [f"scenes.kinds.{kind}=null" for kind in ("nuclei", "surfaces", "aerial", "photographs")]
    assert main(["pretrain", "--out", str(tmp_path / "run"), *words, *kinds]) == 0
    told = capsys.readouterr()
    first, *_, last = told.out.splitlines()
    assert "general: " in first and f"results: {tmp_path / 'run' / 'base'}" in told.out
    assert "pretrain: 4/4" in told.err and "val/loss" in told.err
    line = f"next: python cli.py fit --recipe pathology backbone.name={tmp_path / 'run' / 'base'} "
    assert last == f"{line}train.start=null 'backbone.taps=[1, 2]' decoder.width=4"
    fit = [*shlex.split(last)[3:], "--data", str(data), "--out", str(tmp_path / "fit"), "train.steps=1"]
    assert main(fit) == 0, capsys.readouterr().err
    assert "ignored: " not in capsys.readouterr().err


def test_ctrl_c_saves_the_base_and_resume_comes_to_the_same_weights(tmp_path: Path, capsys, interrupt_at) -> None:
    pretrain(load_pretrain_recipe("pretrain", TINY), tmp_path / "whole")
    interrupt_at(3)
    run = tmp_path / "run"
    capsys.readouterr()
    assert main(["pretrain", "--out", str(run), *TINY]) == 130
    told = capsys.readouterr()
    assert "stopped after 3 steps" in told.out and (run / "base" / "model.safetensors").exists()
    assert main(shlex.split(told.out.splitlines()[-1])[3:]) == 0
    for file in (tmp_path / "whole" / "base").glob("*.safetensors"):
        assert file.read_bytes() == (run / "base" / file.name).read_bytes()


def test_a_mistake_in_a_pretraining_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has width 192"):
        pretrain(load_pretrain_recipe("pretrain", [START, "vit.width=96"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_step_moves_the_base_and_every_decoder_and_names_each_loss() -> None:
    recipe = load_pretrain_recipe("pretrain", list(TINY))
    module = JointModule(build(recipe), build_loss(recipe.losses.options()))
    data = JointData({kind: data_of(recipe, families) for kind, families in kinds(recipe).items()})
    batch = next(iter(data.train_dataloader()))[0]
    terms = module.terms(batch)
    assert set(terms) == {f"{kind}/loss" for kind in ("general", "nuclei", "surfaces", "aerial", "photographs")}
    torch.stack(list(terms.values())).sum().backward()
    for part in (module.segmenter.backbone.model.embeddings, *module.segmenter.decoder.values()):
        assert any(parameter.grad is not None and bool(parameter.grad.any()) for parameter in part.parameters())
    assert len(list(module.places(batch))) == 10


def test_a_kind_is_taught_by_its_own_scenes_alone() -> None:
    recipe = load_pretrain_recipe("pretrain", list(TINY))
    segmenter = build(recipe)
    images = {kind: torch.rand(1, 3, 32, 32) for kind in kinds(recipe)}
    outputs = segmenter(images)
    outputs["aerial"]["foreground"].sum().backward()
    for kind, decoder in segmenter.decoder.items():
        assert (decoder.head.weight.grad is not None) == (kind == "aerial")
    alone = segmenter.decoder["aerial"](segmenter.backbone(images["aerial"]), images["aerial"])
    torch.testing.assert_close(outputs["aerial"]["foreground"], alone["foreground"])


def test_the_general_decoder_is_no_kind() -> None:
    with pytest.raises(InputError, match="'general' is the name of the decoder of all families"):
        load_pretrain_recipe("pretrain", ["scenes.kinds.general={aerial: 1}"])


def test_a_kind_that_is_null_is_left_out() -> None:
    assert set(kinds(load_pretrain_recipe("pretrain", ["scenes.kinds.nuclei=null"]))) == {
        *("general", "surfaces", "aerial", "photographs")
    }


def test_a_base_may_go_by_regions_before_anything_is_fitted_to_it(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("recipes.verbs.pretrain.REGION_SCENES", 6)
    monkeypatch.setattr("recipes.verbs.pretrain.REGION_SCENE_PX", 96)
    monkeypatch.setattr("adapters.training.region_fit.STEPS", 100)
    out = tmp_path / "run"
    base = pretrain(load_pretrain_recipe("pretrain", [*TINY, "decoder.regions=true"]), out)
    assert "regions: learnt from" in capsys.readouterr().out
    names = [name for file in base.glob("entity_decoder*.safetensors") for name in load_file(file)]
    assert "scorer.fitted" in names


PROMPTS = (
    *("prompts.width=32", "prompts.layers=1", "prompts.heads=2", "prompts.per_image=4"),
    *("scenes.size_px=40", "scenes.crop_px=32", "scenes.val_count=2", "scenes.families={nested: 1}"),
    *("train.steps=3", "train.validate_every=1", "train.batch_size=1", "train.precision=fp32"),
)


def test_prompts_learn_beside_a_base_that_stays_and_a_killed_run_goes_on(
    tmp_path: Path, capsys, interrupt_at, photograph
) -> None:
    pretrain(load_pretrain_recipe("pretrain_prompts", PROMPTS), tmp_path / "whole")
    interrupt_at(2)
    assert main(["pretrain", "--recipe", "pretrain_prompts", "--out", str(tmp_path / "run"), *PROMPTS]) == 130
    assert main(shlex.split(capsys.readouterr().out.splitlines()[-1])[3:]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    base, shipped = tmp_path / "run" / "base", FOLDERS["entity-small"]
    for file in (tmp_path / "whole" / "base").iterdir():
        assert file.read_bytes() == (base / file.name).read_bytes()
        if file.name not in (WEIGHTS, OPTIONS):
            assert file.read_bytes() == (shipped / file.name).read_bytes()
    clicks, line = tmp_path / "clicks.csv", shlex.split(last)
    clicks.write_text("x,y\n20,20\n", "utf-8")
    places = {"IMAGE": photograph, "POINTS.csv": clicks, "OUT": tmp_path / "out"}
    assert main([str(places.get(word, word)) for word in line[3:]]) == 0
    assert (base / WEIGHTS).stat().st_size < 200_000


def test_prompts_want_a_base_that_stays() -> None:
    for word in ("vit.learns=true", "vit.start=null"):
        with pytest.raises(InputError, match=r"prompts learn beside a base that stays|no base to go on from"):
            load_pretrain_recipe("pretrain_prompts", [word])


MEMORY = (
    *("memory.width=32", "memory.layers=1", "memory.heads=2", "memory.drawn_frames=4", "memory.clip_frames=3"),
    *(f"memory.clips.{kind}=0" for kind in ("crossing", "occlusion", "births", "exits")),
    *("scenes.size_px=48", "scenes.crop_px=48", "scenes.families={leaves: 1}"),
    *("scenes.val_count=1", "train.steps=3", "train.validate_every=1", "train.batch_size=1", "train.precision=fp32"),
)


def test_memory_learns_beside_a_base_that_stays_and_a_killed_run_goes_on(tmp_path: Path, capsys, interrupt_at) -> None:
    pretrain(load_pretrain_recipe("pretrain_video", MEMORY), tmp_path / "whole")
    interrupt_at(2)
    assert main(["pretrain", "--recipe", "pretrain_video", "--out", str(tmp_path / "run"), *MEMORY]) == 130
    assert main(shlex.split(capsys.readouterr().out.splitlines()[-1])[3:]) == 0
    base, shipped = tmp_path / "run" / "base", FOLDERS["entity-small"]
    for file in (tmp_path / "whole" / "base").iterdir():
        assert file.read_bytes() == (base / file.name).read_bytes()
        if not file.name.startswith("memory_decoder"):
            assert file.read_bytes() == (shipped / file.name).read_bytes()
    assert f"--track name=memory --track base={base}" in capsys.readouterr().out


def test_memory_wants_a_base_that_stays_and_clips_that_there_are() -> None:
    for word in ("vit.learns=true", "vit.start=null", "prompts.width=96"):
        with pytest.raises(InputError, match=r"memory learns alone, beside a base|no base to go on from"):
            load_pretrain_recipe("pretrain_video", [word])
    with pytest.raises(InputError, match="no kind of clip is called 'crosing'.*did you mean 'crossing'"):
        load_pretrain_recipe("pretrain_video", ["memory.clips.crosing=1"])
    with pytest.raises(InputError, match=r"memory\.drawn_frames is 8; wanted at least 9 where memory\.clips has occl"):
        load_pretrain_recipe("pretrain_video", ["memory.drawn_frames=8"])
