"""Which pretrained decoder an adapter starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.decoders import Dense
from adapters.decoders.dense import DenseDecoder
from adapters.decoders.pretrained import WEIGHTS, compressed, expanded, save_pretrained_decoder, warm_start
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


def small(width: int = 4) -> DenseDecoder:
    return Dense(width=width).build(backbone_dim=8, taps=1, stride=8)


@pytest.mark.parametrize(("kind", "value"), [(None, 1.0), ("leaves", 2.0)])
def test_the_decoder_of_a_kind_of_scenes_or_the_general_one(folder: Path, kind: str | None, value: float) -> None:
    decoder = small()
    assert warm_start(decoder, folder, kind)
    assert bool((decoder.head.weight == value).all())


def test_kernels_in_eight_bits_are_off_by_half_of_a_scale_at_most(tmp_path: Path) -> None:
    torch.manual_seed(0)
    decoder, again = small(width=8), small(width=8)
    save_pretrained_decoder(tmp_path, decoder)
    assert warm_start(again, tmp_path)
    read = again.state_dict()
    for name, value in decoder.state_dict().items():
        error = (read[name] - value).abs()
        if value.ndim > 1:
            half = value.flatten(1).abs().amax(1) / 254
            assert bool((error.flatten(1).amax(1) <= half * 1.001).all()), name
        else:
            torch.testing.assert_close(read[name], value, atol=1e-3, rtol=1e-3)
    in_bytes = sum(file.stat().st_size for file in tmp_path.glob("*.safetensors"))
    assert in_bytes < 1.3 * sum(value.numel() for value in decoder.state_dict().values()) + 10_000


def test_a_channel_of_zeros_stays_zero() -> None:
    kernel = torch.zeros(2, 3, 3, 3)
    kernel[1] = -0.5
    assert torch.equal(expanded(compressed({"kernel": kernel}))["kernel"], kernel)


def test_a_decoder_in_half_precision_is_read_as_well(folder: Path) -> None:
    half = {name: value.half() for name, value in expanded(load_file(folder / WEIGHTS)).items()}
    save_file(half, folder / WEIGHTS)
    decoder = small()
    assert warm_start(decoder, folder)
    assert bool((decoder.head.weight == 1).all())


def test_eight_bits_without_a_scale_are_refused(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    save_file({name: value for name, value in state.items() if name != "head.weight.scale"}, folder / WEIGHTS)
    with pytest.raises(InputError, match=r"entity_decoder\.safetensors cannot be read: .*head\.weight\.scale"):
        warm_start(small(), folder)


def test_a_scale_of_another_length_is_refused(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    save_file(state | {"head.weight.scale": torch.ones(3)}, folder / WEIGHTS)
    with pytest.raises(InputError, match=r"entity_decoder\.safetensors cannot be read"):
        warm_start(small(), folder)


def test_a_weight_that_is_called_scale_itself_is_kept() -> None:
    state = {"gain.scale": torch.ones(4), "gain": torch.zeros(4)}
    assert set(expanded(compressed(state))) == set(state)


@pytest.mark.parametrize("kind", [None, "leaves"])
def test_another_shape_is_left_as_it_is(folder: Path, kind: str | None) -> None:
    decoder = small(width=6)
    before = decoder.head.weight.clone()
    assert not warm_start(decoder, folder, kind)
    assert torch.equal(decoder.head.weight, before)


def test_an_embedding_beside_the_fields_keeps_its_random_weights(folder: Path) -> None:
    decoder = Dense(width=4, embedding_dim=3).build(backbone_dim=8, taps=1, stride=8)
    fields, before = len(decoder.fields), decoder.head.weight.clone()
    assert warm_start(decoder, folder)
    assert bool((decoder.head.weight[:fields] == 1).all())
    assert torch.equal(decoder.head.weight[fields:], before[fields:])


def test_a_base_without_decoders_gives_none(tmp_path: Path) -> None:
    assert not warm_start(small(), tmp_path, "leaves")


def test_a_kind_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    with pytest.raises(InputError, match=r"train\.start is 'leafs'.*known: leaves \(did you mean 'leaves'\?\)"):
        warm_start(small(), folder, "leafs")


def scoring() -> DenseDecoder:
    """A decoder whose scorer of regions has learnt."""
    decoder = Dense(width=4, regions=True).build(backbone_dim=8, taps=1, stride=8)
    assert decoder.scorer is not None
    decoder.scorer.fitted.fill_(1)
    for weight in decoder.scorer.parameters():
        weight.fill_(0.25)
    return decoder


def test_a_scorer_of_regions_that_has_learnt_is_kept_beside_the_decoder(tmp_path: Path) -> None:
    save_pretrained_decoder(tmp_path, scoring())
    again = Dense(width=4, regions=True).build(backbone_dim=8, taps=1, stride=8)
    assert not again.by_regions and warm_start(again, tmp_path) and again.by_regions
    assert again.scorer is not None and bool((again.scorer.layers[0].weight == 0.25).all())
    assert warm_start(small(), tmp_path)  # one that goes by the watershed leaves it


def test_a_scorer_that_has_learnt_nothing_is_not_kept(tmp_path: Path, folder: Path) -> None:
    decoder = Dense(width=4, regions=True).build(backbone_dim=8, taps=1, stride=8)
    save_pretrained_decoder(tmp_path, decoder)
    assert not any(name.startswith("scorer.") for name in load_file(tmp_path / WEIGHTS))
    assert warm_start(decoder, tmp_path) and not decoder.by_regions
