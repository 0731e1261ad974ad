"""A memory decoder: slots that follow entities through the frames of a clip, after EntitySAM and VidEoMT, in small.

EntitySAM (Ye et al., CVPR 2025) gives SAM 2 a slot for each entity, no prompts, and attention between slots; VidEoMT
carries queries from frame to frame. Here both stand on the embedded base, which stays as it is, and on what its prompt
decoder sees of a frame: in each layer slots attend to each other, to their own memories (a ring of pooled looks), and
to the frame, where they expect themselves. Departures:

* No fixed number of slots: what the dense decoder proposes and no slot claims opens a new one (`adapters.tracking.
  slot_tracker`), so none is lost for want of a slot, and late entities are scored as early ones are.
* Nothing is absolute: a slot sees places in its own radii from where it expects itself, and itself as one of a set. A
  clip moved or slots in another order come to the same.
* A slot begins as a classical tracker: its mask is what lies where it would have moved to and looks like it; what is
  learnt is added to that.
* Beside masks there are pairs: how sure a slot is that a proposal is its entity, or its daughter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.decoders.slots import LIKE, NEVER, STRIDE, Look, Slots, shapes
from adapters.options.memory_decoder import MemoryOptions

EMBEDDED = 32
"""Channels of the pixel embedding."""
PAIR = 14
"""Numbers that say how a slot and a proposal go together: see `MemoryDecoder.compared`."""


@dataclass(frozen=True)
class Proposed:
    """M proposals of a frame. shares: (M, h, w); pooled: (M, D) what is seen in them; placed: (M, 7) `shapes`."""

    shares: Tensor
    pooled: Tensor
    placed: Tensor

    @classmethod
    def of(cls, look: Look, shares: Tensor) -> Proposed:
        """Proposals of masks (M, h, w), shares of cells of stride 4."""
        return cls(shares, look.pooled(shares), shapes(shares))


@dataclass(frozen=True)
class Answer:
    """What slots say of a frame. tokens: (N, C) carried on; masks: (N, h, w) logits at stride 4; exists: (N,) logits of
    being visible; pairs: (N + 1, M + 1) logits of slot and proposal, the last row of a proposal that is nobody's, the
    last column of a slot that has none; daughters: (N, M) logits of a slot having divided into a proposal.
    """

    tokens: Tensor
    masks: Tensor
    exists: Tensor
    pairs: Tensor
    daughters: Tensor


class MemoryDecoder(nn.Module):
    """Answers for slots on a frame. cells, pixels: channels of a `Look`."""

    def __init__(self, options: MemoryOptions, cells: int, pixels: int) -> None:
        super().__init__()
        self.options = options
        self.colours = slice(pixels - 3, pixels)  # among what is pooled
        width = options.width
        pooled = cells + pixels
        self.cells = nn.Linear(cells, width)
        self.pooled = nn.Linear(pooled, width)
        self.shape = nn.Linear(RELATIVE, width)
        self.carried = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.layers = nn.ModuleList(Layer(width, options.heads) for _ in range(options.layers))
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Sequential(
            nn.Conv2d(pixels, EMBEDDED, 1), nn.GELU(), nn.Conv2d(EMBEDDED, EMBEDDED, 3, padding=1)
        )
        self.mask = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, EMBEDDED))
        self.mixing = nn.Linear(width, 4)
        self.exists = nn.Sequential(nn.Linear(width + 4, width), nn.GELU(), nn.Linear(width, 1))
        self.slot_key, self.proposal_key = nn.Linear(width, width), nn.Linear(width, width)
        self.pair = nn.Sequential(nn.Linear(PAIR, 32), nn.GELU(), nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 2))
        self.plain = nn.Linear(PAIR, 1, bias=False)
        self.nobody = nn.Sequential(nn.Linear(width + 3, 32), nn.GELU(), nn.Linear(32, 1))
        self.nothing = nn.Linear(width + 1, 1)
        self.begin()

    @torch.no_grad()
    def begin(self) -> None:
        """What is learnt begins at 0, beside what a classical tracker would say."""
        mask, carried, pair, nobody = (
            cast(nn.Linear, layers[-1]) for layers in (self.mask, self.carried, self.pair, self.nobody)
        )
        for layer in (self.mixing, mask, carried, self.nothing):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.mixing.bias.copy_(torch.tensor([3.0, 6.0, 1.0, -2.0]))  # overlap, likeness, nearness, threshold
        pair.weight[0] *= 0.1
        pair.bias.copy_(torch.tensor([0.0, -4.0]))  # few divide
        nn.init.zeros_(self.plain.weight)
        for column, weight in ((0, 3.0), (3, 4.0), (6, 4.0), (9, -1.0)):  # overlaps, likeness, distance
            self.plain.weight[0, column] = weight
        for layer in (nobody, self.nothing):
            layer.bias.fill_(4.0)
        nn.init.normal_(mask.weight, std=0.02)
        nn.init.normal_(self.proposal_key.weight, std=0.02)

    def forward(self, look: Look, slots: Slots, frame: float, proposed: Proposed) -> Answer:
        """What slots say of a frame and of its proposals."""
        where = Expected.of(slots, frame, look)
        frame_tokens = self.cells(look.cells.flatten(1).mT)  # (T, C)
        memory = self.memory(slots, frame)  # (N, R, C)
        hidden = slots.seen == NEVER  # (N, R)
        x = memory[:, -1] + self.carried(slots.tokens)
        for layer in self.layers:
            x = layer(x, memory, hidden, frame_tokens, where)
        x = self.norm(x)
        masks = self.masks(look, slots, where, x)
        exists = self.exists(torch.cat([x, evidence(masks, slots.missed(frame))], 1))[:, 0]
        pairs, daughters = self.pairs(look, slots, where, x, masks, proposed, exists)
        return Answer(x, masks, exists, pairs, daughters)

    def memory(self, slots: Slots, frame: float) -> Tensor:
        """(N, R, C) tokens of rings."""
        return self.pooled(slots.ring) + self.shape(relative(slots, frame))

    def masks(self, look: Look, slots: Slots, where: Expected, x: Tensor) -> Tensor:
        """(N, h, w) logits: what lies where the slot would be and looks like it, and what is learnt."""
        embedded = self.pixels(look.pixels[None])[0]  # (E, h, w)
        learnt = torch.einsum("ne,ehw->nhw", self.mask(x), embedded)
        remembered = slots.ring[:, -1, :LIKE]
        alike = torch.einsum("nd,dhw->nhw", F.normalize(remembered, dim=1), look.pixels[:LIKE])
        overlap, like, near, threshold = self.mixing(x).unbind(1)
        terms = (overlap, where.overlap), (like, alike - 0.5), (near, where.near)
        logits = sum((weight[:, None, None] * term for weight, term in terms), learnt)
        return (logits + threshold[:, None, None]).clamp(-30, 30)

    def pairs(
        self, look: Look, slots: Slots, where: Expected, x: Tensor, masks: Tensor, proposed: Proposed, exists: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (N + 1, M + 1) of pairs, and (N, M) of daughters."""
        scores = masks.sigmoid()
        compared = self.compared(slots, where, scores, proposed)  # (N, M, PAIR)
        logits, daughters = self.pair(compared).unbind(2)
        tokens = self.pooled(proposed.pooled)
        logits = logits + self.plain(compared)[..., 0]
        logits = logits + self.slot_key(x) @ self.proposal_key(tokens).mT / x.shape[1] ** 0.5
        claimed = (scores.flatten(1) @ proposed.shares.flatten(1).mT) / proposed.shares.sum((1, 2)).clamp_min(1e-4)
        covered = claimed.amax(0) if len(slots) else claimed.new_zeros(claimed.shape[1])
        size = proposed.placed[:, 5].clamp_min(1).log() / 5
        nobody = self.nobody(torch.cat([tokens, covered[:, None], size[:, None], proposed.placed[:, 6:]], 1))  # (M, 1)
        absent = self.nothing(torch.cat([x, exists[:, None]], 1))  # (N, 1)
        upper = torch.cat([logits, absent], 1)
        lower = F.pad(nobody.mT, (0, 1))
        return torch.cat([upper, lower]), daughters

    def compared(self, slots: Slots, where: Expected, scores: Tensor, proposed: Proposed) -> Tensor:
        """(N, M, 14) of slots and proposals: overlaps of the moved mask and of the slot's own, as shares of the union,
        the slot and the proposal; likeness now and at its best in memory; colours; distance in radii; area; shape; how
        long unseen.
        """
        shares = proposed.shares.flatten(1)
        area = shares.sum(1)
        columns = []
        for mask in (where.overlap.flatten(1), scores.flatten(1)):
            shared, extent = mask @ shares.mT, mask.sum(1, keepdim=True)
            columns += [shared / (extent + area - shared).clamp_min(1e-3), shared / extent.clamp_min(1e-3)]
            columns.append(shared / area.clamp_min(1e-3))
        ring, unseen = slots.ring, (slots.seen == NEVER)
        likes = F.normalize(ring[..., :LIKE], dim=2) @ F.normalize(proposed.pooled[:, :LIKE], dim=1).mT  # (N, R, M)
        columns += [likes[:, -1], likes.masked_fill(unseen[..., None], -1).amax(1)]
        colours = self.colours
        columns.append(3 * (ring[:, -1, None, colours] - proposed.pooled[None, :, colours]).abs().mean(2))
        old, new = slots.placed[:, -1, None], proposed.placed[None]
        reach = (slots.radius()[:, None] + (new[..., 5] / torch.pi).sqrt()) / 2
        away = (where.middle[:, None] - new[..., :2]).square().sum(2).sqrt() / reach
        columns += [away.clamp_max(8) / 2, (old[..., 5] / new[..., 5].clamp_min(1)).clamp(0.05, 20).log()]
        columns.append((old[..., 2:4] / new[..., 2:4]).clamp(0.05, 20).log().abs().sum(2) / 2)
        columns += [
            where.missed[:, None].clamp_min(0.25).log().expand_as(away),
            new[..., 6].clamp_max(4).expand_as(away),
        ]
        return torch.stack(columns, 2)


