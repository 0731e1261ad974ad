"""Updates of a pretrained decoder: fresh nothing, learnt something, frozen underneath, small in a file, and exact."""

from __future__ import annotations

import json

import pytest
import torch

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import folder_of
from adapters.backbones.folders import save_base
from adapters.decoders import DECODERS
from adapters.decoders.pretrained import warm_start
from adapters.inference.segment import InputContract
from adapters.methods import METHODS
from adapters.methods.decoder_update import FROZEN, LowRankConv2d, learnt_state, merge_kernels
from adapters.network import EntitySegmenter
from adapters.sharing.folder import describe, load_adapter, save_adapter
from adapters.training.rounding import learnt_weights, round_to_half
from domains.errors import InputError

SMALL_BYTES = 500_000


def network(scope: str, rank: int = 8, kind: str | None = "nuclei"):
    torch.manual_seed(0)
    backbone = build_backbone(BackboneOptions())
    method = METHODS["lora"](rank=rank, scope=scope)
    method.attach(backbone)
    decoder = DECODERS["dense"]().build(backbone.dim, len(backbone.taps), backbone.stride)
    assert warm_start(decoder, folder_of(backbone.name), kind)
    method.adapt_decoder(decoder)
    return EntitySegmenter(backbone, decoder), method


def images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def fields(segmenter: EntitySegmenter) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([x for x in segmenter.eval()(images()).values()], 1)


def learn(segmenter: EntitySegmenter, steps: int = 2) -> None:
    weights = [weights for weights in segmenter.train().parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=1e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(x.square().mean() for x in segmenter(images()).values()).backward()
        assert all(value.grad is not None for value in weights)
        optimiser.step()
    round_to_half(learnt_weights(segmenter))


@pytest.mark.parametrize("scope", ["decoder", "both"])
def test_fresh_updates_change_nothing_and_learning_moves_no_frozen_kernel(scope):
    bare, _ = network("backbone")
    segmenter, _ = network(scope)
    torch.testing.assert_close(fields(segmenter), fields(bare), atol=1e-5, rtol=1e-5)
    frozen = {name: x.clone() for name, x in segmenter.decoder.state_dict().items() if name.endswith(FROZEN)}
    assert len(frozen) > 20
    learn(segmenter)
    assert (fields(segmenter) - fields(bare)).abs().max() > 1e-2
    now = segmenter.decoder.state_dict()
    assert all(torch.equal(now[name], kernel) for name, kernel in frozen.items())


def test_merged_kernels_give_the_same_fields_from_plain_convolutions():
    segmenter, _ = network("decoder")
    learn(segmenter)
    expected = fields(segmenter)
    merge_kernels(segmenter.decoder)
    assert not any(isinstance(module, LowRankConv2d) for module in segmenter.decoder.modules())
    torch.testing.assert_close(fields(segmenter), expected, atol=1e-5, rtol=1e-5)


def test_a_kernel_smaller_than_its_update_learns_whole():
    segmenter, _ = network("decoder", rank=8)
    decoder = segmenter.decoder
    assert isinstance(decoder.head, torch.nn.Conv2d) and decoder.head.weight.requires_grad
    assert isinstance(decoder.tokens, LowRankConv2d)


@pytest.fixture
def saved(tmp_path):
    """saved(scope) -> (folder, segmenter): an adapter of the embedded base that has learnt a little."""

    def run(scope: str):
        segmenter, method = network(scope)
        learn(segmenter)
        contract = InputContract(tile_px=64, overlap_px=16)
        info = describe(segmenter.eval(), method, contract, "pathology", "drawn")
        save_adapter(tmp_path / scope, segmenter, method, info, "domain: {name: pathology}\n")
        return tmp_path / scope, segmenter

    return run


@pytest.mark.parametrize("scope", ["decoder", "both"])
def test_an_adapter_of_updates_is_small_and_loads_to_the_same_fields(saved, scope):
    folder, segmenter = saved(scope)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    assert size < SMALL_BYTES * (1 if scope == "decoder" else 1.6)
    assert (folder / "adapter_config.json").exists() == (scope == "both")
    loaded, info = load_adapter(folder)
    assert info.start is not None and info.start.kind == "nuclei"
    torch.testing.assert_close(fields(loaded), fields(segmenter), atol=0, rtol=0)
    assert learnt_state(loaded.decoder).keys() == learnt_state(segmenter.decoder).keys()


def test_updates_of_another_decoder_than_the_base_has_are_refused(saved, monkeypatch):
    folder, _ = saved("decoder")
    monkeypatch.setattr("adapters.sharing.door.seal", lambda *_: info["digest"])  # as if sealed anew
    info = json.loads((folder / "entity.json").read_text())
    info["start"]["digest"] = "0" * 64
    (folder / "entity.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="holds updates of a pretrained decoder .* which .* has not"):
        load_adapter(folder)


def test_a_base_without_a_pretrained_decoder_takes_no_updates_of_it(tmp_path):
    save_base(build_backbone(BackboneOptions()), tmp_path / "bare")
    backbone = build_backbone(BackboneOptions(str(tmp_path / "bare")))
    decoder = DECODERS["dense"]().build(backbone.dim, len(backbone.taps), backbone.stride)
    assert not warm_start(decoder, tmp_path / "bare")
    with pytest.raises(InputError, match="method.scope is 'both', which updates a decoder that was pretrained"):
        METHODS["lora"](scope="both").adapt_decoder(decoder)


def test_a_scope_and_a_start_that_disagree_are_refused(saved):
    folder, _ = saved("decoder")
    info = json.loads((folder / "entity.json").read_text())
    info["method"]["scope"] = "backbone"
    (folder / "entity.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="start is there; the method says that the decoder is whole"):
        load_adapter(folder)
