"""The tracker by SAM 2's memory: a slot for each entity, prompted by its mask or box when it is first seen, then
propagated.

After EntitySAM (CVPR 2025), which carries entities through clips by SAM 2's memory, without its faults: slots open in
every frame and for any entity, none is scored by its mean over the clip, and what is remembered does not grow. Between
frames the masks of slots are each entity's alone, as SAM 2 has them; in the map that is written the surest slot has a
pixel. What no slot covers of the network's entities opens a new slot.
"""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.decoders.pretrained_sam2 import load_sam2
from adapters.decoders.sam2_memory import MemoryBank, check_room
from adapters.decoders.sam2_video import AT_ONCE, Propagated, Sam2Propagation, Seen
from adapters.options.tracking import Sam2Tracking
from adapters.tracking.book import Book
from adapters.tracking.tracker import Counting, FrameEntities, State, Step
from domains.entities.linking import assigned, overlaps
from domains.entities.tracks import Exit, Track
from domains.errors import InputError

LEAST_KEPT = 0.5
"""Share of a slot's mask that surer slots leave it, below which it has drifted onto them and is not shown."""


of_name = lru_cache(maxsize=1)(load_sam2)
"""Read once for all clips of a run."""


class Sam2Tracker:
    """See `Tracker`; frames want their `image`. device: of torch, where SAM 2 runs. model: where it is at hand."""

    def __init__(
        self, options: Sam2Tracking | None = None, device: str = "cpu", model: Sam2Propagation | None = None
    ) -> None:
        self.options = options or Sam2Tracking()
        loaded = model or of_name(self.options.weights, self.options.revision, self.options.side_px)
        self.model = loaded.to(device)
        self.counting, self.book = Counting(), Book.empty()
        self.bank: MemoryBank | None = None
        self.ids, self.ticks = np.zeros(0, np.int64), np.zeros(0)
        self.shape: tuple[int, ...] | None = None

    @torch.no_grad()
    def step(self, frame: FrameEntities) -> Step:
        """The tracks of the next frame, with masks of their own. Raises ValueError for a frame without its image, and
        InputError for one of another size than those before.
        """
        if frame.image is None:
            raise ValueError("the tracker by SAM 2 wants the image of each frame")
        self._check_size(frame)
        at, tick = self.counting.frames, float(frame.tick)
        seen = self.model.look(self.model.pixels(frame.image)) if len(self.ids) or frame.count else None
        masks = np.zeros(frame.ids.shape, np.int64)
        if seen is not None and self.bank is not None and len(self.ids):
            answer = self.model.propagated(seen, self.bank, at)
            self.bank.remember(at, answer.memorised)
            masks = np.concatenate([[0], self.ids])[painted(answer, frame.ids.shape)]
        claims = Claims.of(masks, frame, self.options)
        if self.options.outlines == "proposed":
            masks = claims.outlined(masks, frame)
        self._see(masks, at, tick)
        over = self.book.forgotten(tick - self.ticks, self.options.memory_frames)
        ended = self._end(over)
        new = claims.new
        if len(new):
            assert seen is not None
            ended += self._make_room(len(new), tick)
            room = self.options.most_slots - len(self.ids)
            new = np.sort(new[np.argsort(-frame.areas[new], kind="stable")[:room]])
            claims.ids[new] = self._open(seen, frame, masks, new) if len(new) else 0
        self.counting.frames += 1
        return Step(claims.ids, ended, masks=masks)

    def _check_size(self, frame: FrameEntities) -> None:
        """Raises InputError for a frame of another size than those before."""
        shape = self.shape = self.shape or frame.ids.shape
        if frame.ids.shape != shape:
            raise InputError(
                f"frame {self.counting.frames} is {frame.ids.shape[1]} x {frame.ids.shape[0]} px, those before "
                f"{shape[1]} x {shape[0]}; SAM 2 follows entities through frames of one size: predict them apart"
            )

    def _see(self, masks: np.ndarray, at: int, tick: float) -> None:
        """Write down which slots show in a map of tracks (H, W)."""
        rows = np.flatnonzero(np.isin(self.ids, masks))
        self.book.see(rows, at, self._at_border(masks, self.ids[rows]))
        self.ticks[rows] = tick

    @staticmethod
    def _at_border(masks: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """(N,) 1 for tracks that touch the border of a map, 0 for others."""
        border = np.concatenate([masks[0], masks[-1], masks[:, 0], masks[:, -1]])
        return np.isin(ids, border).astype(np.int64)

    def _end(self, over: np.ndarray) -> list[Track]:
        """The tracks of slots (N,) bool that are over; those slots are no more."""
        rows = np.flatnonzero(over).tolist()
        tracks = [self.book.track(row, int(self.ids[row]), self.book.gone(row)) for row in rows]
        if tracks:
            self._keep(np.flatnonzero(~over))
        return tracks

    def _keep(self, rows: np.ndarray) -> None:
        self.book, self.ids, self.ticks = self.book.of(rows), self.ids[rows], self.ticks[rows]
        if self.bank is not None:
            self.bank = self.bank.of(torch.from_numpy(rows).to(self.bank.born.device))

    def _make_room(self, count: int, tick: float) -> list[Track]:
        """Of hidden tracks those unseen for longest end where so many new ones would be too many together."""
        beyond = len(self.ids) + count - self.options.most_slots
        hidden = np.flatnonzero(self.ticks < tick)
        over = np.zeros(len(self.ids), bool)
        over[hidden[np.argsort(self.ticks[hidden], kind="stable")[: max(beyond, 0)]]] = True
        return self._end(over)

    def _open(self, seen: Seen, frame: FrameEntities, masks: np.ndarray, new: np.ndarray) -> np.ndarray:
        """(K,) ids of new slots for entities (K,) of a frame, where no slot is; they are drawn into `masks`."""
        at = self.counting.frames
        ids = np.array([self.counting.born() for _ in new], np.int64)
        for batch in np.array_split(np.arange(len(new)), -(-len(new) // AT_ONCE)):
            shapes = np.stack([(frame.ids == index + 1) & (masks == 0) for index in new[batch]])
            if self.options.prompt == "box":
                answer = self.model.boxed(seen, self.model.boxes(shapes))
            else:
                answer = self.model.prompted(seen, self.model.prompts(shapes))
            bank = MemoryBank.opened(at, answer.memorised, *self.model.rings)
            if self.bank is None:
                check_room(self.options.most_slots, bank)
            self.bank = bank if self.bank is None else self.bank.joined(bank)
        table = np.zeros(frame.count + 1, np.int64)
        table[new + 1] = ids
        np.copyto(masks, table[np.maximum(frame.ids, 0)], where=masks == 0)
        self.ids = np.concatenate([self.ids, ids])
        self.ticks = np.concatenate([self.ticks, np.full(len(ids), float(frame.tick))])
        self.book = self.book.joined(at, self._at_border(masks, ids), np.zeros(len(ids), np.int64))
        return ids

    def close(self) -> list[Track]:
        """The tracks that did not end before the clip did."""
        final, ended = self.counting.frames - 1, []
        for row, number in enumerate(self.ids.tolist()):
            exit: Exit = "end" if self.book.latest[row] == final else self.book.gone(row)
            ended.append(self.book.track(row, number, exit))
        self._keep(np.zeros(0, np.int64))
        return ended

    def state(self) -> State:
        """What to go on from."""
        counts = np.array([self.counting.frames, self.counting.next_id, *(self.shape or (0, 0))], np.int64)
        written = {f"book_{field.name}": getattr(self.book, field.name) for field in fields(Book)}
        bank = {} if self.bank is None else self.bank.tensors()
        arrays = {f"bank_{name}": as_array(tensor) for name, tensor in bank.items()}
        return {"counts": counts, "ids": self.ids, "ticks": self.ticks, **written, **arrays}

    def restore(self, state: State) -> None:
        """Go on from a state. Raises KeyError or ValueError for arrays that are no state of this tracker."""
        frames, following, *shape = state["counts"].tolist()
        self.counting, self.shape = Counting(frames, following), tuple(shape) if any(shape) else None
        self.book = Book(*(state[f"book_{field.name}"].astype(np.int64) for field in fields(Book)))
        self.ids, self.ticks = state["ids"].astype(np.int64), state["ticks"].astype(float)
        tensors = {field.name: f"bank_{field.name}" for field in fields(MemoryBank)}
        if "bank_born" in state:
            device = self.model.mean.device
            tensors = {name: as_tensor(state[key]).to(device) for name, key in tensors.items()}
            self.bank = MemoryBank.of_tensors(tensors)


class Claims(NamedTuple):
    """Which entities of a frame are whose. ids: (M,) the track that an entity is, 0 where it is none's or but a piece;
    new: (K,) indices of those that no slot covers.
    """

    ids: np.ndarray
    new: np.ndarray

    @classmethod
    def of(cls, masks: np.ndarray, frame: FrameEntities, options: Sam2Tracking) -> Claims:
        """By the overlap with propagated masks, (H, W) of tracks: at the highest sum of IoU."""
        shared = overlaps(masks, frame.ids)
        pairs = np.stack([shared.a, shared.b], 1)
        alike = shared.iou >= options.least_iou
        same = pairs[alike][assigned(pairs[alike], 1 - shared.iou[alike], 1.0 + 1e-9)]
        ids = np.zeros(frame.count, np.int64)
        ids[same[:, 1] - 1] = same[:, 0]
        covered = np.bincount(shared.b, weights=shared.pixels, minlength=frame.count + 1)[1:]
        is_free = covered <= (1 - options.least_free) * frame.areas
        return cls(ids, np.flatnonzero((ids == 0) & is_free & (covered < frame.areas)))

    def outlined(self, masks: np.ndarray, frame: FrameEntities) -> np.ndarray:
        """(H, W) of tracks, of which those that are entities of the frame have their outlines."""
        proposed = np.concatenate([[0], self.ids])[np.maximum(frame.ids, 0)]
        others = np.where(np.isin(masks, self.ids[self.ids > 0]), 0, masks)
        return np.where(proposed > 0, proposed, others)


def painted(answer: Propagated, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) int64: which slot, from 1, has each pixel, 0 for none. A slot shows where it is there, by its own logits,
    where none is surer, and if surer ones leave enough of it. One slot at a time is brought to the frame's size.
    """
    logits = torch.where(answer.exists[:, None, None] > 0, answer.logits, -torch.inf)
    covers = logits > 0
    surest = logits.argmax(0) == torch.arange(len(logits), device=logits.device)[:, None, None]
    areas, kept = (mask.sum((1, 2)) for mask in (covers, covers & surest))
    rows = ((areas > 0) & (kept >= LEAST_KEPT * areas)).nonzero()[:, 0].tolist()
    best = torch.zeros(shape, device=logits.device)
    owner = torch.zeros(shape, dtype=torch.int64, device=logits.device)
    for row in rows:
        size = (int(shape[0]), int(shape[1]))
        large = F.interpolate(answer.logits[row][None, None], size, mode="bilinear", align_corners=False)[0, 0]
        owner[large > best] = row + 1
        best = torch.maximum(best, large)
    return owner.cpu().numpy()


def as_array(tensor: Tensor) -> np.ndarray:
    """On the processor; bfloat16, which numpy has not, as the integers of its bits."""
    tensor = tensor.cpu()
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def as_tensor(array: np.ndarray) -> Tensor:
    """What `as_array` was made of; a copy."""
    tensor = torch.from_numpy(array.copy())
    return tensor.view(torch.bfloat16) if tensor.dtype == torch.int16 else tensor
