"""The DINOv2 family: DINOv2, DINOv2 with registers, DINOv3's ViTs, and plain ViTs of transformers.

DINOv2: Oquab et al., https://arxiv.org/abs/2304.07193; registers: Darcet et al., https://arxiv.org/abs/2309.16588;
DINOv3: Siméoni et al., https://arxiv.org/abs/2508.10104. Positions are interpolated (DINOv3: rotary) by the
transformers models themselves, so features equal theirs at every size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from transformers import Dinov2Model, Dinov2WithRegistersModel, DINOv3ViTModel, PreTrainedModel, ViTModel

from adapters.backbones.backbone import EMBEDDING_STD, Backbone


@dataclass(frozen=True)
class Layout:
    """Where a model keeps what we run."""

    model: type[PreTrainedModel]
    blocks: str
    norm: str


LAYOUTS = {
    "dinov2": Layout(Dinov2Model, "encoder.layer", "layernorm"),
    "dinov2_with_registers": Layout(Dinov2WithRegistersModel, "encoder.layer", "layernorm"),
    "dinov3_vit": Layout(DINOv3ViTModel, "model.layer", "norm"),
    "vit": Layout(ViTModel, "layers", "layernorm"),
}


class Dinov2Backbone(Backbone):
    """Class and register tokens stand first in the sequence and are dropped from the features."""

    family = "dinov2"
    roles: ClassVar = {
        "q": ("attention.q_proj",),
        "k": ("attention.k_proj",),
        "v": ("attention.v_proj",),
        "qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
        "out": ("attention.o_proj",),
        "mlp_in": ("mlp.fc1", "mlp.gate_proj", "mlp.up_proj"),
        "mlp_out": ("mlp.fc2", "mlp.down_proj"),
    }
    default_roles = ("q", "k", "v", "out", "mlp_in", "mlp_out")

    @classmethod
    def architecture(cls, config: Any) -> type[PreTrainedModel]:
        """The transformers class of a configuration."""
        return LAYOUTS[config.model_type].model

    @classmethod
    def randomised(cls, config: Any) -> PreTrainedModel:
        """A model with random weights through which a signal passes."""
        config.initializer_range = EMBEDDING_STD
        config.layerscale_value = 1.0  # DINOv2 starts at 1e-5, where every block is the identity
        return cls.architecture(config)(config)

    @property
    def stem(self) -> tuple[str, ...]:
        """Paths of what makes tokens of pixels."""
        # without `mask_token`, which only pretraining uses
        names = ("cls_token", "register_tokens", "position_embeddings", "patch_embeddings")
        return tuple(f"embeddings.{name}" for name in names)

    @property
    def blocks_path(self) -> str:
        """Path of the transformer blocks, which differs by generation."""
        return LAYOUTS[self.model.config.model_type].blocks

    @property
    def tail(self) -> str:
        """Path of the norm behind the last block."""
        return LAYOUTS[self.model.config.model_type].norm

    def embed(self, pixels: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """(tokens (B, T, D), what each block takes beside them) of normalised pixels (B, 3, H, W)."""
        model: Any = self.model
        match model.config.model_type:
            case "dinov3_vit":
                return model.embeddings(pixels), {"position_embeddings": model.rope_embeddings(pixels)}
            case "vit":
                return model.embeddings(pixels, interpolate_pos_encoding=True), {}
            case _:
                return model.embeddings(pixels), {}

    def finish(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, D) of the last block through the norm."""
        return self.model.get_submodule(self.tail)(tokens)

    def spatial(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """(B, D, h, w) of tokens (B, T, D), whose last h w are those of patches."""
        patches = tokens[:, -height * width :]  # (B, h w, D)
        return patches.transpose(1, 2).unflatten(2, (height, width))  # (B, D, h, w)
