from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.sam import SamBackbone
from adapters.methods import METHODS, adapter_state, build_method, detach, load_adapter_state, merge, peft_config
from adapters.options.peft_methods import PEFT_METHODS, OtherPeft
from domains.errors import InputError
from tests.adapters.backbones.tiny_models import ALL, tiny_backbone, tiny_folder, tiny_images
from tests.adapters.methods.training import assert_learns_and_comes_back, assert_starts_as_the_base, small, train

Lora: Any = METHODS["lora"]
OPTIONS = [Lora(), Lora(rank=2, alpha=3, rslora=True, layers="last:2"), Lora(rank=2, dora=True, layers=(1, 4))]


@torch.no_grad()
@pytest.mark.parametrize("method", OPTIONS)
@pytest.mark.parametrize("model_type", ALL)
def test_a_fresh_lora_changes_no_output(model_type, method):
    backbone = tiny_backbone(model_type)
    images = tiny_images(backbone)
    expected = backbone(images)
    method.attach(backbone)
    torch.testing.assert_close(backbone(images), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", OPTIONS)
@pytest.mark.parametrize("model_type", ["dinov2", "sam"])
def test_training_changes_the_output_and_no_frozen_weight(model_type, method):
    backbone = tiny_backbone(model_type)
    fingerprint = backbone.fingerprint()
    frozen = {name: tensor.clone() for name, tensor in backbone.base_parameters().items()}
    method.attach(backbone)
    effect = train(backbone)
    assert effect > 1e-3
    assert all(torch.equal(frozen[name], tensor) for name, tensor in backbone.base_parameters().items())
    assert backbone.fingerprint() == fingerprint


def test_only_the_low_rank_weights_learn_in_the_chosen_blocks():
    backbone = tiny_backbone("dinov2", taps=(1, 3))
    Lora(roles=("q",), layers="last:2").attach(backbone)
    learning = [name for name, parameter in backbone.model.named_parameters() if parameter.requires_grad]
    assert learning == [
        f"encoder.layer.{block}.attention.q_proj.lora_{side}.default.weight" for block in (1, 2) for side in "AB"
    ]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rank": 0}, "method.rank is 0; wanted an integer from 1 to 256"),
        ({"alpha": 0.0}, "method.alpha is 0.0"),
        ({"dropout": 1.0}, "method.dropout is 1.0"),
        ({"roles": ("query",)}, r"method.roles\[0\] is 'query'; known"),
        ({"roles": ()}, r"method.roles is \[\]; wanted a list that is not empty"),
        ({"layers": "last:9"}, "method.layers is 'last:9'"),
        ({"layers": (0,)}, r"method.layers\[0\] is 0|method.layers is"),
    ],
)
def test_options_that_make_no_adapter_are_refused_and_leave_the_backbone_alone(options, message):
    backbone = tiny_backbone("dinov2")
    with pytest.raises(InputError, match=message):
        Lora(**options).attach(backbone)
    assert not hasattr(backbone.model, "peft_config")


PLAIN_PEFT = """
import json, sys
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import Dinov2Model, SamModel

assert not any(name.split(".")[0] in ("adapters", "domains", "recipes") for name in sys.modules)
with torch.no_grad():
    for work, architecture in (("{tmp}/dinov2", Dinov2Model), ("{tmp}/sam", SamModel)):
        base = architecture.from_pretrained(work + "/base")
        model = PeftModel.from_pretrained(base, work + "/adapter").base_model.model.eval()
        pixels = load_file(work + "/pixels.safetensors")["pixels"]
        last = (model if architecture is Dinov2Model else model.vision_encoder)(pixels).last_hidden_state
        save_file({{"last": last.contiguous()}}, work + "/last.safetensors")
"""


