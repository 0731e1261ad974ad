"""The query decoder: a set of queries, each of which becomes one entity or none, by masked attention.

After Mask2Former (Cheng et al., CVPR 2022, https://arxiv.org/abs/2112.01527): in each layer a query attends to the
features only where its own last mask lies, then to the other queries. The pyramid is several blocks of one frozen
ViT, as in PMT: layer after layer, from the deepest tap to the shallowest, and again.

Departures: mask features see positions, so that two entities that look alike can be told apart; tokens meet a light
stem on the image, so that masks are finer than a patch. Queries that start from the features at anchor points (Anchor
DETR) were tried and learned more slowly than these, which start from learned vectors alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.decoders.decoder import Decoder
from adapters.options import decoders as options
from adapters.proposals.painted import Painted
from adapters.proposals.proposals import Proposals


@dataclass(frozen=True)
class Query(options.Query):
    """Options of the query decoder, and the decoder that they build."""

    def build(self, backbone_dim: int, taps: int, stride: int) -> QueryDecoder:
        """The decoder on a backbone of that width and stride, of which it sees so many taps; its weights random."""
        return QueryDecoder(self, backbone_dim, taps)


class QueryDecoder(Decoder):
    """Masks, objectness and predicted IoU of Q queries.

    forward: features, one (B, D, h, w) per tap; images (B, 3, H, W) in [0, 1], H and W multiples of `mask_stride`
    -> {"mask_logits": (B, Q, H/s, W/s), "object_logits": (B, Q), "iou_logits": (B, Q),
        "auxiliary": one such mapping per earlier prediction, `layers` of them}.
    """

    def __init__(self, options: Query, backbone_dim: int, taps: int) -> None:
        super().__init__()
        self.options = options
        dim = options.dim
        self.projections = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(backbone_dim), nn.Linear(backbone_dim, dim)) for _ in range(taps)
        )
        self.mask_features = MaskFeatures(dim, options.mask_stride, options.detail_channels)
        self.content = nn.Parameter(torch.randn(options.queries, dim))
        self.places = nn.Parameter(torch.randn(options.queries, dim))
        self.layers = nn.ModuleList(QueryLayer(dim, options.heads) for _ in range(options.layers))
        self.norm = nn.LayerNorm(dim)
        self.to_mask = mlp(dim, dim, self.mask_features.channels)
        self.to_object = nn.Linear(dim, 1)
        self.to_iou = mlp(dim, dim, 1)
        nn.init.constant_(self.to_object.bias, -2.0)  # most queries are no entity: sigmoid(-2) = 0.12

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Any]:
        """`mask_logits` (B, Q, H/s, W/s), `object_logits` and `iou_logits` (B, Q) of the last layer, and a list
        `auxiliary` of the same for those before it. images: (B, 3, H, W) in [0, 1].
        """
        grid = features[0].shape[-2:]
        taps = zip(self.projections, features, strict=True)
        levels = [project(x.flatten(2).mT) for project, x in taps]  # (B, T, dim)
        cells = sine_positions(grid_points(grid, images.device), self.options.dim)  # (T, dim)
        maps = self.mask_features(torch.stack(levels).mean(0) + cells, grid, images)  # (B, C, H/s, W/s)
        queries = self.content.expand(len(images), -1, -1)  # (B, Q, dim)

        predictions = [self._predict(queries, maps)]
        for i, layer in enumerate(self.layers):
            tokens = levels[-1 - i % len(levels)]
            allowed = where_masked(predictions[-1]["mask_logits"], grid)  # (B, 1, Q, T)
            queries = layer(queries, self.places, tokens, cells, allowed)
            predictions.append(self._predict(queries, maps))
        return {**predictions[-1], "auxiliary": predictions[:-1]}

    def _predict(self, queries: Tensor, maps: Tensor) -> dict[str, Tensor]:
        queries = self.norm(queries)
        return {
            "mask_logits": torch.einsum("bqc,bchw->bqhw", self.to_mask(queries), maps),
            "object_logits": self.to_object(queries)[..., 0],
            "iou_logits": self.to_iou(queries)[..., 0],
        }

    @property
    def proposals(self) -> Proposals:
        """One map on which the queries' masks are painted."""
        return Painted(self.options)


