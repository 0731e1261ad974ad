"""A prompt decoder for a base that is no SAM: points, boxes and a granularity to masks, on any image's own pixels.

transformers' `SamPromptEncoder` and `SamMaskDecoder` (Kirillov et al., https://arxiv.org/abs/2304.02643) in small, with
some departures:

* The image is what the base's general dense decoder makes of it on its way up, at stride 8 beside the base's own
  tokens. Its features at strides 4 and 2 join the mask decoder's upscaled ones, as in SAM 2: boundaries are finer than
  a patch. The dense decoder stays as it is, and is not stored twice.
* A point brings the image's features at its place along, beside its position; and what lies near a prompt, and looks
  like what it points at, is likely in its mask before the mask decoder has said anything (`near`).
* Granularity is one more token after UnSAMv2 (https://arxiv.org/abs/2511.13714): g in [0, 1] through Fourier features
  and a small MLP. With it the single mask answers; 0 is the whole, 1 the finest part, as everywhere in this house.

Nothing is resized: positions are in pixels, in a frame whose origin may lie anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import SamConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPromptEncoder

from adapters.decoders.dense import Dense, Residual, resize
from adapters.decoders.group_norm import GroupNorm
from adapters.decoders.near import Near, sampled
from adapters.decoders.prompt_batch import Origin, Prompted
from adapters.decoders.two_way import SEVERAL, SINGLE, Decoded, TwoWay
from adapters.options.prompts import PromptOptions

STRIDE = 8
FRAME_PX = 256
"""Pixels in which a position's Fourier features of frequency 1 turn twice."""
FREQUENCIES = (0.2, 2.5)
WAVES = 5
"""Frequencies of a granularity: half a turn, one, two, four and eight."""


class Seen(NamedTuple):
    """An image that was looked at. embedding: (1, C, h, w) at stride 8; details: as `TwoWay` takes them; features:
    (1, D, 4 h, 4 w) as `Near` has them; two_way: the mask decoder on it.
    """

    embedding: Tensor
    details: list[Tensor]
    features: Tensor
    two_way: TwoWay


