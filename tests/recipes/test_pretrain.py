"""A base that goes on from another one."""

from __future__ import annotations

import pytest
import torch

from adapters.backbones.embedded_bases import FOLDERS
from domains.errors import InputError
from recipes.compose import load_pretrain_recipe
from recipes.pretrain import build

START = "vit.start=entity-small"


def test_it_begins_with_the_weights_of_the_base_and_of_its_decoder() -> None:
    first, second = (build(load_pretrain_recipe("pretrain", [START])) for _ in range(2))
    nothing = build(load_pretrain_recipe("pretrain"))
    assert (FOLDERS["entity-small"] / "entity_decoder.safetensors").is_file()
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    weight = "decoder.head.weight"
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


def test_it_goes_on_from_the_decoder_of_a_kind_of_scenes() -> None:
    general, surfaces = (
        build(load_pretrain_recipe("pretrain", [START, *more])) for more in ([], ["train.start=surfaces"])
    )
    weight = "decoder.head.weight"
    assert not torch.equal(general.state_dict()[weight], surfaces.state_dict()[weight])
