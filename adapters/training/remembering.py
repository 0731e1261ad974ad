"""Training of a memory decoder: slots follow the entities of a clip, and are told where these went.

A slot is born from a proposal, the dense decoder's or the truth's made as wrong as a decoder would be, and belongs to
the entity that this was of. In every further frame it answers, its answer is compared with where the entity is, and it
sees the proposal that is the entity's, if there is one: it learns with what it will get.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.decoders.pretrained_memory import Looking
from adapters.decoders.slot_decoder import Answer, MemoryDecoder, Proposed
from adapters.decoders.slots import Slots, shares_of
from adapters.losses.prompts import mask_costs
from adapters.training.clip_bank import ClipBatch, SeenClip
from adapters.training.module import EntityModule, TrainOptions
from adapters.training.proposed_wrongly import perturbed
from domains.entities import Place

TERMS = ("mask", "exists", "pair", "daughter")
LEAST_IOU = 0.3
"""From which on a proposal is that of an entity."""
LEAST_CELLS = 0.5
"""Of stride 4, which an entity covers where it counts as visible: 8 pixels."""
DENSE = 0.5
"""Share of clips whose proposals are the dense decoder's; of the others they are the truth's, made wrong."""
UNMATCHED, HIDDEN = 0.3, 0.25
"""Weights of proposals of no entity, and of masks of hidden ones."""


class MemorySegmenter(nn.Module):
    """What looks, as it is, and a memory decoder that learns."""

    projection = None

    def __init__(self, looking: Looking, decoder: MemoryDecoder) -> None:
        super().__init__()
        self.looking = looking
        self.decoder = decoder

    @property
    def backbone(self) -> nn.Module:
        """The frozen base."""
        return self.looking.backbone


class MemoryModule(EntityModule):
    """Fits the decoder of a `MemorySegmenter` to `ClipBatch`es; logs `TERMS`, whose sum is the loss."""

    def __init__(self, segmenter: MemorySegmenter, options: TrainOptions | None = None) -> None:
        super().__init__(cast(Any, segmenter), cast(Any, None), options)

    def terms(self, batch: Any) -> dict[str, Tensor]:
        """Mean costs over the slots and proposals of a batch of clips."""
        decoder = cast(MemorySegmenter, self.segmenter).decoder
        costs: dict[str, list[Tensor]] = {term: [] for term in TERMS}
        for clip in cast(ClipBatch, batch).clips:
            for frame_costs in Rehearsal(decoder, clip).costs():
                for term, cost in frame_costs.items():
                    costs[term].append(cost)
        zero = torch.stack([weights.sum() for weights in decoder.parameters()]).sum() * 0.0
        return {term: torch.stack(values).mean() if values else zero for term, values in costs.items()}

    def places(self, batch: Any) -> list[Place]:
        """Where the clips come from: the seeds of what is drawn of them."""
        return [Place(f"clip {clip.seed}") for clip in batch.clips]


class Rehearsal:
    """Slots and the truth of each on one clip. labels: (N,) track of each slot, 0 for none."""

    def __init__(self, decoder: MemoryDecoder, clip: SeenClip) -> None:
        self.decoder, self.clip = decoder, clip
        self.generator = torch.Generator().manual_seed(clip.seed)
        self.dense = self.chance(DENSE)
        options = decoder.options
        self.slots = Slots.empty(options.width, options.frames, clip.looks[0])
        self.labels = torch.zeros(0, dtype=torch.int64)

    def chance(self, share: float) -> bool:
        """Whether something of that probability happens."""
        return bool(torch.rand((), generator=self.generator) < share)

    def frames(self) -> list[int]:
        """The frames that are looked at, in order or backwards, with gaps."""
        options, count = self.decoder.options, len(self.clip.looks)
        gaps = torch.randint(0, options.most_gap + 1, (options.clip_frames - 1,), generator=self.generator) + 1
        steps = F.pad(gaps.cumsum(0), (1, 0))
        steps = steps[steps < count]
        start = int(torch.randint(0, count - int(steps[-1]), (), generator=self.generator))
        return (start + steps).tolist()

    def costs(self) -> list[dict[str, Tensor]]:
        """Of all frames but the first, in which slots are born."""
        costs = []
        for frame in self.frames():
            seen = Truth.of(self.clip, frame, self.proposals(frame))
            proposed = Proposed.of(self.clip.looks[frame], seen.shares)
            if len(self.slots):
                answer = self.decoder(self.clip.looks[frame], self.slots, frame, proposed)
                costs.append(frame_costs(answer, seen, self.labels, self.clip))
                self.slots = self.slots.with_tokens(answer.tokens)
            self.go_on(frame, seen, proposed)
        return costs

    def proposals(self, frame: int) -> Tensor:
        """(H, W) proposals of a frame."""
        if self.dense:
            return self.clip.proposals[frame]
        return perturbed(self.clip.ids[frame], self.generator)

    def go_on(self, frame: int, seen: Truth, proposed: Proposed) -> None:
        """Slots see the proposals of their entities; those of others open new ones."""
        pairs = (self.labels[:, None] == seen.tracks[None]) & (seen.tracks > 0)[None]  # (N, M)
        rows, columns = pairs.nonzero().unbind(1)
        self.slots = self.slots.observed(rows, frame, proposed.pooled[columns], proposed.shares[columns])
        open_to = ~pairs.any(0) & (proposed.shares.sum((1, 2)) > LEAST_CELLS)
        fragments = torch.rand(len(open_to), generator=self.generator) < UNMATCHED
        fresh = (open_to & ((seen.tracks > 0) | fragments)).nonzero()[:, 0]
        ids = torch.arange(len(fresh)) + len(self.slots) + 1
        self.slots = self.slots.joined(ids, frame, proposed.pooled[fresh], proposed.shares[fresh])
        self.labels = torch.cat([self.labels, seen.tracks[fresh]])


class Truth(NamedTuple):
    """A frame's proposals and truth at stride 4. shares: (M, h, w) of proposals; tracks: (M,) which each is of, 0 for
    none; entities: (K, h, w) of visible tracks, numbers: (K,).
    """

    shares: Tensor
    tracks: Tensor
    entities: Tensor
    numbers: Tensor

    @classmethod
    def of(cls, clip: SeenClip, frame: int, proposals: Tensor) -> Truth:
        """Of a frame, whose proposals may have any numbers."""
        shares, _ = shared(proposals)
        entities, numbers = shared(clip.ids[frame])
        overlap = shares.flatten(1) @ entities.flatten(1).mT
        union = shares.sum((1, 2))[:, None] + entities.sum((1, 2))[None] - overlap
        ious = overlap / union.clamp_min(1e-4)
        tracks = torch.zeros(len(shares), dtype=torch.int64)
        if ious.numel():
            best = ious.argmax(1)
            mutual = (ious.argmax(0)[best] == torch.arange(len(ious))) & (ious.amax(1) >= LEAST_IOU)
            tracks = torch.where(mutual, numbers[best], tracks)
        return cls(shares, tracks, entities, numbers)


def shared(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Shares (M, h, w) of stride 4 of the ids (M,) above 0 in a map (H, W), and these ids."""
    numbers, dense = ids.clamp_min(0).unique(return_inverse=True)
    if not len(numbers) or int(numbers[0]) > 0:  # no ground
        numbers, dense = F.pad(numbers, (1, 0)), dense + 1
    return shares_of(dense, len(numbers) - 1), numbers[1:]


