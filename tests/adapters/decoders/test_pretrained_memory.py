from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import FOLDERS
from adapters.decoders.pretrained_memory import (
    OPTIONS,
    WEIGHTS,
    Looking,
    fresh_parts,
    has_memory,
    load_memory,
    save_memory,
)
from adapters.options.memory_decoder import MemoryOptions
from domains.errors import InputError

SMALL = MemoryOptions(width=32, layers=1, heads=2)


@pytest.fixture(scope="module")
def backbone():
    return build_backbone(BackboneOptions("entity-small"))


@pytest.fixture
def folder(tmp_path: Path, backbone) -> Path:
    """The embedded base with a small memory decoder of random weights in place of its own."""
    folder = shutil.copytree(FOLDERS["entity-small"], tmp_path / "base", ignore=shutil.ignore_patterns("memory_*"))
    assert not has_memory(folder)
    torch.manual_seed(0)
    save_memory(folder, fresh_parts(folder, backbone, SMALL).decoder)
    return folder


def test_saved_then_loaded_it_is_the_same_in_half_precision(folder, backbone) -> None:
    torch.manual_seed(0)
    saved = fresh_parts(folder, backbone, SMALL).decoder.state_dict()
    parts = load_memory(folder, backbone)
    assert parts.decoder.options == SMALL and not parts.decoder.training
    assert not any(weights.requires_grad for weights in parts.decoder.parameters())
    for name, value in parts.decoder.state_dict().items():
        assert torch.equal(value, saved[name].half().float()), name


def test_frames_are_seen_at_strides_8_and_4(folder, backbone) -> None:
    parts = load_memory(folder, backbone)
    look, _ = Looking(backbone, parts.trunk, parts.prompts)(torch.rand(2, 3, 48, 64))
    assert look.cells.shape == (96, 6, 8) and look.pixels.shape == (35, 12, 16)
    assert torch.allclose(look.pixels[:32].norm(dim=0), torch.ones(12, 16), atol=1e-4)


@pytest.mark.parametrize(("name", "file"), [("dense", "entity_decoder"), ("prompts", "prompt_decoder")])
def test_other_decoders_below_it_are_refused(folder, backbone, name, file) -> None:
    described = json.loads((folder / OPTIONS).read_text())
    described[name] = "0" * 64
    (folder / OPTIONS).write_text(json.dumps(described))
    with pytest.raises(InputError, match=rf"learnt beside another {name} decoder than {file}\.safetensors"):
        load_memory(folder, backbone)


def test_what_is_damaged_is_refused(folder, backbone) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-8])
    with pytest.raises(InputError, match="cannot be read"):
        load_memory(folder, backbone)
    (folder / OPTIONS).write_text("{}")
    with pytest.raises(InputError, match="does not describe a memory decoder"):
        load_memory(folder, backbone)


def test_a_base_without_prompts_has_no_memory(tmp_path, backbone) -> None:
    with pytest.raises(InputError, match="has no prompt decoder, on which a memory decoder stands"):
        fresh_parts(tmp_path, backbone, SMALL)