class PromptDecoder(nn.Module):
    """Looks at an image once (`look`), then answers prompts (`tokens`, for the `TwoWay` of what it saw).

    dense: the options of the base's general dense decoder, whose `pyramid` it looks at.
    """

    def __init__(self, options: PromptOptions, backbone_dim: int, taps: int, dense: Dense) -> None:
        super().__init__()
        self.options = options
        width, full = options.width, dense.width
        config: Any = config_of(options)
        self.norms = nn.ModuleList(GroupNorm(1, dim) for dim in [backbone_dim] * taps + [8 * full])
        self.neck = nn.Sequential(
            nn.Conv2d(taps * backbone_dim + 8 * full, width, 1), Residual(width), GroupNorm(1, width)
        )
        sources = 2 if dense.detail else 1
        self.details = nn.ModuleList(
            nn.Sequential(GroupNorm(1, sources * dim), nn.Conv2d(sources * dim, width // share, 3, padding=1))
            for dim, share in ((4 * full, 4), (2 * full, 8))
        )
        self.encoder: Any = SamPromptEncoder(config)
        self.encoder.mask_embed = nn.Identity()  # masks are no prompts here
        self.decoder: Any = SamMaskDecoder(config.mask_decoder_config)
        self.here = nn.Linear(width + width // 8, width)
        self.granularity = nn.Sequential(
            nn.Linear(2 * WAVES, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.no_granularity = nn.Embedding(1, width)
        self.near = Near(width)
        self.begin()

    @torch.no_grad()
    def begin(self) -> None:
        """Random weights: positions of many scales, embeddings of 0.02 as transformers starts SAM's."""
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        for mlp in self.decoder.output_hypernetworks_mlps:
            mlp.proj_out.weight *= 0.1  # what is near and alike speaks first
            mlp.proj_out.bias *= 0.1
        positions = self.encoder.shared_embedding.positional_embedding
        low, high = (math.log(value) for value in FREQUENCIES)
        scales = torch.exp(torch.empty(positions.shape[1]).uniform_(low, high))
        positions.copy_(torch.randn(positions.shape) * scales)

    def look(self, taps: Sequence[Tensor], pyramid: Sequence[Tensor], origin: Origin = (0.0, 0.0)) -> Seen:
        """What prompts are answered from: of the base's features (1, D, h, w) of an image, and of the dense decoder's
        pyramid. origin: x and y in pixels that the image's corner has in the frame of positions.
        """
        embedding, details, features = self.described(taps, pyramid)
        places = self.places(embedding.shape[-2:], origin)
        dense = self.encoder.no_mask_embed.weight[0]
        return Seen(embedding, details, features, TwoWay(self.decoder, embedding, places, dense, details))

    def described(self, taps: Sequence[Tensor], pyramid: Sequence[Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
        """The embedding, details and features of `Seen`, of an image that nothing is asked of yet."""
        coarse, *finer = pyramid
        grid = coarse.shape[-2], coarse.shape[-1]
        levels = [norm(resize(level, grid)) for norm, level in zip(self.norms, [*taps, coarse], strict=True)]
        embedding = self.neck(torch.cat(levels, 1)).float()  # (1, C, h, w)
        details = [project(level).float() for project, level in zip(self.details, finer, strict=True)]
        return embedding, details, self.near.features(embedding, details)

    def places(self, grid: Sequence[int], origin: Origin) -> Tensor:
        """(1, C, h, w) positions of the cells of a grid."""
        device = self.here.weight.device
        y, x = (STRIDE * (torch.arange(side, device=device) + 0.5) for side in grid)
        centres = torch.stack(torch.meshgrid(x + origin[0], y + origin[1], indexing="xy"), -1)  # (h, w, 2)
        return self.encoder.shared_embedding(centres / FRAME_PX).permute(2, 0, 1)[None]

    def tokens(self, seen: Seen, prompts: Prompted, origin: Origin = (0.0, 0.0)) -> Tensor:
        """(P, t, C) of prompts on an image that was looked at from the same origin: two of a point or a box, one more
        of each further point, and that of the granularity, said or not.
        """
        placed = self.placed(seen, prompts, origin)
        return torch.cat([placed, self.granular(len(placed), prompts.granularity)], 1)

    def placed(self, seen: Seen, prompts: Prompted, origin: Origin) -> Tensor:
        """(P, n, C) of points and boxes alone."""
        corner = self.here.weight.new_tensor(origin)
        points, boxes = prompts.points, prompts.boxes
        labels = None if points is None else prompts.marks().inside
        placed = None if points is None else (points + corner)[None]
        cornered = None if boxes is None else (boxes + corner.repeat(2))[None]
        tokens = self.encoder(placed, None if labels is None else labels[None], cornered, None)[0][0]  # (P, t, C)
        if points is None:
            return tokens
        local = self.here(sampled_levels(seen, points))  # points come before all else
        return torch.cat([tokens[:, : points.shape[1]] + local, tokens[:, points.shape[1] :]], 1)

    def granular(self, count: int, granularity: Tensor | None) -> Tensor:
        """(P, 1, C) tokens of granularities (P,) in [0, 1], or of none, of `count` prompts."""
        if granularity is None:
            return self.no_granularity.weight.expand(count, 1, -1)
        return self.granularity(waves(granularity))[:, None]

    def near_logits(self, seen: Seen, prompts: Prompted, granularity: Tensor) -> Tensor:
        """(P, 4, 4 h, 4 w) of what lies near prompts and looks like it. granularity: (P, 1, C) their tokens of it."""
        marks = prompts.marks()
        points, weights = marks.looked_at()
        local = (sampled_levels(seen, points) * weights[..., None]).sum(1)  # (P, C + C / 8)
        return self.near(seen.features, marks, torch.cat([local, granularity[:, 0]], 1))

    def decoded(self, seen: Seen, prompts: Prompted, origin: Origin, several: bool, least_iou: float) -> Decoded:
        """Three masks of each prompt, or the single one, those above the least predicted IoU."""
        tokens = self.tokens(seen, prompts, origin)
        decoded = seen.two_way(tokens, several, least_iou)
        if not len(decoded.prompts):
            return decoded
        near = self.near_logits(seen, prompts, tokens[:, -1:])[:, SEVERAL if several else SINGLE]
        return decoded._replace(logits=decoded.logits + near[decoded.prompts, decoded.levels])


def sampled_levels(seen: Seen, points: Tensor) -> Tensor:
    """(P, n, C + C / 8) of an image at points (P, n, 2), of its cells and its finest detail."""
    return torch.cat([sampled(seen.embedding, points, STRIDE), sampled(seen.details[-1], points, STRIDE // 4)], 2)


def config_of(options: PromptOptions) -> SamConfig:
    """Of a prompt encoder and a mask decoder of that size; the image encoder's part says the positions alone."""
    width = options.width
    config: Any = SamConfig(
        vision_config={"hidden_size": width, "output_channels": width, "num_pos_feats": width // 2, "scale": 1.0},
        prompt_encoder_config={"hidden_size": width, "image_size": FRAME_PX, "patch_size": STRIDE},
        mask_decoder_config={
            "hidden_size": width,
            "mlp_dim": 2 * width,
            "num_hidden_layers": options.layers,
            "num_attention_heads": options.heads,
            "iou_head_hidden_dim": width,
        },
    )
    config.mask_decoder_config._attn_implementation = "eager"  # a few tokens attend to each other
    config.vision_config.num_pos_feats, config.vision_config.scale = width // 2, 1.0
    return config


def waves(granularity: Tensor) -> Tensor:
    """(P, 2 WAVES) Fourier features of granularities (P,) in [0, 1]."""
    turns = math.pi * granularity[:, None] * 2.0 ** torch.arange(WAVES, device=granularity.device)
    return torch.cat([turns.sin(), turns.cos()], 1)