def frame_costs(answer: Answer, seen: Truth, labels: Tensor, clip: SeenClip) -> dict[str, Tensor]:
    """Costs of the slots' answer to a frame: see `TERMS`. labels: (N,) track of each slot."""
    pairs = labels[:, None] == seen.numbers[None]  # (N, K)
    visible = pairs.any(1) & (labels > 0)
    followed = labels > 0
    masks = torch.where(
        visible[:, None, None], seen.entities[pairs.int().argmax(1)], torch.zeros(())
    ) if len(seen.numbers) else torch.zeros_like(answer.masks)  # fmt: skip
    visible = visible & (masks.sum((1, 2)) >= LEAST_CELLS)
    everywhere = torch.ones(masks.shape[1:])
    weights = visible.float() + HIDDEN * (followed & ~visible).float()
    costs = mask_costs(answer.masks, masks, everywhere)
    zero = answer.exists.sum() * 0.0
    mask = (costs * weights).sum() / weights.sum().clamp_min(1)
    exists = (
        F.binary_cross_entropy_with_logits(answer.exists[followed], visible[followed].float())
        if followed.any()
        else zero
    )
    pair, daughter = pair_costs(answer, seen, labels, clip)
    return {"mask": mask, "exists": 0.5 * exists, "pair": pair, "daughter": 0.5 * daughter}


def pair_costs(answer: Answer, seen: Truth, labels: Tensor, clip: SeenClip) -> tuple[Tensor, Tensor]:
    """Cross entropy of which proposal is a slot's and which slot a proposal's, and of daughters."""
    count, offered = len(labels), len(seen.tracks)
    followed = labels > 0
    pairs = (labels[:, None] == seen.tracks[None]) & followed[:, None]  # (N, M)
    zero = answer.exists.sum() * 0.0
    of_slots = torch.where(pairs.any(1), pairs.int().argmax(1), offered) if offered else torch.full((count,), 0)
    rows = F.cross_entropy(answer.pairs[:-1][followed], of_slots[followed]) if followed.any() else zero
    if not offered:
        return rows, zero
    of_proposals = torch.where(pairs.any(0), pairs.int().argmax(0), count)
    weights = torch.where(seen.tracks > 0, 1.0, UNMATCHED)
    costs = F.cross_entropy(answer.pairs[:, :-1].mT, of_proposals, reduction="none")
    columns = (costs * weights).sum() / weights.sum()
    mothers = torch.tensor([clip.parents.get(int(track), 0) for track in seen.tracks])
    born = ~pairs.any(0) & (mothers > 0)
    truth = ((labels[:, None] == mothers[None]) & followed[:, None] & born[None]).float()
    costs = F.binary_cross_entropy_with_logits(answer.daughters, truth, pos_weight=torch.tensor(4.0), reduction="none")
    daughter = (costs * followed[:, None]).sum() / (followed.sum() + 1)
    return rows + columns, daughter
