"""The tracker with a trained memory: slots of a memory decoder, which name the entities of each frame.

After EntitySAM (CVPR 2025), on the embedded base, without its faults: no number of slots is fixed, a track is scored
frame by frame and never by its mean over the clip, so a late one counts as an early one, and the state is that of the
slots that live, whatever the clip's length. Proposals are named by the assignment of the highest probability, of a slot
being nobody's and a proposal being new among them; what only a slot sees is painted, where no proposal lies.
"""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from adapters.decoders.pretrained_memory import Looking, loaded
from adapters.decoders.promptable import fitted_size
from adapters.decoders.slot_decoder import Answer, FittedMemory, MemoryDecoder, Proposed
from adapters.decoders.slots import Look, Slots, shares_of
from adapters.options.tracking import MemoryTracking
from adapters.tracking.book import Book
from adapters.tracking.tracker import Counting, FrameEntities, State, Step
from domains.entities.linking import assigned
from domains.entities.tracks import Exit, Track

LEAST_PAINTED = 0.3
"""Share of its last area that a slot paints at least, or nothing."""
MULTIPLE = 8
STAYS = 10.0
"""By how much likelier, in log odds, it is than the decoder says that a slot and a proposal that suit no other are the
same: what it learns from has many fragments and misses, of which an id is better kept than begun anew. Chosen among 0,
2, 4, 6 and 10 on ten generated clips."""
DAUGHTER = -4.5
"""Logit from which on a proposal may be a daughter; where it lies then decides."""
HALF, LEAST_DAUGHTER, STILL_ONE = 0.5, 0.2, 0.7
"""Shares: of a daughter inside of her mother and of the mother that both cover; of the mother's area that a daughter
has at least; and of the union from which on one proposal shows the mother."""
LEAST_AGE, TWO_FRAMES = 2, 1.75
"""Frames in which a mother was visible at least, and between her last and her daughters' first at most."""
CERTAIN = 1e4
"""Above every gain in log probability."""


class Size(NamedTuple):
    """(height, width) of frames as they come, and as the network sees them before they are padded."""

    shape: tuple[int, int]
    seen: tuple[int, int]


