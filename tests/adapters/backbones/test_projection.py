from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.backbones.projection import BandProjection, build_projection
from adapters.decoders.dense import Dense
from adapters.inference.segment import InputContract
from adapters.methods import METHODS
from adapters.network import EntitySegmenter
from adapters.sharing.folder import describe, load_adapter, save_adapter
from adapters.sharing.info import PROJECTION_WEIGHTS
from adapters.sharing.probe import probe_image
from adapters.training.module import TrainOptions, parameter_groups
from domains.errors import InputError

BANDS = ("blue", "green", "red", "nir", "ndvi")


@pytest.fixture
def backbone(tiny_segmenter):
    return tiny_segmenter("decoder_only")[0].backbone


@pytest.fixture
def segmenter(backbone) -> EntitySegmenter:
    METHODS["decoder_only"]("decoder_only").attach(backbone)
    decoder = Dense(width=4).build(backbone.dim, len(backbone.taps), backbone.stride)
    return EntitySegmenter(backbone, decoder, build_projection(BANDS)).eval()


def test_a_fresh_projection_passes_red_green_and_blue_through_by_name():
    images = torch.rand(2, 5, 8, 8)
    assert torch.equal(BandProjection(BANDS)(images), images[:, [2, 1, 0]])
    assert torch.equal(BandProjection(["1", "2", "3", "4"])(images[:, :4]), images[:, :3])


def test_one_band_and_three_need_none():
    assert build_projection(()) is build_projection(("nir",)) is build_projection(("nir", "red", "green")) is None


def test_of_two_bands_a_fresh_one_passes_the_second_twice():
    images = torch.rand(2, 2, 8, 8)
    assert torch.equal(build_projection(("vv", "vh"))(images), images[:, [0, 1, 1]])
    assert torch.equal(probe_image(16, 2), probe_image(16)[:, :2])


def test_a_fresh_one_changes_no_output_and_a_step_teaches_it_though_the_backbone_is_frozen(segmenter):
    images = torch.rand(1, 5, 32, 32)
    plain = EntitySegmenter(segmenter.backbone, segmenter.decoder)
    assert torch.allclose(segmenter(images)["foreground"], plain(images[:, [2, 1, 0]])["foreground"], atol=1e-5)
    groups = list(parameter_groups(segmenter, TrainOptions()))
    assert {id(p) for p in segmenter.projection.parameters()} <= {id(p) for one in groups for p in one["params"]}
    optimizer = torch.optim.SGD([p for one in groups for p in one["params"]], lr=0.1)
    before = segmenter.projection.mix.weight.detach().clone()
    segmenter(images)["foreground"].square().mean().backward()
    optimizer.step()
    moved = (segmenter.projection.mix.weight - before).abs().detach()
    assert (moved.sum(dim=0) > 0).all()  # every band, the two that a fresh one leaves out too


def saved(segmenter, folder, bands=BANDS):
    contract = InputContract(channels=5, bands=bands)
    info = describe(segmenter, METHODS["decoder_only"]("decoder_only"), contract, "aerial", "here")
    save_adapter(folder, segmenter, METHODS["decoder_only"]("decoder_only"), info, "domain: {}\n")
    return folder


def test_a_trained_projection_comes_back_to_the_bit(segmenter, backbone, tmp_path):
    torch.nn.init.normal_(segmenter.projection.mix.weight)
    images = torch.rand(1, 5, 32, 32)
    with torch.no_grad():
        wanted = segmenter(images)["foreground"]
    loaded, info = load_adapter(saved(segmenter, tmp_path / "a"), backbone)
    assert info.contract.bands == BANDS and loaded.channels == 5
    assert torch.equal(loaded.projection.mix.weight, segmenter.projection.mix.weight)
    with torch.no_grad():
        assert torch.equal(loaded(images)["foreground"], wanted)


@pytest.mark.parametrize("fault", ["missing", "other shape", "changed", "without need"])
def test_a_projection_that_does_not_fit_is_refused_in_one_line(segmenter, backbone, tmp_path, fault):
    folder = saved(segmenter, tmp_path / "a")
    path = folder / PROJECTION_WEIGHTS
    if fault == "missing":
        path.unlink()
    elif fault == "other shape":
        save_file({name: value[..., :1].contiguous() for name, value in load_file(path).items()}, path)
    elif fault == "changed":
        save_file({name: value + 1 for name, value in load_file(path).items()}, path)
    else:
        info = json.loads((folder / "entity.json").read_text())
        info["input"] |= {"bands": [], "channels": 3}
        (folder / "entity.json").write_text(json.dumps(info))
    with pytest.raises(InputError) as error:
        load_adapter(folder, backbone)
    assert "\n" not in str(error.value) and "get the adapter again" in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 4},
        {"bands": ("a", "b")},
        {"channels": 2},
        {"bands": ("a;b",) * 5},
        {"bands": (1,) * 5},
        {"channels": 99},
        {"stain": {"name": "reinhard"}},
    ],
)
def test_a_contract_whose_channels_and_bands_disagree_is_refused(wrong):
    with pytest.raises(InputError):
        replace(InputContract(channels=5, bands=BANDS), **wrong)


def test_the_probe_of_rgb_is_what_it_was():
    assert torch.equal(probe_image(16, 5)[:, :3], probe_image(16)) and probe_image(16, 5).std(dim=(2, 3)).min() > 0.1
