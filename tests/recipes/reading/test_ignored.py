"""What a user says of a recipe without effect is told, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.decoders import Dense
from adapters.decoders.dense import DenseDecoder
from adapters.options.contract import AVERAGED, ContextOptions
from adapters.options.decoders import OF_REGIONS_ALONE, OF_WATERSHED_ALONE
from adapters.options.section import values_of
from cli import main
from recipes.build import contract_of
from recipes.reading.compose import list_recipes, load_any, load_recipe, resolved_yaml, said
from recipes.reading.ignored import RULES, reasons
from recipes.reading.schema import Recipe

CASES = {
    "domain.symmetries=4": ("natural", ["decoder.name=query"], "only decoder.name=dense has fields to average"),
    "domain.window_px=64": ("pathology", ["decoder.name=query"], "only decoder.name=dense has fields to average"),
    "decoder.least_iou=0.3": ("natural", [], "decoder.regions=false"),
    "decoder.seed_height=0.3": ("pathology", [], "decoder.regions=true"),
    "decoder.seed_height=0.4": ("natural", ["decoder.granularity=0.7"], "decoder.granularity takes its place"),
    "train.backbone_lr=0.1": ("pathology", ["method.name=decoder_only"], "method.name=decoder_only"),
    "backbone.gradient_checkpointing=true": ("pathology", [], "method.scope=decoder"),
    "method.layers=last:2": ("pathology", [], "method.scope=decoder"),
    "train.unlabelled=somewhere": ("natural", [], "train.student=false, and train.unlabelled_share=0"),
    "labels.map.disc=round": ("mix", [], "a mixture learns no classes"),
    "train.calibrate_for=f1": ("natural", ["train.calibrate=false"], "train.calibrate=false"),
    "backbone.revision=main": ("natural", [], "is no Hub id"),
    "train.start=nuclei": ("natural", ["decoder.width=8"], "no pretrained decoder of that shape"),
    "train.start=surfaces": ("natural", ["decoder.name=query"], "no pretrained decoder of that shape"),
    "train.start=aerial": ("natural", ["backbone.name=facebook/dinov2-small"], "no pretrained decoder of that shape"),
    "domain.groups=g.csv": ("natural", [], "domain.data=sample is no folder"),
    "domain.sample_count=9": ("natural", ["domain.data=somewhere"], "domain.data is a folder"),
    "domain.band_names=[red]": ("natural", ["domain.data=somewhere"], "domain.bands=[] is RGB"),
    "losses.foreground.area_exponent=0.5": ("natural", ["losses.foreground.weight=0"], "foreground weighs 0"),
    "train.calibrate=false": ("pretrain", [], "pretraining does none of it"),
}


@pytest.mark.parametrize("option", CASES)
def test_an_option_without_effect_is_told_with_the_choice_that_makes_it_so(option: str) -> None:
    recipe, others, why = CASES[option]
    words = [*others, option]
    told = reasons(load_any(recipe, words), said(recipe, words))
    named = option.partition("=")[0]
    assert [reason for reason, options in told.items() if named in options and why in reason] and len(told) == 1


@pytest.mark.parametrize("recipe", list_recipes())
@pytest.mark.parametrize("words", [[], ["train.steps=3"]])
def test_what_a_recipe_inherits_is_not_told(recipe: str, words: list[str]) -> None:
    assert reasons(load_any(recipe, words), said(recipe, words)) == {}
    if isinstance(load_any(recipe), Recipe):
        words = [*words, "decoder.name=query", "backbone.name=facebook/dinov2-small"]
        assert reasons(load_recipe(recipe, words), said(recipe, words)) == {}


def test_a_file_of_the_user_is_said_and_a_whole_one_is_not(tmp_path: Path) -> None:
    own, whole = tmp_path / "own.yaml", tmp_path / "whole.yaml"
    own.write_text("extends: pathology\ndomain: {symmetries: 4}\ndecoder: {name: query}\n")
    assert said(own, ["train.steps=3"]) == {"domain.symmetries", "decoder.name", "train.steps"}
    whole.write_text(resolved_yaml(load_recipe(own)))
    assert said(whole, ["train.steps=3"]) == {"train.steps"}


def test_recipes_check_says_each_reason_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["decoder.name=query", "domain.symmetries=2", "domain.window_px=64", "train.backbone_lr=0.1"]
    words.append("method.name=decoder_only")
    assert main(["recipes", "check", "pathology", *words]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "ignored: domain.symmetries, domain.window_px: only decoder.name=dense has fields to average",
        "ignored: train.backbone_lr: method.name=decoder_only leaves the backbone as it is",
    ]


def test_the_rules_name_options_that_there_are() -> None:
    sections = values_of(load_recipe("natural")) | {"decoder": Dense().__dict__}
    for rule in RULES:
        for option in rule.options:
            section, _, name = option.partition(".")
            assert name in sections[section]


def test_every_option_of_a_domain_that_the_query_decoder_does_not_see_is_a_rule() -> None:
    """By trial: of the options that reach the network's input, those that change it for one decoder alone."""
    tried: dict[str, object] = {
        "scale": 2.0,
        "tile_px": 512,
        "overlap_px": 8,
        "symmetries": 4,
        "test_scales": (0.5,),
        "window_px": 64,
        "context": ContextOptions(),
    }
    unseen = set()
    for name, value in tried.items():
        contracts = {}
        for decoder in ("dense", "query"):
            recipe = load_recipe("natural", [f"decoder.name={decoder}", "domain.bands=[]"])
            changed = replace(recipe, domain=replace(recipe.domain, **{name: value}))
            contracts[decoder] = contract_of(recipe) != contract_of(changed)
        assert contracts["dense"]
        if not contracts["query"]:
            unseen.add(name)
    assert unseen == set(AVERAGED)


def test_every_threshold_that_the_way_of_cutting_does_not_ask_is_a_rule() -> None:
    """By trial: each option of the decode is moved; those that change no entity are the ones of the rules."""
    changed = {
        "foreground_threshold": 0.9,
        "granularity": 0.1,
        "seed_height": 0.9,
        "min_score": 0.99,
        "smoothing_px": 6.0,
    }
    changed |= {"min_area_px": 400, "least_iou": 0.99, "sure_foreground": 0.01}
    assert changed.keys() == Dense.TUNED.keys()
    rng = np.random.default_rng(0)
    bumps = np.kron(rng.random((6, 6)), np.ones((8, 8)))[None, None] * 8 - 3
    outputs = {
        name: torch.from_numpy(bumps + rng.random(bumps.shape)).float()
        for name in ("foreground", "boundary_distance", "centre_distance", "boundary")
    }
    for regions, alone in ((False, OF_REGIONS_ALONE), (True, OF_WATERSHED_ALONE)):
        start = Dense(regions=regions, least_iou=0.0, min_area_px=0)
        decoder = DenseDecoder(start, 8, 1)
        if decoder.scorer is not None:
            decoder.scorer.fitted.fill_(1)
        plain = decoder.proposals.entities(outputs, 0, (48, 48)).ids
        still = set()
        for name, value in changed.items():
            decoder.options = replace(start, **{name: value})
            if np.array_equal(decoder.proposals.entities(outputs, 0, (48, 48)).ids, plain):
                still.add(name)
        still -= {"sure_foreground"} if regions else set()  # at a least IoU of 0 all regions are in
        assert still == set(alone) - {"merging"}  # which is no threshold


def test_images_without_labels_that_the_teacher_labels_are_not_without_effect() -> None:
    words = ["train.unlabelled=somewhere", "train.unlabelled_share=0.4"]
    assert reasons(load_recipe("natural", words), said("natural", words)) == {}