RELATIVE = 8
"""Numbers that say how one look of a slot's ring stands to where it is expected: see `relative`."""


def relative(slots: Slots, frame: float) -> Tensor:
    """(N, R, 8) of rings: way from there to where the slot is expected, in its radii; logs of variances and area;
    correlation; border; age.
    """
    placed = slots.placed
    way = (slots.expected(frame)[:, None] - placed[..., :2]) / slots.radius()[:, None, None]
    variances = placed[..., 2:4].clamp_min(1)
    correlation = placed[..., 4:5] / variances.prod(2, keepdim=True).sqrt()
    age = (frame - slots.seen).clamp(0, 64).float()[..., None]
    columns = [way.clamp(-4, 4) / 2, variances.log() / 5, correlation, placed[..., 5:6].clamp_min(1).log() / 5]
    return torch.cat([*columns, placed[..., 6:7].clamp_max(4), (1 + age).log() / 2], 2)


def evidence(masks: Tensor, missed: Tensor) -> Tensor:
    """(N, 4) of masks (N, h, w) logits: the highest logit, the mean of those above 0 and their area, and how long the
    slot is unseen."""
    flat = masks.flatten(1)
    inside = (flat > 0).float()
    area = inside.sum(1)
    mean = (flat * inside).sum(1) / area.clamp_min(1)
    return torch.stack([flat.amax(1) / 4, mean / 4, (1 + area).log() / 3, missed.clamp_min(0.25).log()], 1)