class MaskFeatures(nn.Module):
    """Tokens (B, T, dim) of a grid and images (B, 3, H, W) -> (B, dim / 2, H / stride, W / stride)."""

    def __init__(self, dim: int, stride: int, detail_channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.channels = dim // 2
        self.tokens = nn.Linear(dim, self.channels)
        stages: list[nn.Module] = []
        # kernel 4, stride 2, padding 1: each output pixel is centred on the four that it stands for
        for stage in range(int(math.log2(stride)) if detail_channels else 0):
            stages += [nn.Conv2d(detail_channels if stage else 3, detail_channels, 4, 2, padding=1), nn.GELU()]
        self.stem = nn.Sequential(*stages) if stages else None
        self.join = nn.Sequential(
            nn.Conv2d(self.channels + detail_channels, self.channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(self.channels, self.channels, 1),
        )

    def forward(self, tokens: Tensor, grid: Sequence[int], images: Tensor) -> Tensor:
        """(B, C, H/s, W/s) of tokens (B, T, dim) on a grid (h, w) and images (B, 3, H, W) in [0, 1]."""
        size = (images.shape[-2] // self.stride, images.shape[-1] // self.stride)
        x = self.tokens(tokens).mT.unflatten(2, tuple(grid))  # (B, C, h, w)
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        if self.stem is not None:
            x = torch.cat([x, self.stem((images - 0.5) / 0.25).to(x.dtype)], 1)
        return self.join(x)


class QueryLayer(nn.Module):
    """Attention to the features under the query's mask, attention among queries, feed-forward; norms after each."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.to_features = Attention(dim, heads)
        self.to_queries = Attention(dim, heads)
        self.feed_forward = mlp(dim, 2 * dim, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))

    def forward(self, queries: Tensor, places: Tensor, tokens: Tensor, cells: Tensor, allowed: Tensor) -> Tensor:
        """queries (B, Q, dim) at places (Q, dim); tokens (B, T, dim) at cells (T, dim); allowed (B, 1, Q, T) bool."""
        after_features, after_queries, after_forward = self.norms
        queries = after_features(queries + self.to_features(queries + places, tokens + cells, tokens, allowed))
        queries = after_queries(queries + self.to_queries(queries + places, queries + places, queries))
        return after_forward(queries + self.feed_forward(queries))


class Attention(nn.Module):
    """Multi-head attention of (B, Q, dim) on keys and values (B, T, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None = None) -> Tensor:
        """(B, Q, dim) of queries (B, Q, dim), keys and values (B, T, dim). allowed: (B, 1, Q, T) bool."""
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, Q or T, dim / heads)
            for project, x in ((self.q, queries), (self.k, keys), (self.v, values))
        )
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.out(x.transpose(1, 2).flatten(2))  # (B, Q, dim)


def mlp(fan_in: int, hidden: int, fan_out: int) -> nn.Sequential:
    """Two linear layers with a GELU between them."""
    return nn.Sequential(nn.Linear(fan_in, hidden), nn.GELU(), nn.Linear(hidden, fan_out))


def where_masked(mask_logits: Tensor, grid: Sequence[int]) -> Tensor:
    """(B, 1, Q, T) bool: the cells that a query may attend to: those under its mask, or all if there are none.

    The rule for empty masks is Mask2Former's: a softmax over no key at all is NaN.
    """
    logits = F.interpolate(mask_logits.detach(), size=tuple(grid), mode="bilinear", align_corners=False)
    under = logits.flatten(2) > 0  # (B, Q, T)
    return (under | ~under.any(-1, keepdim=True)).unsqueeze(1)


def sine_positions(points: Tensor, dim: int) -> Tensor:
    """(N, dim) sine encoding of points (N, 2), y and x in [0, 1] of the image; DETR's, temperature 10,000."""
    frequencies = 10_000 ** (-torch.arange(dim // 4, device=points.device) / (dim // 4))  # (dim / 4,)
    angles = (points * 2 * math.pi)[..., None] * frequencies  # (N, 2, dim / 4)
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(1)


def grid_points(grid: Sequence[int], device: torch.device) -> Tensor:
    """(T, 2) centres of a grid's cells, y and x in [0, 1] of the image, row by row."""
    y, x = ((torch.arange(cells, device=device) + 0.5) / cells for cells in grid)
    return torch.cartesian_prod(y, x)
