"""Tiny models of every family, with random weights that all matter."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    Dinov2Config,
    Dinov2WithRegistersConfig,
    DINOv3ViTConfig,
    PreTrainedConfig,
    PreTrainedModel,
    SamConfig,
    ViTConfig,
)

from adapters.backbones import BACKBONES, FAMILIES, Backbone

SIZES = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
VITS = ("dinov2", "dinov2_with_registers", "dinov3_vit", "vit")
ALL = (*VITS, "sam")


def tiny_config(model_type: str) -> PreTrainedConfig:
    """Native sizes: 56 px at patch 14, 32 px at patch 8, and 64 px at patch 8 for SAM."""
    match model_type:
        case "dinov2":
            return Dinov2Config(**SIZES, mlp_ratio=2, patch_size=14, image_size=56, drop_path_rate=0.3)
        case "dinov2_with_registers":
            return Dinov2WithRegistersConfig(
                **SIZES, mlp_ratio=2, patch_size=14, image_size=56, num_register_tokens=3, use_swiglu_ffn=True
            )
        case "dinov3_vit":
            return DINOv3ViTConfig(
                **SIZES, intermediate_size=64, patch_size=8, image_size=32, num_register_tokens=2, use_gated_mlp=True
            )
        case "vit":
            return ViTConfig(**SIZES, intermediate_size=64, patch_size=8, image_size=32, hidden_dropout_prob=0.1)
        case _:
            grid = {"image_size": 64, "patch_size": 8}
            vision = {**SIZES, **grid, "output_channels": 16, "window_size": 3, "global_attn_indexes": [1, 3]}
            decoder = {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2}
            return SamConfig(
                vision_config={**vision, "mlp_dim": 64, "num_pos_feats": 8},
                prompt_encoder_config={"hidden_size": 16, **grid},
                mask_decoder_config={**decoder, "iou_head_hidden_dim": 16},
            )


def of_patch(config: PreTrainedConfig, patch_px: int) -> PreTrainedConfig:
    """The configuration at another patch, of 4 x 4 patches."""
    for section in (config, *(getattr(config, name, None) for name in ("vision_config", "prompt_encoder_config"))):
        if hasattr(section, "patch_size"):
            section.patch_size, section.image_size = patch_px, 4 * patch_px
    return config


def tiny_model(model_type: str, seed: int = 0, patch_px: int | None = None) -> PreTrainedModel:
    """Norms, biases and tokens are moved off their start at 0 and 1 as well, so that none can be forgotten."""
    torch.manual_seed(seed)
    config = tiny_config(model_type)
    if patch_px is not None:
        of_patch(config, patch_px)
    model = BACKBONES[FAMILIES[model_type]].randomised(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def tiny_backbone(model_type: str, **settings) -> Backbone:
    return BACKBONES[FAMILIES[model_type]](tiny_model(model_type), name=f"tiny-{model_type}", **settings).eval()


def tiny_folder(model_type: str, folder: Path, patch_px: int | None = None) -> Path:
    tiny_model(model_type, patch_px=patch_px).save_pretrained(folder)
    return folder


def tiny_images(backbone: Backbone, rows: int = 4, columns: int = 4) -> torch.Tensor:
    """Two images of so many patches."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, rows * backbone.stride, columns * backbone.stride, generator=generator)