@dataclass(frozen=True)
class Expected:
    """Where slots expect themselves in a frame. middle: (N, 2) pixels; overlap: (N, h, w) the moved mask; near: (N, h,
    w) from 1 in the middle down to -6, in radii that grow while it is not seen; coarse: (N, 2, T) both on cells of
    stride 8; among: (N, N) how near slots are to each other; missed: (N,) frames.
    """

    middle: Tensor
    overlap: Tensor
    near: Tensor
    coarse: Tensor
    among: Tensor
    missed: Tensor

    @classmethod
    def of(cls, slots: Slots, frame: float, look: Look) -> Expected:
        """Of slots in a frame."""
        middle, radius, missed = slots.expected(frame), slots.radius(), slots.missed(frame)
        height, width = look.pixels.shape[-2:]
        y = STRIDE * (torch.arange(height, device=middle.device) + 0.5)
        x = STRIDE * (torch.arange(width, device=middle.device) + 0.5)
        away = (y - middle[:, :1]).square()[:, :, None] + (x - middle[:, 1:]).square()[:, None]  # (N, h, w)
        reach = radius * (1 + 0.25 * (missed - 1)).clamp_max(4)
        near = (1 - (away / reach[:, None, None].square()).sqrt()).clamp_min(-6)
        overlap = slots.moved(frame)
        coarse = F.avg_pool2d(torch.stack([overlap, near], 1), 2).flatten(2)
        gaps = (middle[:, None] - middle[None]).square().sum(2).sqrt()
        among = 1 - (gaps / (radius[:, None] + radius[None])).clamp_max(6)
        return cls(middle, overlap, near, coarse, among, missed)


class Layer(nn.Module):
    """Slots among themselves, with their memories, and with the frame; then a small MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.among, self.back, self.ahead = (Attention(width, heads) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.nearness = nn.Parameter(torch.linspace(0, 2, heads))
        self.place = nn.Parameter(torch.stack([torch.linspace(4, 0, heads), torch.linspace(1, 0.25, heads)], 1))

    def forward(self, x: Tensor, memory: Tensor, hidden: Tensor, frame: Tensor, where: Expected) -> Tensor:
        """(N, C) of slots (N, C), their memories (N, R, C), `hidden` (N, R) where there is none, and the frame (T,
        C)."""
        among, back, ahead, mlp = self.norms
        y = among(x)[None]
        x = x + self.among(y, y, self.nearness[:, None, None] * where.among)[0]
        unseen = torch.zeros(hidden.shape, device=x.device).masked_fill(hidden, float("-inf"))
        x = x + self.back(back(x)[:, None], memory, unseen[:, None, None])[:, 0]
        bias = torch.einsum("hk,nkt->hnt", self.place, where.coarse)
        x = x + self.ahead(ahead(x)[None], frame[None], bias)[0]
        return x + self.mlp(mlp(x))


class FittedMemory(NamedTuple):
    """A memory decoder that was fitted to the images of an adapter. dense, prompts: SHA-256 of the files of the base's
    decoders whose view of a frame it learnt with.
    """

    decoder: MemoryDecoder
    dense: str
    prompts: str


class Attention(nn.Module):
    """Attention of several heads, whose scores have a bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, context: Tensor, bias: Tensor) -> Tensor:
        """(B, n, C) of x (B, n, C) and a context (B, m, C); bias: broadcasts to (B, heads, n, m)."""
        query, key, value = (
            layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, x), (self.key, context), (self.value, context))
        )  # (B, heads, n, d)
        scores = query @ key.mT / query.shape[-1] ** 0.5 + bias
        return self.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