class MemoryTracker:
    """See `Tracker`; frames want their `image`. decoders: as `loaded` gives them, where they are at hand; fitted: the
    adapter's, in place of the base's."""

    def __init__(
        self,
        options: MemoryTracking | None = None,
        decoders: tuple[Looking, MemoryDecoder] | None = None,
        fitted: FittedMemory | None = None,
    ) -> None:
        self.options = options or MemoryTracking()
        self.looking, self.decoder = decoders or loaded(self.options.base, fitted)
        self.counting, self.slots, self.book = Counting(), None, Book.empty()

    @torch.no_grad()
    def step(self, frame: FrameEntities) -> Step:
        """The tracks of the next frame's entities. Raises ValueError for a frame without its image."""
        if frame.image is None:
            raise ValueError("the tracker with a memory wants the image of each frame")
        size = Size(frame.ids.shape, self.seen_size(frame.ids.shape))
        look = self.looking(network_image(frame.image, size).to(self.looking.backbone.mean))[0]
        return self.named(frame, look, size)

    def seen_size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(height, width) at which a frame is looked at."""
        height, width = shape[:2]
        return (
            fitted_size((height, width), self.options.side_px) if max(shape) > self.options.side_px else (height, width)
        )

    def named(self, frame: FrameEntities, look: Look, size: Size) -> Step:
        """The tracks of a frame's entities, of what is seen of it."""
        at, tick = self.counting.frames, float(frame.tick)
        ids = torch.from_numpy(frame.ids.astype(np.int64)).to(look.cells.device)
        proposed = Proposed.of(look, shares_of(ids, frame.count, size.seen))
        slots = self.slots_like(look)
        result, painted, ended = np.zeros(frame.count, np.int64), None, []
        mothers: dict[int, int] = {}
        if len(slots):
            answer = self.decoder(look, slots, tick, proposed)
            choice = Choice.of(answer, slots.ids.cpu().numpy(), self.daughters(answer, slots, tick, proposed))
            slots = slots.with_tokens(answer.tokens)
            rows, columns, mothers = choice
            border = np.array([frame.at_border(column) for column in columns], np.int64)
            result[columns] = slots.ids.cpu().numpy()[rows]
            self.book.see(rows, at, border)
            slots = seen(slots, rows, columns, tick, proposed)
            if self.options.paint:
                painted = self.painted(frame, answer, slots, rows, at, size)
            slots, ended = self.divided(slots, mothers)
        self.slots = slots
        ended += self.forget(tick, at)
        self.open(frame, proposed, result, mothers, at, tick)
        self.counting.frames += 1
        return Step(result, ended, painted)

    def daughters(self, answer: Answer, slots: Slots, tick: float, proposed: Proposed) -> dict[int, tuple[int, int]]:
        """The two proposals of each slot that divides."""
        if not self.options.divisions:
            return {}
        unhidden = (slots.missed(tick) < TWO_FRAMES) & (slots.partly == 0)
        old = self.book.visible >= LEAST_AGE
        overlaps = Overlaps.of(slots, tick, proposed)
        return daughters_of(answer.daughters.cpu().numpy(), overlaps, unhidden.cpu().numpy() & old)

    def slots_like(self, look: Look) -> Slots:
        """The slots; none where this is the first frame or one of another size, in which nothing is where it was."""
        options = self.decoder.options
        if self.slots is None or self.slots.masks.shape[1:] != look.pixels.shape[1:]:
            self.slots = Slots.empty(options.width, options.frames, look)
        return self.slots

    def divided(self, slots: Slots, mothers: dict[int, int]) -> tuple[Slots, list[Track]]:
        """The slots without those that divided. mothers: index of a daughter to the id of her mother."""
        gone = np.isin(slots.ids.cpu().numpy(), list(mothers.values()))
        ended = [self.track(row, slots, "divided") for row in np.flatnonzero(gone).tolist()]
        return self.kept(slots, np.flatnonzero(~gone)), ended

    def kept(self, slots: Slots, rows: np.ndarray) -> Slots:
        """These slots alone, in the book too."""
        self.book = self.book.of(rows)
        return slots.of(torch.from_numpy(rows).to(slots.ids.device))

    def forget(self, tick: float, at: int) -> list[Track]:
        """Tracks that were hidden for too long, and the longest hidden ones of too many, are over."""
        slots, book = self.slots, self.book
        assert slots is not None
        hidden = slots.missed(tick).cpu().numpy() if len(slots) else np.zeros(0)
        over = book.forgotten(hidden, self.options.memory_frames)
        ended = [self.track(row, slots, book.gone(row)) for row in np.flatnonzero(over).tolist()]
        self.slots = self.kept(slots, np.flatnonzero(~over))
        return ended

    def open(
        self, frame: FrameEntities, proposed: Proposed, ids: np.ndarray, mothers: dict[int, int], at: int, tick: float
    ) -> None:
        """New slots for what no slot claims; `ids` (M,) are filled in."""
        slots = self.slots
        assert slots is not None
        new = np.flatnonzero(ids == 0)
        ids[new] = [self.counting.born() for _ in new]
        rows = torch.from_numpy(new).to(slots.ids.device)
        numbers = torch.from_numpy(ids[new]).to(slots.ids.device)
        self.slots = slots.joined(numbers, tick, proposed.pooled[rows], proposed.shares[rows])
        border = np.array([frame.at_border(index) for index in new.tolist()], np.int64)
        parents = np.array([mothers.get(index, 0) for index in new.tolist()], np.int64)
        self.book = self.book.joined(at, border, parents)

    def painted(
        self, frame: FrameEntities, answer: Answer, slots: Slots, rows: np.ndarray, at: int, size: Size
    ) -> np.ndarray | None:
        """(H, W) tracks that slots paint where no entity lies, 0 elsewhere; None where there are none."""
        free = frame.ids == 0
        sure = answer.exists.sigmoid() >= self.options.least_score
        sure[torch.from_numpy(rows).to(sure.device)] = False
        alone = sure.nonzero()[:, 0]
        if not len(alone) or not free.any():
            return None
        logits = F.interpolate(answer.masks[alone, None], scale_factor=4, mode="bilinear", align_corners=False)
        logits = logits[..., : size.seen[0], : size.seen[1]]
        logits = F.interpolate(logits, size.shape, mode="bilinear", align_corners=False)[:, 0]
        best, index = logits.max(0)
        owner = torch.where(best > 0, index + 1, 0).cpu().numpy() * free
        areas = np.bincount(owner.ravel(), minlength=len(alone) + 1)[1:]
        scale = size.shape[0] * size.shape[1] / (size.seen[0] * size.seen[1])
        former = slots.placed[alone, -1, 5].cpu().numpy() * scale
        paints = areas >= np.maximum(LEAST_PAINTED * former, 4)
        if not paints.any():
            return None
        numbers = np.where(paints, slots.ids[alone].cpu().numpy(), 0)
        table = np.concatenate([[0], numbers])
        chosen = alone.cpu().numpy()[paints]
        self.book.see(chosen, at, self.book.border[chosen])
        return table[owner]

    def track(self, row: int, slots: Slots, exit: Exit) -> Track:
        """The track that a slot was."""
        return self.book.track(row, int(slots.ids[row]), exit)

    def close(self) -> list[Track]:
        """The tracks that did not end before the clip did."""
        if self.slots is None:
            return []
        final, ended = self.counting.frames - 1, []
        for row in range(len(self.slots)):
            exit: Exit = "end" if self.book.latest[row] == final else self.book.gone(row)
            ended.append(self.track(row, self.slots, exit))
        self.slots, self.book = self.kept(self.slots, np.zeros(0, np.int64)), Book.empty()
        return ended

    def state(self) -> State:
        """What to go on from."""
        counts = {"counts": np.array([self.counting.frames, self.counting.next_id], np.int64)}
        written = {f"book_{field.name}": getattr(self.book, field.name) for field in fields(Book)}
        slots = {} if self.slots is None else {n: tensor.cpu().numpy() for n, tensor in self.slots.tensors().items()}
        return {**counts, **written, **slots}

    def restore(self, state: State) -> None:
        """Go on from a state. Raises KeyError or ValueError for arrays that are no state of this tracker."""
        self.counting = Counting(*state["counts"].tolist())
        self.book = Book(*(state[f"book_{field.name}"].astype(np.int64) for field in fields(Book)))
        device = self.looking.backbone.mean.device
        names = [field.name for field in fields(Slots)]
        tensors = [torch.from_numpy(state[name].copy()).to(device) for name in names] if "ids" in state else None
        self.slots = None if tensors is None else Slots(*tensors)


