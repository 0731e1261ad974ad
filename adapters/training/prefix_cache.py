"""Crops that are kept for a while, with what the frozen blocks before the first that learns make of them.

A step then runs only what learns: with `method.scope=decoder` no block, with `method.layers=last:N` N of them. The
price is that every crop is shown `TURNS` times, one turn after the other, before a new one takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adapters.backbones.backbone import Prefix
from adapters.network import EntitySegmenter
from adapters.runtime import Runtime
from adapters.training.data import EntityDataModule, RoundSampler
from domains.crops.mixed_crops import MixedCrops
from domains.crops.train_crops import Mixture, TrainCrops
from domains.entities import EntityBatch, EntitySample, collate
from domains.errors import InputError

TURNS = 8
"""Times that a kept crop is shown: an eighth of the frozen blocks' time is left, and of drawing."""
MOST_BYTES = 2**30
"""Of all kept crops together: of large crops on a large backbone fewer are kept than asked for."""


@dataclass(frozen=True)
class CachedBatch(EntityBatch):
    """A batch with what the frozen blocks made of its images."""

    prefix: Prefix | None = None

    def to(self, device: torch.device | str) -> CachedBatch:
        """The batch with every tensor on a device."""
        assert self.prefix is not None
        return replace(super().to(device), prefix=mapped(self.prefix, lambda tensor: tensor.to(device)))  # type: ignore[return-value]


class CachedData(L.LightningDataModule):
    """The batches of `data`, of whose training crops `count` are kept at a time, shown in a new order each turn.

    Raises InputError for a network whose first layers learn.
    """

    def __init__(self, data: EntityDataModule, network: EntitySegmenter, runtime: Runtime, count: int) -> None:
        super().__init__()
        self.data, self.crops = data, data.crops
        blocks = None if network.projection is not None else network.backbone.frozen_blocks()
        if blocks is None:
            raise InputError("train.cache=prefix wants frozen blocks before the first that learns; here all learns")
        self.bank = Bank(data.train, network, runtime, blocks, count)
        self.bank.count = max(1, min(count, MOST_BYTES // self.bank.crop_bytes()))

    def train_dataloader(self) -> DataLoader[Any]:
        """The crops of a round."""
        options = self.data.batches
        rounds = Rounds(self.bank.count, options.round_steps * options.batch_size, options.seed)
        return DataLoader(rounds, options.batch_size, sampler=RoundSampler(rounds), collate_fn=self.bank.batch)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation crops."""
        return self.data.val_dataloader()


class Rounds(Dataset[int]):
    """Numbers of crops, a function of (seed, round, place in the round): `count` of them in `TURNS` turns, in each of
    which all come before any comes again, then the next `count`.
    """

    def __init__(self, count: int, length: int, seed: int) -> None:
        self.count, self.length, self.seed, self.epoch = count, length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """The order of that round."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self.length:
            raise IndexError(index)
        turn, place = divmod(self.epoch * self.length + index, self.count)
        chosen = int(np.random.default_rng((self.seed, turn)).permutation(self.count)[place])
        return turn // TURNS * self.count + chosen


class Bank:
    """The kept crops, each drawn and run through the frozen blocks when it is first asked for; the crop `count` before
    it then goes, which has been shown.
    """

    def __init__(
        self,
        crops: TrainCrops | Mixture | MixedCrops,
        network: EntitySegmenter,
        runtime: Runtime,
        blocks: int,
        count: int,
    ) -> None:
        self.crops, self.network, self.runtime, self.blocks = crops, network, runtime, blocks
        self.count = count
        self.samples: dict[int, EntitySample] = {}
        self.prefixes: dict[int, Prefix] = {}

    def batch(self, numbers: list[int]) -> CachedBatch:
        """The crops of these numbers."""
        crops = [self.sample(number) for number in numbers]
        plain = collate(crops)
        absent = [place for place, number in enumerate(numbers) if number not in self.prefixes]
        if absent:
            for place, prefix in zip(absent, self.through(plain.images[absent]), strict=True):
                self.prefixes[numbers[place]] = prefix
        values = {field.name: getattr(plain, field.name) for field in fields(plain)}
        batch = CachedBatch(**values, prefix=together([self.prefixes[number] for number in numbers]))
        for place in absent:
            self.samples.pop(numbers[place] - self.count, None)
            self.prefixes.pop(numbers[place] - self.count, None)
        return batch

    def sample(self, number: int) -> EntitySample:
        """One crop, as the first rounds of `crops` would draw it."""
        if number not in self.samples:
            epoch, index = divmod(number, len(self.crops))
            self.crops.set_epoch(epoch)
            self.samples[number] = self.crops[index]
        return self.samples[number]

    def crop_bytes(self) -> int:
        """How much memory a crop takes, as the first one does."""
        batch = self.batch([0])
        assert batch.prefix is not None
        image, truth = self.samples[0].image, self.samples[0].truth
        tensors = [batch.prefix.tokens, *batch.prefix.features]
        return image.nbytes + truth.ids.nbytes + sum(x.numel() * x.element_size() for x in tensors)

    @torch.no_grad()
    def through(self, images: Tensor) -> list[Prefix]:
        """What the frozen blocks make of each of the images (B, 3, H, W), on the CPU, in the precision of training."""
        backbone = self.network.backbone
        with self.runtime.training_autocast():
            prefix = backbone.prefix(images.to(self.network.device), self.blocks)
        if self.runtime.training.startswith("bf16"):  # the decoder brings them to that precision first
            prefix = prefix._replace(features=[x.to(torch.bfloat16) for x in prefix.features])
        if self.blocks == backbone.taps[-1]:  # no block takes these tokens
            prefix = prefix._replace(tokens=prefix.tokens[:, :0])
        return [mapped(prefix, lambda x, i=i: piece(x, len(images), i).cpu()) for i in range(len(images))]


def piece(tensor: Tensor, images: int, index: int) -> Tensor:
    """The rows (n, ...) of one of so many images, which may be cut into several, of a tensor of them all."""
    rows = len(tensor) // images
    return tensor[index * rows : (index + 1) * rows].clone()


def mapped(prefix: Prefix, function: Any) -> Prefix:
    """A prefix with a function of tensors applied to what it has of each image; its context is of all of them."""
    return prefix._replace(tokens=function(prefix.tokens), features=[function(x) for x in prefix.features])


def together(prefixes: list[Prefix]) -> Prefix:
    """The prefix of several images."""
    features = [torch.cat(tap) for tap in zip(*(prefix.features for prefix in prefixes), strict=True)]
    return prefixes[0]._replace(tokens=torch.cat([prefix.tokens for prefix in prefixes]), features=features)
