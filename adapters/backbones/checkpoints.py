"""Original `.pth` checkpoints of SAM and DINOv2: recognised by their keys, sized by their shapes, loaded completely.

Key layouts: github.com/facebookresearch/segment-anything and github.com/facebookresearch/dinov2. Only tensors are
read (`weights_only=True`); nothing in a file is executed.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor
from transformers import (
    Dinov2Config,
    Dinov2WithRegistersConfig,
    PreTrainedConfig,
    PreTrainedModel,
    SamConfig,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from adapters.backbones.backbone import Backbone
from domains.errors import InputError

State = dict[str, Tensor]

SAM_NAMES = (
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
    (r"\.blocks\.", ".layers."),
    (r"\.norm(?=\d|_final)", ".layer_norm"),
    (r"\.neck\.0\.", ".neck.conv1."),
    (r"\.neck\.1\.", ".neck.layer_norm1."),
    (r"\.neck\.2\.", ".neck.conv2."),
    (r"\.neck\.3\.", ".neck.layer_norm2."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"(_mlps\.\d+|_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(_mlps\.\d+|_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(_mlps\.\d+|_head)\.layers\.2\.", r"\1.proj_out."),
)

DINOV2_NAMES = (
    (r"^(cls_token|mask_token|register_tokens)$", r"embeddings.\1"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.mlp\.w3\.", ".mlp.down_proj."),
    (r"^norm\.", "layernorm."),
)

DINOV2_FUSED = {  # one original layer -> the layers that transformers keeps apart
    ".attn.qkv.": (".attention.q_proj.", ".attention.k_proj.", ".attention.v_proj."),
    ".mlp.w12.": (".mlp.gate_proj.", ".mlp.up_proj."),
}


def read(path: Path) -> tuple[PreTrainedConfig, State]:
    """The configuration that the shapes tell, and the tensors under transformers' names, in float32."""
    state = read_tensors(path)
    try:
        if {"image_encoder.pos_embed", "mask_decoder.iou_token.weight"} <= state.keys():
            return sam_config(state), sam_state(state)
        if {"pos_embed", "patch_embed.proj.weight", "blocks.0.ls1.gamma"} <= state.keys():
            return dinov2_config(state), dinov2_state(state)
    except KeyError as error:
        raise InputError(f"{path}: the checkpoint is incomplete: {error.args[0]} is missing") from error
    keys = ", ".join(sorted(state)[:3])
    raise InputError(
        f"{path} is no original checkpoint of SAM or DINOv2 (its keys begin with {keys}); "
        "for other models give a folder in the Hub's layout"
    )


def load(path: Path, family: type[Backbone], config: PreTrainedConfig, state: State) -> PreTrainedModel:
    """The model with exactly these tensors: none missing, none left over, all of the right shape."""
    with torch.device("meta"):
        model = family.architecture(config)(config)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    faults = {
        "missing": shapes.keys() - state.keys(),
        "not in the model": state.keys() - shapes.keys(),
        "of another shape": {name for name in shapes.keys() & state.keys() if shapes[name] != state[name].shape},
    }
    for fault, names in faults.items():
        if names:
            examples = ", ".join(sorted(names)[:3])
            raise InputError(
                f"{path}: does not fit {config.model_type}: {len(names)} tensors {fault}, such as {examples}"
            )
    model.load_state_dict(state, assign=True)
    return model


def read_tensors(path: Path) -> State:
    """The table of tensors in a `.pth` file, in float32. Raises InputError for anything else, pickled code included."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, UnpicklingError) as error:
        raise InputError(
            f"{path} cannot be read as a checkpoint of plain tensors: truncated, or holding pickled code, "
            "which is never run; download it again"
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} is no original checkpoint: wanted a table of names and tensors")
    return {name: tensor.float() for name, tensor in state.items()}


def renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    """The name after each (pattern, replacement) rule in turn."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def count_blocks(state: State, prefix: str) -> int:
    """How many numbers follow the prefix among the names of a state."""
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})


def sam_config(state: State) -> SamConfig:
    """ViT-B, L, H, or any other size: prompt encoder and mask decoder are the same in all."""
    _, grid, _, dim = state["image_encoder.pos_embed"].shape
    patch = state["image_encoder.patch_embed.proj.weight"].shape[-1]
    depth = count_blocks(state, "image_encoder.blocks.")
    relative = [state[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape for i in range(depth)]  # (2 side - 1, head)
    sides = [(length + 1) // 2 for length, _ in relative]
    channels = state["image_encoder.neck.0.weight"].shape[0]
    mlp_dim = state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0]
    vision = SamVisionConfig(
        hidden_size=dim,
        output_channels=channels,
        num_hidden_layers=depth,
        num_attention_heads=dim // relative[0][1],
        image_size=grid * patch,
        patch_size=patch,
        window_size=min(sides),
        global_attn_indexes=[i for i, side in enumerate(sides) if side == grid],
        mlp_ratio=mlp_dim / dim,
        num_pos_feats=channels // 2,
    )
    prompt = SamPromptEncoderConfig(hidden_size=channels, image_size=grid * patch, patch_size=patch)
    return SamConfig(vision_config=vision, prompt_encoder_config=prompt)


def sam_state(state: State) -> State:
    """SAM's tensors under transformers' names."""
    converted = {renamed(name, SAM_NAMES): tensor for name, tensor in state.items()}
    positions = converted["prompt_encoder.shared_embedding.positional_embedding"]
    return converted | {"shared_image_embedding.positional_embedding": positions}  # one tensor under two names


def dinov2_config(state: State) -> PreTrainedConfig:
    """S, B, L, g, with and without registers. Heads, which no shape tells, are 64 wide in all of them."""
    positions, dim = state["pos_embed"].shape[1:]
    patch = state["patch_embed.proj.weight"].shape[-1]
    swiglu = "blocks.0.mlp.w12.weight" in state
    settings = {
        "hidden_size": dim,
        "num_hidden_layers": count_blocks(state, "blocks."),
        "num_attention_heads": max(dim // 64, 1),
        "mlp_ratio": 4 if swiglu else state["blocks.0.mlp.fc1.weight"].shape[0] // dim,
        "image_size": math.isqrt(positions - 1) * patch,
        "patch_size": patch,
        "use_swiglu_ffn": swiglu,
    }
    if "register_tokens" in state:
        return Dinov2WithRegistersConfig(num_register_tokens=state["register_tokens"].shape[1], **settings)
    return Dinov2Config(**settings)


def dinov2_state(state: State) -> State:
    """DINOv2's tensors under transformers' names; its fused q, k and v become three."""
    converted: State = {}
    for name, tensor in state.items():
        fused = next((projection for projection in DINOV2_FUSED if projection in name), None)
        projections = DINOV2_FUSED[fused] if fused else ("",)
        for projection, piece in zip(projections, tensor.chunk(len(projections)), strict=True):
            converted[renamed(name.replace(fused, projection) if fused else name, DINOV2_NAMES)] = piece
    return converted
