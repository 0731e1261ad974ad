"""SAM's mask decoder for many prompts on one image: the same numbers as `SamMaskDecoder`, in half of its arithmetic.

Kirillov et al., https://arxiv.org/abs/2304.02643: two layers in which tokens attend to the image and the image to
tokens, then upscaled features times what became of the mask tokens. Three things are the same and cost less:

* The image is the same for all prompts until it has attended to their tokens: its projections are made once.
* A prompt has some seven tokens, an image 4,096. Where the image would be projected for a few tokens to attend to it,
  the tokens are taken through the transposed projection instead: (q W) x in place of q (W x).
* A transposed convolution whose stride is its kernel is one product of matrices, whose result stays channels-last.

Masks are made only of prompts of which one has the predicted IoU that is asked for: it is known before they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SINGLE, SEVERAL = slice(0, 1), slice(1, None)
"""Of the mask tokens: that of the single mask, and those of the three."""


Affine = dict[nn.Module, tuple[Tensor, Tensor]]
"""What `affine` gives of layers, by layer."""


class Decoded(NamedTuple):
    """Masks of a batch of prompts. prompts, levels: (M,) of which prompt, and which of its masks, 0 to 2, the first
    three of a prompt, or 0 for the single one. logits: (M, 4 h, 4 w); ious: (M,) as predicted.
    """

    prompts: Tensor
    levels: Tensor
    logits: Tensor
    ious: Tensor


class Heads(NamedTuple):
    """The projection of one of an attention's inputs or outputs, by heads. weight: (heads, d, C); bias: (heads, d)."""

    weight: Tensor
    bias: Tensor

    def split(self, x: Tensor) -> Tensor:
        """(P, heads, t, d) of x (P, t, C)."""
        return torch.einsum("ptc,hdc->phtd", x, self.weight) + self.bias[:, None]


def affine(layer: Any) -> tuple[Tensor, Tensor]:
    """(weight (D, C), bias (D,)) of a linear layer, or of one beside which a method has put what learns: whatever that
    is, it is affine, so the origin and the unit vectors say all of it.
    """
    if type(layer) is nn.Linear:
        return layer.weight, layer.bias
    base = layer.get_base_layer().weight
    places = torch.cat(
        [base.new_zeros(1, base.shape[1]), torch.eye(base.shape[1], dtype=base.dtype, device=base.device)]
    )
    bias, *_ = values = layer(places)
    return (values[1:] - bias).mT, bias


