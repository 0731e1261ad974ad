"""The weights of a SAM 2 that propagates masks: a folder in the Hub's layout, or a Hub id such as
facebook/sam2.1-hiera-tiny; safetensors alone, complete, and of the sizes that the configuration says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig, Sam2VideoConfig, Sam2VideoModel

from adapters.backbones import folders
from adapters.backbones.sources import Asked, locate
from adapters.decoders.sam2_video import Sam2Propagation
from domains.errors import InputError

MODEL_TYPE, EXAMPLE = "sam2_video", "facebook/sam2.1-hiera-tiny"
ASKED = Asked("tracking.weights", [f"facebook/sam2.1-hiera-{size}" for size in ("tiny", "small", "base-plus", "large")])
STRIDES, MULTIPLE_PX = (4, 8, 16), 32
"""Pixels of a cell of the three maps of the image encoder, and of what its windows want."""
SIDE_PX = (64, 2048)
MEMORY_WIDTH = 64
"""Channels of a memory, which transformers' memory attention takes for granted."""


class WholeSam2(Sam2VideoModel):
    """The model, whose loading tells of every tensor. transformers 5.23 hands the patterns of what its image encoder
    may leave out on to the whole: tensors of the memory that the model has not would be left out without a word.
    """

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__(config)
        self._keys_to_ignore_on_load_unexpected = set()


def load_sam2(name: str, revision: str | None = None, side_px: int | None = None) -> Sam2Propagation:
    """The model of a folder or Hub id, on the processor. side_px: at which it sees frames, where that is not its own.

    Raises InputError for what is no SAM 2 of videos, or is incomplete.
    """
    folder, _ = locate(name, revision, ASKED)
    if folder.is_file():
        raise InputError(
            f"{folder}: original checkpoints of SAM 2 are not read; give {EXAMPLE}, or a folder with its config.json "
            "and model.safetensors"
        )
    config = folders.read_config(folder)
    check_family(config, folder)
    check_sizes(config, folder)
    if side_px is not None:
        see_at(config, side_px)
    mean, std = folders.read_normalisation(folder)
    model, report = folders.load(folder, WholeSam2, config)
    modules = sorted({tensor.partition(".")[0] for tensor in model.state_dict()})
    folders.refuse_faults(folder, report, modules)  # tensors beside these may be left over
    return Sam2Propagation(model, mean, std)


def check_family(config: PreTrainedConfig, folder: Path) -> None:
    """Raises InputError for a configuration of another family."""
    if config.model_type == "sam2":
        raise InputError(f"{folder} is a SAM 2 of images, which has no memory; give one of videos, such as {EXAMPLE}")
    if config.model_type != MODEL_TYPE:
        raise InputError(
            f"{folder}: model_type is {config.model_type!r}; tracking wants {MODEL_TYPE!r}, such as {EXAMPLE}"
        )


def check_sizes(config: Any, folder: Path) -> None:
    """Raises InputError for sizes that SAM 2 cannot have: a configuration comes from anybody, and memory is taken by
    what it says.
    """
    vision, side, (least, largest) = config.vision_config, config.image_size, SIDE_PX
    if type(side) is not int or not least <= side <= largest or side % MULTIPLE_PX:
        raise InputError(
            f"{folder}: image_size is {side!r:.100}; wanted a multiple of {MULTIPLE_PX} from {least} to {largest}"
        )
    sizes = {
        "vision_config.num_feature_levels": (vision.num_feature_levels, len(STRIDES)),
        "vision_config.backbone_feature_sizes": (vision.backbone_feature_sizes, grids(side)),
        "vision_config.backbone_config.model_type": (vision.backbone_config.model_type, "sam2_hiera_det_model"),
        "prompt_encoder_config.image_size": (config.prompt_encoder_config.image_size, side),
        "prompt_encoder_config.patch_size": (config.prompt_encoder_config.patch_size, STRIDES[-1]),
        "memory_attention_rope_feat_sizes": (config.memory_attention_rope_feat_sizes, grids(side)[-1]),
        "memory_encoder_output_channels": (config.memory_encoder_output_channels, MEMORY_WIDTH),
    }
    for name, (value, expected) in sizes.items():
        if value != expected:
            raise InputError(f"{folder}: {name} is {value!r:.100}; a SAM 2 of videos has {expected!r}")
    for name, top in (("num_maskmem", 64), ("max_object_pointers_in_encoder", 256)):
        if not 2 <= getattr(config, name) <= top:
            raise InputError(f"{folder}: {name} is {getattr(config, name)}; wanted an integer from 2 to {top}")
    width = vision.fpn_hidden_size
    if width % MEMORY_WIDTH or not MEMORY_WIDTH < width <= 1024:
        raise InputError(
            f"{folder}: vision_config.fpn_hidden_size is {width}; wanted a multiple of {MEMORY_WIDTH} above it"
        )


def see_at(config: Any, side_px: int) -> None:
    """Let a model see frames at another side: its positions are made anew, its weights stay."""
    config.image_size = config.prompt_encoder_config.image_size = side_px
    config.vision_config.backbone_feature_sizes = grids(side_px)
    config.memory_attention_rope_feat_sizes = grids(side_px)[-1]


def grids(side_px: int) -> list[list[int]]:
    """Cells down and across the three maps of the image encoder."""
    return [[side_px // stride] * 2 for stride in STRIDES]
