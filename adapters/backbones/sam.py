"""The SAM family: Segment Anything's image encoder, with the whole model kept around it.

Kirillov et al., https://arxiv.org/abs/2304.02643. `model` is the complete `SamModel`, so that an adapter's keys start
with `vision_encoder` and plain peft loads them into it. transformers runs one image size only; here the absolute
positions are interpolated to any other (bicubic), the relative ones interpolate by themselves and windows are padded.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, SamModel

from adapters.backbones.backbone import EMBEDDING_STD, Backbone


class SamBackbone(Backbone):
    """Features are raw block outputs; `neck` turns the last block's into SAM's own image embedding."""

    family = "sam"
    roles: ClassVar = {
        "q": ("attn.qkv",),
        "k": ("attn.qkv",),
        "v": ("attn.qkv",),
        "qkv": ("attn.qkv",),
        "out": ("attn.proj",),
        "mlp_in": ("mlp.lin1",),
        "mlp_out": ("mlp.lin2",),
    }
    default_roles = ("qkv", "out")  # rank 8 on ViT-B is 1.8 MB; with the MLPs it would be 4.7 MB

    @classmethod
    def architecture(cls, config: Any) -> type[PreTrainedModel]:
        """The transformers class, one for all SAMs."""
        return SamModel

    @classmethod
    def randomised(cls, config: Any) -> PreTrainedModel:
        """A model with random weights through which a signal passes."""
        # transformers' own start is 1e-10 with positions at zero: no signal passes, and no adapter has an effect
        config.vision_config.initializer_range = EMBEDDING_STD
        config.vision_config.scale = 1.0
        model = SamModel(config)
        with torch.no_grad():
            for name, parameter in model.vision_encoder.named_parameters():
                if "pos_embed" in name or "rel_pos" in name:
                    nn.init.trunc_normal_(parameter, std=EMBEDDING_STD)
        return model

    @property
    def vision_config(self) -> Any:
        """The image encoder's part of the configuration."""
        return self.model.config.vision_config

    @property
    def stem(self) -> tuple[str, ...]:
        """Paths of what makes tokens of pixels."""
        return "vision_encoder.patch_embed", "vision_encoder.pos_embed"

    @property
    def blocks_path(self) -> str:
        """Path of the image encoder's blocks."""
        return "vision_encoder.layers"

    @property
    def tail(self) -> str:
        """Path of the neck behind the blocks, which features here do not pass."""
        return "vision_encoder.neck"

    @property
    def finish_path(self) -> None:
        """Nothing of the base runs behind the last block."""
        return None

    def default_taps(self) -> tuple[int, ...]:
        """After the blocks with global attention, and after the last."""
        return tuple(sorted({index + 1 for index in self.vision_config.global_attn_indexes} | {self.depth}))

    def embed(self, pixels: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """(tokens (B, h, w, D), no further inputs of blocks) of normalised pixels (B, 3, H, W)."""
        encoder: Any = self.model.vision_encoder
        tokens = encoder.patch_embed.projection(pixels).permute(0, 2, 3, 1)  # (B, h, w, D)
        if encoder.pos_embed is not None:
            tokens = tokens + resized(encoder.pos_embed, tokens.shape[1], tokens.shape[2])
        return tokens, {}

    def finish(self, tokens: Tensor) -> Tensor:
        """The tokens as they are."""
        return tokens

    def spatial(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """(B, D, h, w) of tokens (B, h, w, D)."""
        return tokens.permute(0, 3, 1, 2)  # (B, D, h, w)

    def neck(self, feature: Tensor) -> Tensor:
        """The last block's feature (B, D, h, w) to SAM's image embedding (B, 256, h, w)."""
        encoder: Any = self.model.vision_encoder
        return encoder.neck(feature.permute(0, 2, 3, 1))


def resized(positions: Tensor, height: int, width: int) -> Tensor:
    """Positions (1, h0, w0, D) at another grid; untouched at their own."""
    if positions.shape[1:3] == (height, width):
        return positions
    channels_first = positions.permute(0, 3, 1, 2)
    resized = F.interpolate(channels_first.float(), (height, width), mode="bicubic", align_corners=False)
    return resized.to(positions.dtype).permute(0, 2, 3, 1)  # (1, h, w, D)
