"""A tiny SAM 2 of videos, with random weights that all matter, and short rings."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Sam2VideoConfig, Sam2VideoModel

SIDE_PX, WIDTH = 64, 128  # memories have 64 channels, and pointers are split into some


def tiny_config(**settings) -> Sam2VideoConfig:
    grids = [[SIDE_PX // stride] * 2 for stride in (4, 8, 16)]
    hiera = {
        **{"model_type": "sam2_hiera_det_model", "hidden_size": 8, "embed_dim_per_stage": [8, 16, 32, 64]},
        **{"num_attention_heads": 1, "num_attention_heads_per_stage": [1, 1, 2, 2], "blocks_per_stage": [1, 1, 2, 1]},
        **{"window_size_per_stage": [8, 4, 4, 2], "global_attention_blocks": [3], "image_size": [SIDE_PX] * 2},
    }
    vision = {"backbone_channel_list": [64, 32, 16, 8], "backbone_feature_sizes": grids, "fpn_hidden_size": WIDTH}
    attention = {"hidden_size": WIDTH, "num_layers": 2, "feed_forward_hidden_size": 32, "rope_feat_sizes": grids[-1]}
    values = {
        "vision_config": {**vision, "backbone_config": hiera},
        "prompt_encoder_config": {"hidden_size": WIDTH, "image_size": SIDE_PX},
        "mask_decoder_config": {
            "hidden_size": WIDTH,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 8,
        },
        "image_size": SIDE_PX,
        **{f"memory_attention_{name}": value for name, value in attention.items()},
        **{"memory_encoder_hidden_size": WIDTH, "mask_downsampler_embed_dim": WIDTH},
        **{"memory_fuser_embed_dim": WIDTH, "memory_fuser_intermediate_dim": 32},
        **{"num_maskmem": 4, "max_object_pointers_in_encoder": 5},
    }
    return Sam2VideoConfig(**(values | settings))


def tiny_sam2(seed: int = 0, exists: float = 0.0, **settings) -> Sam2VideoModel:
    """What transformers begins at zero (memory positions, what stands for no object, the fuser's scales) is moved off
    it. exists: added to the logit of an entity being there.
    """
    torch.manual_seed(seed)
    model = Sam2VideoModel(tiny_config(**settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        head = model.mask_decoder.pred_obj_score_head.proj_out
        head.weight.mul_(10)  # so that whether it is there changes between frames
        head.bias.add_(exists)
    return model


def tiny_folder(folder: Path, **settings) -> Path:
    tiny_sam2(**settings).save_pretrained(folder)
    return folder
