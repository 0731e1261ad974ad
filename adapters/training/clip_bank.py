"""Clips that are kept for a round, with what the frozen base and its decoders see of every frame.

The base does not learn, so a clip is looked at once and shown `TURNS` times in its round, each time other frames of it
and other proposals. Clip n of a seed is the same whenever it is drawn: a killed run goes on with the same losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adapters.decoders.pretrained_memory import Looking
from adapters.decoders.slots import Look
from adapters.training.data import RoundSampler

TURNS = 16
"""Times that a clip is shown in its round."""


class Drawn(NamedTuple):
    """A clip. images: (F, H, W, 3) uint8; ids: (F, H, W) of tracks; parents: the mother of each daughter; proposals:
    (F, H, W) the entities of each frame, numbered as they come, in place of the base's own.
    """

    images: np.ndarray
    ids: np.ndarray
    parents: Mapping[int, int]
    proposals: np.ndarray | None = None


@dataclass(frozen=True)
class SeenClip:
    """A clip that was looked at. looks: one a frame; ids: (F, H, W) int64 of tracks; proposals: (F, H, W) int64 of a
    dense decoder; parents: mothers by daughter; seed: of what is drawn of it.
    """

    looks: list[Look]
    ids: Tensor
    proposals: Tensor
    parents: Mapping[int, int]
    seed: int


class ClipBank(Dataset[SeenClip]):
    """`length` draws a round of clips that `draw` makes by number. own: the first clip of round 0."""

    def __init__(self, draw: Callable[[int], Drawn], looking: Looking, length: int, turns: int = TURNS) -> None:
        self.draw, self.looking, self.length, self.turns = draw, looking, length, turns
        self.epoch = 0
        self.kept: dict[int, SeenClip] = {}

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        """The round that is drawn from here on; clips of others are dropped."""
        self.epoch = epoch
        self.kept = {}

    @property
    def clips(self) -> int:
        """How many are kept in a round."""
        return -(-self.length // self.turns)

    def __getitem__(self, index: int) -> SeenClip:
        if not 0 <= index < self.length:
            raise IndexError(f"clip {index} of {self.length}")
        order = np.random.default_rng((self.epoch, 1)).permutation(self.length)
        number = self.epoch * self.clips + int(order[index]) // self.turns
        if number not in self.kept:
            self.kept[number] = seen_clip(self.looking, self.draw(number))
        clip = self.kept[number]
        seed = int(np.random.default_rng((number, int(order[index]), 2)).integers(2**31))
        return SeenClip(clip.looks, clip.ids, clip.proposals, clip.parents, seed)


def seen_clip(looking: Looking, clip: Drawn) -> SeenClip:
    """A clip as the base and its decoders see it."""
    device = looking.backbone.mean.device
    pixels = torch.from_numpy(clip.images).to(device).permute(0, 3, 1, 2).float() / 255
    looks, proposals = [], []
    size = (clip.images.shape[1], clip.images.shape[2])
    with torch.no_grad():
        for frame in pixels[:, None]:
            taps = looking.backbone(frame)
            looks += looking.looks(taps, frame)
            if clip.proposals is None:
                outputs = looking.trunk(taps, frame)
                proposals.append(looking.trunk.proposals.entities(outputs, 0, size).ids)
    proposed = np.stack(proposals) if clip.proposals is None else clip.proposals
    tracks = torch.from_numpy(clip.ids.astype(np.int64))
    return SeenClip(looks, tracks, torch.from_numpy(proposed.astype(np.int64)), dict(clip.parents), 0)


@dataclass(frozen=True)
class ClipBatch:
    """Clips of a step."""

    clips: list[SeenClip]

    def __len__(self) -> int:
        return len(self.clips)

    def to(self, device: torch.device | str) -> ClipBatch:
        """Itself: a clip is looked at on the device where it is needed."""
        return self


class ClipData(L.LightningDataModule):
    """Training clips, new ones each round, and validation clips, the same ones in the same way each time."""

    def __init__(self, train: ClipBank, val: ClipBank, batch_size: int) -> None:
        super().__init__()
        self.train, self.val, self.batch_size = train, val, batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        """The clips of a round."""
        return DataLoader(self.train, self.batch_size, sampler=RoundSampler(self.train), collate_fn=ClipBatch)

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation clips."""
        return DataLoader(self.val, self.batch_size, collate_fn=ClipBatch)
