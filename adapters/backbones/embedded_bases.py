"""The embedded base: a small model in DINOv2's form that ships with the repository; a second size, a second folder."""

from __future__ import annotations

from pathlib import Path

from transformers import Dinov2Config

from adapters.options.backbone import EMBEDDED

FOLDERS = {name: Path(__file__).parent / name for name in EMBEDDED}


def folder_of(name: str) -> Path:
    """Where a base of that name, an embedded one or a folder, has its files and its decoders."""
    return FOLDERS.get(name, Path(name))


def embedded_config() -> Dinov2Config:
    """2.7 M parameters: patch 8 for boundaries, 128 px for speed; no mask token, as it is trained with labels.

    attends_px, a key of ours that a copy of its folder keeps, is the side of the squares within which tokens attend:
    the base was pretrained on crops of 96 and 112 px and is fitted on 128, so what it says of those is what it says of
    all of a tile (docs/experiments/speed.md), for less time.
    """
    config = Dinov2Config(
        hidden_size=192,
        num_hidden_layers=6,
        num_attention_heads=3,
        mlp_ratio=4,
        patch_size=8,
        image_size=128,
        layerscale_value=1.0,
        drop_path_rate=0.0,
        use_mask_token=False,
    )
    config.update({"attends_px": 96})
    return config
