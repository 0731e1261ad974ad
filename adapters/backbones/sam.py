"""The SAM family: Segment Anything's image encoder, with the whole model kept around it.

Kirillov et al., https://arxiv.org/abs/2304.02643. `model` is the complete `SamModel`, so that an adapter's keys start
with `vision_encoder` and plain peft loads them into it. transformers runs one image size only; here the absolute
positions are interpolated to any other (bicubic), the relative ones interpolate by themselves and windows are padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, SamModel

from adapters.backbones.backbone import EMBEDDING_STD, Backbone
from adapters.backbones.learning_attention import attend

OF_MASK_DECODER = {
    "q": (".q_proj",),
    "k": (".k_proj",),
    "v": (".v_proj",),
    "qkv": (".q_proj", ".k_proj", ".v_proj"),
    "out": (".out_proj",),
    "mlp_in": (".mlp.lin1",),
    "mlp_out": (".mlp.lin2",),
}
"""Role -> how names of the mask decoder's layers end."""


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
    tokens_ndim = 4
    of_prompts: Sequence[str] = ()
    norms_of_prompts: Sequence[str] = ()
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

    def answer_prompts(self, answering: bool) -> None:
        """Let the mask decoder and the prompt encoder be a part of the base, or no longer; of a bare base."""
        self.answering = ("prompt_encoder", "mask_decoder", "shared_image_embedding") if answering else ()
        self.base_names = self.names_of_base()
        modules = [(name, module) for name, module in self.model.named_modules() if name.startswith("mask_decoder.")]
        self.of_prompts = [name for name, module in modules if answering and isinstance(module, nn.Linear)]
        self.norms_of_prompts = [name for name, module in modules if answering and isinstance(module, nn.LayerNorm)]

    def prompt_targets(self, roles: Sequence[str]) -> list[str]:
        """Of the mask decoder's two-way layers those with these roles, and all that make masks and predicted IoUs of
        tokens; of no role at all the layer norms.
        """
        if not roles:
            return [*self.norms_of_prompts]
        ends = tuple(end for role, ends in OF_MASK_DECODER.items() if role in roles for end in ends)
        two_way = "mask_decoder.transformer."
        return [name for name in self.of_prompts if name.endswith(ends) or not name.startswith(two_way)]

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

    def through(self, block: nn.Module, tokens: Tensor, **context: Any) -> Tensor:
        """Tokens (B, h, w, D) through a block: on a processor in fewer steps, which exporters cannot follow."""
        if tokens.device.type != "cpu" or torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None:
            return block(tokens)
        layer: Any = block
        tokens = tokens + attended(layer.attn, in_autocast(layer.layer_norm1(tokens)), layer.window_size)
        return tokens + layer.mlp(in_autocast(layer.layer_norm2(tokens)))

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


def in_autocast(tokens: Tensor) -> Tensor:
    """Tokens in the precision that several layers would each bring them to."""
    return tokens.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else tokens


def attended(attention: Any, tokens: Tensor, window: int) -> Tensor:
    """(B, h, w, D) of normalised tokens (B, h, w, D) after attention in windows of a side, 0 for the whole image.

    transformers pads tokens to whole windows, then projects them all: at 512 px 1.7 times as many as there are. What
    lies outside is zero before its projection, and so the same everywhere: here it is projected once.
    """
    height, width, dim = tokens.shape[1:]
    projected = attention.qkv(tokens)  # (B, h, w, 3 D)
    rows, columns = (window, window) if window else (height, width)
    down, right = -height % rows, -width % columns
    if down or right:
        outside = attention.qkv(tokens.new_zeros(1, 1, 1, dim)).to(projected.dtype)
        projected = torch.cat([projected, outside.expand(*projected.shape[:2], right, -1)], 2)
        projected = torch.cat([projected, outside.expand(len(tokens), down, projected.shape[2], -1)], 1)
    windows = projected.unflatten(3, (3, attention.num_attention_heads, -1))
    windows = windows.unflatten(2, (-1, columns)).unflatten(1, (-1, rows))  # (B, down, rows, across, columns, 3, H, d)
    heads = windows.permute((5, 0, 1, 3, 6, 2, 4, 7))  # (3, B, down, across, H, rows, columns, d)
    query, key, value = heads.flatten(1, 4).contiguous()  # (N, rows, columns, d) each
    mixed = attend(*positioned(attention, query, key), value.flatten(1, 2))
    mixed = mixed.view(heads.shape[1:]).permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4).flatten(1, 2)
    # contiguous: a linear layer of torch 2.13 copies its weights for every row of images that are not
    return attention.proj(mixed[:, :height, :width].contiguous())


def positioned(attention: Any, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """(N, rows columns, e) of queries and keys (N, rows, columns, d), whose products are scaled and know their places.

    The score of a query's relative position to each row and column is added to the product by further entries: the
    query has those scores there, the key a 1 at its own row and its own column.
    """
    scaled, (rows, columns) = query * attention.scale, query.shape[1:3]
    if not attention.use_rel_pos:
        return scaled.flatten(1, 2), key.flatten(1, 2)
    down = attention.get_rel_pos(rows, rows, attention.rel_pos_h).to(query.dtype)  # (rows, rows, d)
    across = attention.get_rel_pos(columns, columns, attention.rel_pos_w).to(query.dtype)
    of_rows = torch.einsum("nhwd,hkd->nhwk", query, down)
    of_columns = torch.einsum("nhwd,wkd->nhwk", query, across)
    own_row = torch.eye(rows, dtype=key.dtype)[:, None].expand(rows, columns, rows)
    own_column = torch.eye(columns, dtype=key.dtype).expand(rows, columns, columns)
    own = torch.cat([own_row, own_column], 2).expand(len(key), -1, -1, -1)
    return torch.cat([scaled, of_rows, of_columns], 3).flatten(1, 2), torch.cat([key, own], 3).flatten(1, 2)


def resized(positions: Tensor, height: int, width: int) -> Tensor:
    """Positions (1, h0, w0, D) at another grid; untouched at their own."""
    if positions.shape[1:3] == (height, width):
        return positions
    channels_first = positions.permute(0, 3, 1, 2)
    resized = F.interpolate(channels_first.float(), (height, width), mode="bicubic", align_corners=False)
    return resized.to(positions.dtype).permute(0, 2, 3, 1)  # (1, h, w, D)
