from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import FOLDERS
from adapters.decoders.pretrained_prompts import OPTIONS, WEIGHTS, fresh_parts, has_prompts, load_prompts, save_prompts
from adapters.options.prompts import PromptOptions
from domains.errors import InputError

SMALL = PromptOptions(width=32, layers=1, heads=2)


@pytest.fixture(scope="module")
def backbone():
    return build_backbone(BackboneOptions("entity-small"))


@pytest.fixture
def folder(tmp_path: Path, backbone) -> Path:
    """The embedded base without what it ships, with a small prompt decoder of random weights."""
    folder = shutil.copytree(FOLDERS["entity-small"], tmp_path / "base", ignore=shutil.ignore_patterns("prompt_*"))
    assert not has_prompts(folder)
    torch.manual_seed(0)
    save_prompts(folder, fresh_parts(folder, backbone, SMALL).decoder, backbone.taps)
    return folder


def test_saved_then_loaded_it_is_the_same_in_half_precision(folder, backbone) -> None:
    torch.manual_seed(0)
    saved = fresh_parts(folder, backbone, SMALL).decoder.state_dict()
    decoders = load_prompts(folder, backbone)
    assert decoders.decoder.options == SMALL and not decoders.decoder.training
    assert not any(weights.requires_grad for decoder in decoders for weights in decoder.parameters())
    for name, value in decoders.decoder.state_dict().items():
        assert torch.equal(value, saved[name].half().float()), name


def test_the_base_does_not_notice(folder, backbone) -> None:
    assert build_backbone(BackboneOptions(str(folder))).fingerprint() == backbone.fingerprint()


def test_other_taps_are_refused(folder) -> None:
    backbone = build_backbone(BackboneOptions(str(folder), taps=(2, 6)))
    with pytest.raises(InputError, match=r"want backbone\.taps=\[2, 4, 6\], which they learnt on; they are \[2, 6\]"):
        load_prompts(folder, backbone)


def test_another_dense_decoder_is_refused(folder, backbone) -> None:
    shutil.copy(folder / "entity_decoder.nuclei.safetensors", folder / "entity_decoder.safetensors")
    with pytest.raises(InputError, match=r"learnt beside another dense decoder than entity_decoder\.safetensors"):
        load_prompts(folder, backbone)


@pytest.mark.parametrize("content", ["no json", "[]", "{}", '{"prompts": 3, "taps": [], "dense": ""}'])
def test_damaged_options_are_refused(folder, backbone, content) -> None:
    (folder / OPTIONS).write_text(content, "utf-8")
    with pytest.raises(InputError, match=r"prompt_decoder\.json does not describe a prompt decoder"):
        load_prompts(folder, backbone)


def test_options_out_of_range_are_refused(folder, backbone) -> None:
    described = json.loads((folder / OPTIONS).read_text("utf-8"))
    described["prompts"]["width"] = 1 << 20
    (folder / OPTIONS).write_text(json.dumps(described), "utf-8")
    with pytest.raises(InputError, match=r"prompt_decoder\.json: prompts\.width"):
        load_prompts(folder, backbone)


@pytest.mark.parametrize("fault", ["type", "shape", "missing", "more", "bytes"])
def test_weights_that_are_not_what_the_options_say_are_refused(folder, backbone, fault) -> None:
    state = load_file(folder / WEIGHTS)
    name = "neck.0.weight"
    match fault:
        case "type":
            state[name] = state[name].float()
        case "shape":
            state[name] = state[name][:, 1:].contiguous()
        case "missing":
            del state[name]
        case "more":
            state[name + ".more"] = torch.zeros(3, dtype=torch.float16)
    save_file(state, folder / WEIGHTS)
    if fault == "bytes":
        (folder / WEIGHTS).write_bytes(b"no weights")
    message = r"prompt_decoder\.safetensors cannot be read" if fault == "bytes" else r"1 tensors are not what .*neck\.0"
    with pytest.raises(InputError, match=message):
        load_prompts(folder, backbone)


def test_a_base_without_a_dense_decoder_is_refused(folder, backbone) -> None:
    (folder / "entity_decoder.json").unlink()
    with pytest.raises(InputError, match="has no general dense decoder, on which prompts are answered"):
        fresh_parts(folder, backbone, SMALL)
