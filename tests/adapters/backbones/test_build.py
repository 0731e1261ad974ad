"""Names and folders, to a backbone or to one clear line."""

from __future__ import annotations

import json
import shutil

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.backbones import EMBEDDED, BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import FOLDERS
from adapters.backbones.folders import save_base
from domains.errors import InputError
from tests.adapters.backbones.tiny_models import ALL, tiny_backbone, tiny_folder, tiny_images


def build(folder, **settings):
    return build_backbone(BackboneOptions(name=str(folder), **settings))


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@torch.no_grad()
@pytest.mark.parametrize("model_type", ALL)
def test_a_folder_gives_the_backbone_that_was_saved(tmp_path, model_type):
    expected = tiny_backbone(model_type)
    backbone = build(tiny_folder(model_type, tmp_path))
    assert backbone.fingerprint() == expected.fingerprint()
    torch.testing.assert_close(backbone(tiny_images(backbone)), expected(tiny_images(expected)))


@torch.no_grad()
@pytest.mark.parametrize("model_type", ALL)
def test_the_frozen_base_is_the_same_in_training_as_in_evaluation(tmp_path, model_type):
    backbone = build(tiny_folder(model_type, tmp_path))
    images = tiny_images(backbone)
    expected = backbone.eval()(images)
    torch.testing.assert_close(backbone.train()(images), expected, atol=0, rtol=0)


@torch.no_grad()
def test_a_base_saved_in_half_precision_is_read_in_full(tmp_path):
    backbone = tiny_backbone("dinov2")
    save_base(backbone, tmp_path)
    again = build(tmp_path)
    assert load_file(tmp_path / "model.safetensors")["embeddings.cls_token"].dtype == torch.float16
    assert next(again.parameters()).dtype == torch.float32
    assert again.fingerprint() == backbone.fingerprint()
    assert again.config() | {"name": ""} == backbone.config() | {"name": ""}


def test_the_folders_normalisation_is_used(tmp_path):
    tiny_folder("vit", tmp_path)
    assert build(tmp_path).config()["mean"] == [0.485, 0.456, 0.406]
    settings = tmp_path / "preprocessor_config.json"
    settings.write_text(json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}))
    assert build(tmp_path).config()["mean"] == [0.5, 0.4, 0.3]
    settings.write_text(json.dumps({"do_normalize": False}))
    assert build(tmp_path).config()["std"] == [1.0, 1.0, 1.0]
    for wrong in ("[1]", "{", json.dumps({"image_mean": [0.5]})):
        settings.write_text(wrong)
        with pytest.raises(InputError, match="preprocessor_config.json"):
            build(tmp_path)


@pytest.mark.parametrize("model_type", ALL)
def test_random_weights_follow_torchs_seed_and_not_the_file(tmp_path, model_type):
    tiny_folder(model_type, tmp_path)
    fingerprints = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        backbone = build(tmp_path, random=True)
        fingerprints.append(backbone.fingerprint())
        assert 0.1 < backbone(tiny_images(backbone))[-1].std() < 10
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    assert build(tmp_path).fingerprint() not in fingerprints


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_embedded_bases_have_their_published_architecture(name):
    backbone = build(name, random=True)
    assert (backbone.dim, backbone.depth, backbone.stride, backbone.taps) == (192, 6, 8, (2, 4, 6))
    assert 2.7e6 < sum(parameter.numel() for parameter in backbone.parameters()) < 2.8e6


@torch.no_grad()
@pytest.mark.parametrize("name", EMBEDDED)
def test_the_embedded_bases_load_and_take_less_than_fifteen_megabytes(name):
    files = [file for file in FOLDERS[name].iterdir() if file.suffix in (".json", ".safetensors")]
    assert sum(file.stat().st_size for file in files) <= 15_000_000  # of them up to 3 the prompt decoder
    assert build(name)(torch.rand(1, 3, 64, 96))[-1].shape == (1, 192, 8, 12)


def without(prefix):
    return lambda state: [state.pop(name) for name in list(state) if name.startswith(prefix)]


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json: wanted a folder"),
        (lambda f: (f / "config.json").write_text("{"), "is not a model configuration"),
        (lambda f: (f / "config.json").write_text("{}"), "is not a model configuration"),
        (lambda f: change_config(f, hidden_size="wide"), "is not a model configuration"),
        (lambda f: change_config(f, model_type="swin"), "model_type is 'swin'; known: .*dinov2"),
        (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors: wanted a folder"),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "has no model.safetensors .pickled weights are not read",
        ),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "the weights cannot be read"),
        (
            lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-9]),
            "the weights cannot be read",
        ),
        (lambda f: change_weights(f, without("encoder.layer.3.norm1")), "2 tensors missing, such as encoder.layer.3.n"),
        (
            lambda f: change_weights(f, lambda state: state.update({"encoder.layer.4.norm1.bias": torch.zeros(32)})),
            "1 tensors not in the model, such as encoder.layer.4.norm1.bias",
        ),
        (lambda f: change_config(f, hidden_size=64), "tensors of another shape, such as"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(tmp_path, damage, message):
    damage(tiny_folder("dinov2", tmp_path))
    with pytest.raises(InputError, match=message) as caught:
        build(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_heads_that_the_base_does_not_use_may_be_left_over_or_missing(tmp_path):
    tiny_folder("vit", tmp_path)
    change_weights(tmp_path, lambda state: state.update({"classifier.weight": torch.zeros(3, 32)}))
    change_weights(tmp_path, without("pooler"))
    assert build(tmp_path).fingerprint() == tiny_backbone("vit").fingerprint()


@pytest.mark.parametrize(
    "name, message",
    [
        ("dinov2-smal", "is no folder and no Hub id; known: .*did you mean"),
        ("entity_small", "did you mean 'entity-small'"),
        ("./nowhere", "no such file or folder"),
        ("models/sam_vit_b.pth", "no such file or folder"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(name, message):
    with pytest.raises(InputError, match=message):
        build(name)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match="a file; wanted a folder in the Hub's layout or a .pth"):
        build(tmp_path / "model.onnx")


def test_without_a_network_the_line_says_how_to_give_a_local_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="facebook/dinov2-small.*not in the Hub cache.*give their folder"):
        build("facebook/dinov2-small")


def test_a_hub_id_in_the_cache_needs_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--owner--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(tiny_folder("dinov2", tmp_path / "folder"), repository / "snapshots" / commit)
    backbone = build("owner/model")
    assert (backbone.name, backbone.revision) == ("owner/model", commit)
    assert backbone.fingerprint() == tiny_backbone("dinov2").fingerprint()
