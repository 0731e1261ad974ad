"""SAM 2's weights from folders, and what is refused of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.decoders.pretrained_sam2 import load_sam2
from domains.errors import InputError
from tests.adapters.backbones.tiny_models import tiny_folder as folder_of
from tests.adapters.decoders.tiny_sam2 import tiny_folder, tiny_sam2


def test_a_folder_gives_its_own_weights_also_at_another_side(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path)
    statistics = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.25]}
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    model = load_sam2(str(folder))
    assert (model.side_px, model.cells, model.rings) == (64, (4, 4), (3, 4))
    for name, tensor in tiny_sam2().state_dict().items():
        assert torch.equal(tensor, model.model.state_dict()[name]), name
    black = model.pixels(torch.zeros(8, 8, 3, dtype=torch.uint8).numpy())[0, :, 0, 0]
    assert torch.allclose(black, torch.tensor([-0.2, -0.4, -1.2]))
    wide = load_sam2(str(folder), side_px=96)
    assert wide.look(torch.zeros(1, 3, 96, 96)).tokens.shape == (36, 1, 128)


def changed(folder: Path, **values) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def without_memory(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("memory_encoder")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "of images": (lambda folder: changed(folder, model_type="sam2"), "is a SAM 2 of images, which has no memory; give"),
    "of EdgeTAM": (
        lambda folder: changed(folder, model_type="edgetam_video"),
        "model_type is 'edgetam_video'; tracking",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "pickled": (pickled, "has no model.safetensors (pickled weights are not read: convert them)"),
    "damaged": (lambda folder: (folder / "model.safetensors").write_bytes(b"0" * 99), "the weights cannot be read"),
    "no memory": (without_memory, "config.json and weights disagree"),
    "another depth": (
        lambda folder: changed(folder, memory_attention_num_layers=1),
        "tensors not in the model, such as",
    ),
    "another width": (lambda folder: changed(folder, memory_fuser_embed_dim=64), "tensors of another shape"),
    "vast frames": (lambda folder: changed(folder, image_size=10**6), "image_size is 1000000; wanted a multiple of 32"),
    "odd sizes": (
        lambda folder: changed(folder, image_size=96),
        "vision_config.backbone_feature_sizes is [[16, 16], [8",
    ),
    "long memory": (lambda folder: changed(folder, num_maskmem=10**9), "num_maskmem is 1000000000; wanted"),
    "no number": (lambda folder: changed(folder, num_maskmem="seven"), "is not a model configuration"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_whole_sam2_of_videos_is_refused(fault: str, tmp_path: Path) -> None:
    change, message = FAULTS[fault]
    change(tiny_folder(tmp_path))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_sam2(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_other_names_are_refused_with_the_option(tmp_path: Path) -> None:
    (checkpoint := tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(b"\x80\x02")
    with pytest.raises(InputError, match="original checkpoints of SAM 2 are not read; give facebook/sam2.1-hiera-tiny"):
        load_sam2(str(checkpoint))
    with pytest.raises(InputError, match="tracking.weights is 'sam2', which is no folder and no Hub id.*sam2.1-hiera"):
        load_sam2("sam2")
    with pytest.raises(InputError, match="model_type is 'sam'; tracking wants 'sam2_video'"):
        load_sam2(str(folder_of("sam", tmp_path)))