def test_plain_peft_loads_the_adapter_and_gives_our_features(tmp_path):
    """In one process that knows nothing of us; DoRA on DINOv2, LoRA on SAM."""
    expected = {}
    for model_type, method in {"dinov2": Lora(dora=True), "sam": Lora(rank=4)}.items():
        work = tmp_path / model_type
        backbone = build_backbone(BackboneOptions(name=str(tiny_folder(model_type, work / "base"))))
        method.attach(backbone)
        train(backbone)
        peft_config(backbone, method, base_name=str(work / "base")).save_pretrained(work / "adapter")
        save_file(adapter_state(backbone, method), work / "adapter" / "adapter_model.safetensors")
        images = tiny_images(backbone, 8, 8)
        save_file({"pixels": (images - backbone.mean) / backbone.std}, work / "pixels.safetensors")
        with torch.no_grad():
            last = backbone.eval()(images)[-1]
            expected[model_type] = backbone.neck(last) if isinstance(backbone, SamBackbone) else last
    command = [sys.executable, "-W", "error::UserWarning", "-c", PLAIN_PEFT.format(tmp=tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for model_type, features in expected.items():
        theirs = load_file(tmp_path / model_type / "last.safetensors")["last"]
        if model_type == "dinov2":
            theirs = theirs[:, 1:].transpose(1, 2).unflatten(2, (8, 8))
        torch.testing.assert_close(theirs, features, atol=1e-6, rtol=1e-6)


def test_the_peft_configuration_names_its_base_and_is_written_alike_every_time(tmp_path):
    backbone = tiny_backbone("sam")
    config = peft_config(backbone, Lora(), base_name="facebook/sam-vit-base")
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == "facebook/sam-vit-base"
    assert written["auto_mapping"]["base_model_class"] == "SamModel"
    assert (written["r"], written["lora_alpha"]) == (8, 16)
    assert written["target_modules"] == backbone.targets(("qkv", "out"))


@pytest.mark.parametrize("method", OPTIONS)
@pytest.mark.parametrize("model_type", ["dinov2", "sam"])
def test_a_merged_adapter_gives_its_features_and_leaves_the_base_to_the_bit(model_type, method):
    backbone = tiny_backbone(model_type)
    images = tiny_images(backbone)
    bare = {name: tensor.clone() for name, tensor in backbone.base_parameters().items()}
    fingerprint = backbone.fingerprint()
    method.attach(backbone)
    train(backbone)
    with torch.no_grad():
        expected, state = backbone(images), adapter_state(backbone, method)
        merge(backbone)
        merge(backbone)  # twice is once
        torch.testing.assert_close(backbone(images), expected, atol=1e-5, rtol=1e-4)
    assert backbone.fingerprint() == fingerprint
    assert all(torch.equal(state[name], tensor) for name, tensor in adapter_state(backbone, method).items())
    detach(backbone)
    assert all(torch.equal(bare[name], tensor) for name, tensor in backbone.base_parameters().items())


def test_saved_weights_come_back_into_a_fresh_backbone():
    backbone, method = tiny_backbone("dinov2"), Lora()
    method.attach(backbone)
    train(backbone)
    state = adapter_state(backbone, method)
    other = tiny_backbone("dinov2")
    method.attach(other)
    load_adapter_state(other, method, state)
    images = tiny_images(backbone)
    torch.testing.assert_close(other(images), backbone(images), atol=0, rtol=0)


def test_rank_eight_on_sam_vit_b_is_under_three_megabytes():
    from transformers import SamConfig

    with torch.device("meta"):
        model = SamBackbone.architecture(None)(SamConfig())  # ViT-B
        backbone = SamBackbone(model, name="facebook/sam-vit-base")
        Lora(rank=8).attach(backbone)
    weights = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    assert sum(4 * parameter.numel() for parameter in weights) == 1_769_472


def test_rank_eight_on_the_embedded_base_is_under_a_megabyte():
    backbone = build_backbone(BackboneOptions(random=True))
    Lora(rank=8).attach(backbone)
    assert sum(4 * tensor.numel() for tensor in adapter_state(backbone, Lora(rank=8)).values()) == 663_552


EVERY = sorted(str(kind.name) for kind in PEFT_METHODS)
NOT_ON_SAM = {"oft": "does not fit tiny-sam"}


@pytest.mark.parametrize("model_type", ["dinov2", "sam", "embedded"])
@pytest.mark.parametrize("name", EVERY)
def test_every_method_of_peft_starts_as_the_base_learns_and_comes_back(name, model_type, tmp_path):
    embedded = model_type == "embedded"
    backbone = build_backbone(BackboneOptions()).eval() if embedded else tiny_backbone(model_type)
    if model_type == "sam" and name in NOT_ON_SAM:
        images = tiny_images(backbone)
        with torch.no_grad():
            expected = backbone(images)
            with pytest.raises(InputError, match=NOT_ON_SAM[name]):
                small(name).attach(backbone)
            torch.testing.assert_close(backbone(images), expected, atol=0, rtol=0)
        return
    assert_starts_as_the_base(backbone, small(name))
    assert_learns_and_comes_back(backbone, small(name), tmp_path / "state.safetensors")


def numbers_beside(method, target, layer):
    if method.name == "ln_tuning":
        return method.weights_beside(0, len(layer.weight))
    if method.name == "ia3":
        return layer.in_features if target.endswith(("fc2", "lin2")) else layer.out_features
    return method.weights_beside(layer.in_features, layer.out_features)


COUNTED = [name for name in EVERY if name != "peft"]
OF_SAM = [name for name in COUNTED if name not in NOT_ON_SAM]


@pytest.mark.parametrize(
    "model_type, name", [*(("dinov2", name) for name in COUNTED), *(("sam", name) for name in OF_SAM)]
)
def test_a_file_holds_as_many_numbers_as_the_options_say(model_type, name):
    backbone, method = tiny_backbone(model_type), small(name)
    method.attach(backbone)
    layers = {target: backbone.model.get_submodule(target).get_base_layer() for target in method.targets(backbone)}
    expected = sum(numbers_beside(method, *layer) for layer in layers.items())
    assert sum(tensor.numel() for tensor in adapter_state(backbone, method).values()) == expected


RELOAD = """
import sys, torch
from safetensors.torch import load_file
from adapters.methods import load_adapter_state
from tests.adapters.backbones.tiny_models import tiny_backbone, tiny_images
from tests.adapters.methods.test_peft_method import EVERY
from tests.adapters.methods.training import small
for name in EVERY:
    backbone, method = tiny_backbone("dinov2"), small(name)
    method.attach(backbone)
    load_adapter_state(backbone, method, load_file(f"{sys.argv[1]}/{name}.safetensors"))
    expected = load_file(f"{sys.argv[1]}/{name}-features.safetensors")
    with torch.no_grad():
        for number, feature in enumerate(backbone(tiny_images(backbone))):
            assert torch.equal(feature, expected[str(number)]), name
"""


def test_every_file_gives_the_same_features_in_another_process(tmp_path):
    """What is drawn at random instead of stored, as VeRA's projections are, is drawn alike there."""
    for name in EVERY:
        backbone, method = tiny_backbone("dinov2"), small(name)
        method.attach(backbone)
        train(backbone)
        save_file(adapter_state(backbone, method), tmp_path / f"{name}.safetensors")
        with torch.no_grad():
            features = {str(number): x.contiguous() for number, x in enumerate(backbone(tiny_images(backbone)))}
        save_file(features, tmp_path / f"{name}-features.safetensors")
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RELOAD, str(tmp_path)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"type": "NOSUCH"}, "method.type is 'NOSUCH'"),
        ({"type": "DELORA", "settings": {"rank": 2}}, "method.settings: "),
        ({"type": "XLORA"}, "method.type=XLORA does not fit|method.settings"),
        ({"type": "PREFIX_TUNING"}, "method.type=PREFIX_TUNING does not fit|method.settings"),
        ({"type": "FOURIERFT"}, "another output with fresh weights"),
        ({"type": "LORA", "settings": {"r": 0}}, "method.type=LORA does not fit|method.settings"),
        ({"type": "BOFT", "settings": {"boft_block_size": 0}}, "method.type=BOFT does not fit|method.settings"),
        ({"type": "LOKR", "settings": {"r": -3}}, "method.type=LOKR does not fit|method.settings"),
        ({"type": "FOURIERFT", "settings": {"n_frequency": -1}}, "method.type=FOURIERFT does not fit|method.settings"),
    ],
)
def test_what_peft_cannot_put_beside_the_layers_is_refused_and_leaves_the_backbone_bare(options, message):
    backbone = tiny_backbone("dinov2")
    images = tiny_images(backbone)
    expected = backbone(images)
    with pytest.raises(InputError, match=message):
        METHODS["peft"](**options).attach(backbone)
    assert not hasattr(backbone.model, "peft_config")
    torch.testing.assert_close(backbone(images), expected, atol=0, rtol=0)


def test_a_method_of_peft_that_is_not_tested_here_says_so_in_a_line(caplog):
    method = build_method(OtherPeft(type="GLORA", settings={"r": 2}))
    method.attach(tiny_backbone("dinov2"))
    assert [record.getMessage() for record in caplog.records] == [
        "method.type=GLORA is peft's own and not tested here: look at what comes of it"
    ]


def test_places_of_sparse_weights_other_than_those_of_the_seed_are_refused():
    """peft would hand them to a sparse tensor, which does not check them."""
    backbone, method = tiny_backbone("dinov2"), small("shira")
    method.attach(backbone)
    state = adapter_state(backbone, method)
    places = next(name for name in state if name.endswith("shira_indices"))
    state[places] = state[places] + 1
    with pytest.raises(InputError, match="shira_indices are not those of its options"):
        load_adapter_state(backbone, method, state)