class TwoWay:
    """The decoder on one image's embedding.

    decoder: `SamMaskDecoder`; embedding: (1, C, h, w) of the image; positions: (1, C, h, w) of its cells; dense: (C,)
    what a prompt without a mask adds to each cell; details: what else is seen of the image, (1, C / 4, 2 h, 2 w) and
    (1, C / 8, 4 h, 4 w), which SAM has not: each joins the upscaled features of its size; layers: what is known
    of the decoder's layers, and becomes so, where images share it.
    """

    def __init__(
        self,
        decoder: nn.Module,
        embedding: Tensor,
        positions: Tensor,
        dense: Tensor,
        details: Sequence[Tensor] = (),
        layers: Affine | None = None,
    ) -> None:
        self.decoder: Any = decoder
        self.layers: Affine = {} if layers is None else layers
        self.grid = embedding.shape[-2:]
        self.places = positions[0].flatten(1).mT.contiguous()  # (T, C)
        self.image = (embedding[0].flatten(1) + dense[:, None]).mT.contiguous()  # (T, C)
        layer = self.decoder.transformer.layers[0]
        to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        heads, placed = to_image.num_attention_heads, (self.image + self.places)[None]
        self.keys = self.heads(to_image.k_proj, heads).split(placed)[0]  # (heads, T, d)
        self.values = self.heads(to_image.v_proj, heads).split(self.image[None])[0]  # (heads, T, d)
        self.queries = self.heads(to_tokens.q_proj, heads).split(placed)[0]  # (heads, T, d)
        self.details = [by_cells(detail[0], self.grid) for detail in details]

    def affine(self, layer: nn.Module) -> tuple[Tensor, Tensor]:
        """What a layer is, worked out once for all images that share `layers`."""
        if layer not in self.layers:
            self.layers[layer] = affine(layer)
        return self.layers[layer]

    def heads(self, layer: nn.Module, count: int) -> Heads:
        """A layer to queries, keys or values, by heads."""
        return Heads(*(head.unflatten(0, (count, -1)) for head in self.affine(layer)))

    def __call__(self, sparse: Tensor, several: bool = True, least_iou: float = float("-inf")) -> Decoded:
        """The masks of prompts (P, n, C), each of n tokens: three each, or one, those above the least predicted IoU."""
        tokens, image = self.answered(sparse)
        chosen = SEVERAL if several else SINGLE
        ious = self.decoder.iou_prediction_head(tokens[:, 0])[:, chosen]  # (P, K)
        prompts, levels = (ious > least_iou).nonzero(as_tuple=True)
        promising, row = torch.unique(prompts, return_inverse=True)
        logits = self.masks(tokens[promising, 1:][:, chosen], image[promising], chosen)
        return Decoded(prompts, levels, logits[row, levels], ious[prompts, levels])

    def all_masks(self, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (P, 4, 4 h, 4 w) and predicted IoUs (P, 4) of prompts (P, n, C): the single mask, then the three."""
        tokens, image = self.answered(sparse)
        return self.masks(tokens[:, 1:], image, slice(None)), self.decoder.iou_prediction_head(tokens[:, 0])

    def answered(self, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """What became of the IoU token and the four mask tokens (P, 5, C), and of the image (P, T, C), of prompts
        (P, n, C).
        """
        outputs = torch.cat([self.decoder.iou_token.weight, self.decoder.mask_tokens.weight])  # (5, C)
        tokens, image = self.attended(torch.cat([outputs.expand(len(sparse), -1, -1), sparse], 1))
        return tokens[:, : len(outputs)], image

    def attended(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (P, t, C) and the image (P, T, C) of each prompt after the layers, of tokens (P, t, C)."""
        tokens, image, transformer = points, self.image[None], self.decoder.transformer
        for number, layer in enumerate(transformer.layers):
            placed = None if number == 0 else image + self.places
            tokens = layer.layer_norm1(self_attended(layer, tokens, points))
            attention, query = layer.cross_attn_token_to_image, tokens + points
            if placed is None:
                mixed = self.shared_attention(attention, query)
            else:
                mixed = self.folded(attention, query, placed, image)
            tokens = layer.layer_norm2(tokens + mixed)
            tokens = layer.layer_norm3(tokens + layer.mlp(tokens))
            attention, key = layer.cross_attn_image_to_token, tokens + points
            image = layer.layer_norm4(self.to_tokens(attention, key, tokens, image, placed))
        mixed = self.folded(transformer.final_attn_token_to_image, tokens + points, image + self.places, image)
        return transformer.layer_norm_final_attn(tokens + mixed), image

    def shared_attention(self, attention: Any, query: Tensor) -> Tensor:
        """(P, t, C) of tokens that attend to the image before it has seen any prompt."""
        heads = self.heads(attention.q_proj, attention.num_attention_heads).split(query)  # (P, heads, t, d)
        rows = heads.transpose(0, 1).flatten(1, 2) * attention.scaling  # (heads, P t, d)
        mixed = (rows @ self.keys.mT).softmax(-1) @ self.values  # (heads, P t, d)
        mixed = mixed.unflatten(1, heads.shape[0:3:2])  # (heads, P, t, d)
        return attention.out_proj(mixed.permute(1, 2, 0, 3).flatten(2))

    def to_tokens(self, attention: Any, key: Tensor, value: Tensor, image: Tensor, placed: Tensor | None) -> Tensor:
        """The image (P, T, C) plus what its cells find at the tokens. placed: the image with its positions; None before
        it has seen any prompt.
        """
        count = attention.num_attention_heads
        keys = self.heads(attention.k_proj, count).split(key) * attention.scaling  # (P, heads, t, d)
        values = self.heads(attention.v_proj, count).split(value)
        query = self.heads(attention.q_proj, count)
        if placed is None:
            scores = keys @ self.queries.mT  # (P, heads, t, T)
        else:
            rows = torch.einsum("phtd,hdc->phtc", keys, query.weight).flatten(1, 2)  # (P, heads t, C)
            scores = (rows @ placed.mT).unflatten(1, keys.shape[1:3])
            scores = scores + torch.einsum("phtd,hd->pht", keys, query.bias)[..., None]
        shares = scores.softmax(2).flatten(1, 2)  # (P, heads t, T): of each cell over the tokens, by heads
        weight, bias = self.affine(attention.out_proj)
        back = weight.unflatten(1, (count, -1))  # (C, heads, d)
        answers = torch.einsum("phtd,chd->phtc", values, back).flatten(1, 2)  # (P, heads t, C)
        base = (image + bias).expand(len(key), -1, -1)
        return torch.baddbmm(base, shares.mT, answers)

    def folded(self, attention: Any, query: Tensor, placed: Tensor, image: Tensor) -> Tensor:
        """(P, t, C) of queries (P, t, C) that attend to the image (P, T, C); keys are of it with its positions.

        The bias of the keys adds the same to all scores of a query, and so nothing; that of the values adds itself.
        """
        count = attention.num_attention_heads
        queries = self.heads(attention.q_proj, count).split(query) * attention.scaling  # (P, heads, t, d)
        keys, values = self.heads(attention.k_proj, count), self.heads(attention.v_proj, count)
        rows = torch.einsum("phtd,hdc->phtc", queries, keys.weight).flatten(1, 2)  # (P, heads t, C)
        mixed = ((rows @ placed.mT).softmax(-1) @ image).unflatten(1, queries.shape[1:3])  # (P, heads, t, C)
        heads = torch.einsum("phtc,hdc->phtd", mixed, values.weight) + values.bias[:, None]
        return attention.out_proj(heads.transpose(1, 2).flatten(2))

    def masks(self, tokens: Tensor, image: Tensor, chosen: slice) -> Tensor:
        """Logits (P, K, 4 h, 4 w) of those mask tokens (P, K, C) on the image (P, T, C)."""
        decoder = self.decoder
        mlps = list(decoder.output_hypernetworks_mlps)[chosen]
        weights = torch.stack([mlp(tokens[:, k]) for k, mlp in enumerate(mlps)], 2)  # (P, c, K)
        x = doubled(decoder.upscale_conv1, image)  # (P, T, 4, C / 4)
        coarse, fine = self.details or (None, None)
        x = x if coarse is None else x + coarse
        norm = decoder.upscale_layer_norm
        x = F.gelu(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
        x = doubled(decoder.upscale_conv2, x.flatten(1, 2))  # (P, 4 T, 4, C / 8)
        x = F.gelu(x if fine is None else x + fine)
        logits = x.flatten(1, 2) @ weights  # (P, 16 T, K)
        height, width = self.grid
        x = logits.view((-1, height, width, 2, 2, 2, 2, len(mlps)))
        return x.permute((0, 7, 1, 3, 5, 2, 4, 6)).reshape(len(tokens), len(mlps), 4 * height, 4 * width)


def self_attended(layer: Any, tokens: Tensor, points: Tensor) -> Tensor:
    """(P, t, C) of tokens among themselves, by the layer's own attention, which wants one more axis."""
    if layer.skip_first_layer_pe:
        return layer.self_attn(query=tokens[None], key=tokens[None], value=tokens[None])[0][0]
    query = (tokens + points)[None]
    return tokens + layer.self_attn(query=query, key=query, value=tokens[None])[0][0]


def doubled(convolution: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """(P, T, 4, D) of cells x (P, T, C): the four cells, row by row, that a transposed convolution makes of each."""
    weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)  # (C, 4 D)
    bias = convolution.bias
    assert bias is not None and tuple(convolution.kernel_size) == tuple(convolution.stride) == (2, 2)
    return torch.addmm(bias.repeat(4), x.flatten(0, 1), weight).view(*x.shape[:2], 4, len(bias))


def by_cells(detail: Tensor, grid: Sequence[int]) -> Tensor:
    """A map (D, k h, k w), k a power of 2, in the order in which cells are upscaled: (T, 4, D) for k = 2, (4 T, 4, D)
    for 4.
    """
    height, width = grid
    doublings = (detail.shape[-1] // width).bit_length() - 1
    x = detail.view(len(detail), height, *[2] * doublings, width, *[2] * doublings)
    halves = range(2, 2 + doublings)
    order = [1, 2 + doublings, *[axis for row in halves for axis in (row, row + doublings + 1)], 0]
    return x.permute(order).reshape(-1, 4, len(detail))
