"""Which pretrained decoder an adapter starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adapters.decoders import Dense
from adapters.decoders.dense import DenseDecoder
from adapters.embedded import WEIGHTS, save_pretrained_decoder, warm_start
from domains.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base's folder with a decoder for all kinds of scenes, and one for leaves; head weights of 1 and of 2."""
    for value in (2, 1):
        decoder = small()
        torch.nn.init.constant_(decoder.head.weight, value)
        save_pretrained_decoder(tmp_path, decoder)
        if value == 2:
            (tmp_path / WEIGHTS).rename(tmp_path / "entity_decoder.leaves.safetensors")
    return tmp_path


def small(width: int = 2) -> DenseDecoder:
    return Dense(width=width).build(backbone_dim=8, taps=1, stride=8)


@pytest.mark.parametrize(("kind", "value"), [(None, 1.0), ("leaves", 2.0)])
def test_the_decoder_of_a_kind_of_scenes_or_the_general_one(folder: Path, kind: str | None, value: float) -> None:
    decoder = small()
    assert warm_start(decoder, folder, kind)
    assert bool((decoder.head.weight == value).all())


@pytest.mark.parametrize("kind", [None, "leaves"])
def test_another_shape_is_left_as_it_is(folder: Path, kind: str | None) -> None:
    decoder = small(width=3)
    before = decoder.head.weight.clone()
    assert not warm_start(decoder, folder, kind)
    assert torch.equal(decoder.head.weight, before)


def test_a_base_without_decoders_gives_none(tmp_path: Path) -> None:
    assert not warm_start(small(), tmp_path, "leaves")


def test_a_kind_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    with pytest.raises(InputError, match=r"train\.start is 'leafs'.*known: leaves \(did you mean 'leaves'\?\)"):
        warm_start(small(), folder, "leafs")