class Choice(NamedTuple):
    """rows, columns: (K,) slots and the proposals that are theirs; mothers: index of a daughter to her mother's id."""

    rows: np.ndarray
    columns: np.ndarray
    mothers: dict[int, int]

    @classmethod
    def of(cls, answer: Answer, ids: np.ndarray, daughters: dict[int, tuple[int, int]]) -> Choice:
        """The most probable one. ids: (N,) of slots; daughters: of slots that divide."""
        by_slot = answer.pairs[:-1].double().log_softmax(1).cpu().numpy()  # (N, M + 1)
        by_proposal = answer.pairs[:, :-1].double().log_softmax(0).cpu().numpy()  # (N + 1, M)
        gains = by_slot[:, :-1] + by_proposal[:-1] - by_slot[:, -1:] - by_proposal[-1:] + STAYS
        taken_over = {column: row for row, columns in daughters.items() for column in columns}
        gains[list(daughters)] = -1
        gains[:, list(taken_over)] = -1
        pairs = np.argwhere(gains > 0)
        chosen = pairs[assigned(pairs, CERTAIN - gains[*pairs.T], CERTAIN)]
        return cls(chosen[:, 0], chosen[:, 1], {column: int(ids[row]) for column, row in taken_over.items()})


def daughters_of(logits: np.ndarray, scene: Overlaps, unhidden: np.ndarray) -> dict[int, tuple[int, int]]:
    """The two proposals that each slot that divides divides into: the decoder takes them for its daughters, they lie
    where the mother is expected and cover her, and no one proposal shows her.

    logits: (N, M) of slots and proposals; unhidden: (N,) bool, slots that were wholly visible in the frame before.
    """
    if not logits.size:
        return {}
    least = np.maximum(scene.slots[:, None], 1e-6)
    fits = (logits > DAUGHTER) & (scene.shared >= HALF * scene.proposals) & (logits >= logits.max(0))
    fits &= (scene.proposals >= LEAST_DAUGHTER * least) & (scene.proposals <= least)
    union = least + scene.proposals - scene.shared
    alone = unhidden & ((scene.shared / union).max(1) < STILL_ONE)
    daughters = {}
    for row in np.flatnonzero(alone & (fits.sum(1) >= 2)).tolist():
        larger, smaller = np.argsort(-np.where(fits[row], scene.shared[row], -1), kind="stable")[:2].tolist()
        if scene.shared[row, [larger, smaller]].sum() >= HALF * scene.slots[row]:
            daughters[row] = (larger, smaller)
    return daughters


class Overlaps(NamedTuple):
    """slots: (N,) areas of the masks of slots where they are expected; proposals: (M,) areas; shared: (N, M)."""

    slots: np.ndarray
    proposals: np.ndarray
    shared: np.ndarray

    @classmethod
    def of(cls, slots: Slots, tick: float, proposed: Proposed) -> Overlaps:
        """In a frame, in cells."""
        moved, shares = slots.moved(tick).flatten(1), proposed.shares.flatten(1)
        tensors = (moved.sum(1), shares.sum(1), moved @ shares.mT)
        return cls(*(tensor.cpu().numpy() for tensor in tensors))


def seen(slots: Slots, rows: np.ndarray, columns: np.ndarray, tick: float, proposed: Proposed) -> Slots:
    """The slots once they have seen the proposals that are theirs."""
    device = slots.ids.device
    chosen, theirs = torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)
    return slots.observed(chosen, tick, proposed.pooled[theirs], proposed.shares[theirs])


def network_image(image: np.ndarray, size: Size) -> Tensor:
    """(1, 3, h, w) in [0, 1] of an image (H, W, 3) uint8, resized and padded by its last pixels."""
    height, width = size.seen
    if size.seen != size.shape:
        image = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    beyond = [(0, -side % MULTIPLE) for side in size.seen]
    pixels = torch.from_numpy(np.pad(image, [*beyond, (0, 0)], mode="edge"))
    return pixels.permute(2, 0, 1)[None].float() / 255
