"""Updates of few bits: nothing when fresh, near what was learnt, exact through a file, small, merged to the same."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from adapters.inference.segment import InputContract
from adapters.methods import METHODS
from adapters.methods.decoder_update import FROZEN, learnt_state, merge_kernels, quantised_layers
from adapters.methods.quantised_update import QuantisedConv2d
from adapters.network import EntitySegmenter
from adapters.sharing.folder import describe, load_adapter, save_adapter
from adapters.training.rounding import round_learnt
from domains.errors import InputError
from tests.adapters.training.networks import adapted

LEAST_ERROR = {2: 0.1188, 3: 0.03744, 4: 0.01154}
"""Of a normal number through the best quantiser of so many bits with even steps (Max, IRE Transactions 1960)."""


def convolution(bits: int) -> QuantisedConv2d:
    torch.manual_seed(0)
    return QuantisedConv2d(nn.Conv2d(24, 16, 3, padding=1), bits)


def images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def fields(segmenter: EntitySegmenter) -> torch.Tensor:
    return torch.cat([*segmenter.eval()(images()).values()], 1)


@pytest.fixture
def learnt() -> EntitySegmenter:
    """A network of three bits after two steps, rounded as a fit rounds it."""
    segmenter = adapted("decoder_only", bits=3)
    learning = [weights for weights in segmenter.train().parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=1e-3)
    for _ in range(2):
        optimiser.zero_grad()
        sum(x.square().mean() for x in segmenter(images()).values()).backward()
        optimiser.step()
    round_learnt(segmenter)
    return segmenter


@pytest.mark.parametrize("bits", LEAST_ERROR)
def test_a_normal_update_loses_hardly_more_than_it_must(bits: int) -> None:
    layer = convolution(bits)
    update = torch.randn(layer.update.shape) * torch.logspace(-4, -1, 16).view(-1, 1, 1, 1)  # outputs of other sizes
    layer.update.data.copy_(update)
    layer.quantise()
    lost = (layer.update - update).square().sum((1, 2, 3)) / update.square().sum((1, 2, 3))
    assert 0.8 * LEAST_ERROR[bits] < lost.mean() < 1.1 * LEAST_ERROR[bits]  # 216 weights have a step each


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_codes_are_exact_and_as_many_as_they_must_be(bits: int) -> None:
    layer = convolution(bits)
    layer.update.data.normal_(std=0.01)
    layer.update.data[3] = 0  # an output that did not learn
    layer.quantise()
    codes = layer.codes()
    assert codes.dtype == torch.uint8 and len(codes) == math.ceil(layer.update.numel() * bits / 8)
    assert torch.equal(layer.decoded(codes, layer.step), layer.update) and not layer.update[3].any()
    assert all(len(row.unique()) <= 2**bits for row in layer.update.flatten(1))
    again = layer.update.clone()
    layer.quantise()
    assert torch.equal(layer.update, again)


def test_fresh_it_is_the_base_and_learning_moves_no_frozen_kernel(learnt: EntitySegmenter) -> None:
    fresh, bare = adapted("decoder_only", bits=3), adapted("decoder_only")
    torch.testing.assert_close(fields(fresh), fields(bare), atol=1e-6, rtol=1e-6)
    round_learnt(fresh)
    assert not any(layer.update.any() for _, layer in quantised_layers(fresh.decoder))
    kernels = {name: x for name, x in learnt.decoder.state_dict().items() if name.endswith(FROZEN)}
    assert len(kernels) > 20
    assert all(torch.equal(x, fresh.decoder.state_dict()[name]) for name, x in kernels.items())
    assert (fields(learnt) - fields(bare)).abs().max() > 1e-2


def test_merged_it_is_a_plain_convolution(learnt: EntitySegmenter) -> None:
    expected = fields(learnt)
    merge_kernels(learnt.decoder)
    assert not list(quantised_layers(learnt.decoder))
    torch.testing.assert_close(fields(learnt), expected, atol=1e-6, rtol=1e-6)


def test_an_adapter_of_three_bits_is_small_and_loads_to_the_same_fields(learnt: EntitySegmenter, tmp_path) -> None:
    method = METHODS["decoder_only"](bits=3)
    info = describe(learnt.eval(), method, InputContract(tile_px=64, overlap_px=16), "pathology", "drawn")
    save_adapter(tmp_path / "few", learnt, method, info, "domain: {name: pathology}\n")
    assert sum(file.stat().st_size for file in (tmp_path / "few").glob("*.safetensors")) < 500_000
    loaded, read = load_adapter(tmp_path / "few")
    assert read.start is not None and read.start.kind == "nuclei" and read.method.name == "decoder_only"
    torch.testing.assert_close(fields(loaded), fields(learnt), atol=0, rtol=0)
    state, expected = learnt_state(loaded.decoder), learnt_state(learnt.decoder)
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)


def test_a_whole_decoder_names_no_bits_as_adapters_from_before_them(learnt: EntitySegmenter, tmp_path) -> None:
    whole, method = adapted("decoder_only"), METHODS["decoder_only"]()
    info = describe(whole.eval(), method, InputContract(tile_px=64, overlap_px=16), "pathology", "drawn")
    save_adapter(tmp_path / "whole", whole, method, info, "domain: {name: pathology}\n")
    assert json.loads((tmp_path / "whole" / "entity.json").read_text())["method"] == {"name": "decoder_only"}


def test_a_decoder_from_nothing_takes_no_updates() -> None:
    decoder = adapted("decoder_only").decoder
    decoder.start = None
    with pytest.raises(InputError, match="method.bits is 3, which updates .* take method.bits=16"):
        METHODS["decoder_only"](bits=3).adapt_decoder(decoder)


@pytest.mark.parametrize("name, kind", [("stem.0.codes", torch.float32), ("stem.0.step", torch.uint8)])
def test_codes_are_bytes_and_nothing_else_is(learnt: EntitySegmenter, tmp_path, monkeypatch, name: str, kind) -> None:
    method = METHODS["decoder_only"](bits=3)
    info = describe(learnt.eval(), method, InputContract(tile_px=64, overlap_px=16), "pathology", "drawn")
    save_adapter(tmp_path / "few", learnt, method, info, "domain: {name: pathology}\n")
    file = tmp_path / "few" / "entity_decoder.safetensors"
    state = load_file(file)
    save_file({**state, name: state[name].to(kind)}, file)
    monkeypatch.setattr("adapters.sharing.door.seal", lambda *_: read_digest(tmp_path / "few"))  # as if sealed anew
    with pytest.raises(InputError, match=f"'{name}' is of [FU]"):
        load_adapter(tmp_path / "few")


def read_digest(folder: Path) -> str:
    return json.loads((folder / "entity.json").read_text())["digest"]
