"""A domain's samples as training and validation batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import lightning as L
import torch.distributed
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler

from adapters.runtime import crops_of_device
from domains.crops.crops import CropOptions
from domains.crops.mixed_crops import MixedCrops
from domains.crops.train_crops import Mixture, TrainCrops
from domains.entities import EntitySample, Samples, collate


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How crops become batches, and batches rounds."""

    batch_size: int = 8
    """Crops of a step, over all devices that learn together."""
    round_steps: int = 50
    """Batches of training between two looks at the validation set."""
    seed: int = 0
    """Sample i of round r is drawn from (seed, r, i), whatever the number of workers."""
    workers: int = 0
    """Processes that cut crops; 0: the one that trains."""
    val_crops: int = 64
    """Crops of a look at the validation set, at most four of each of its images."""


class EntityDataModule(L.LightningDataModule):
    """Augmented crops for training and fixed, unaugmented ones for validation.

    train, val: data sets; augmentation: an albumentations `Compose` or None; crops: of training, and of validation its
    `crop_px`, `scale` and `pixel_size_m` alone; rehearsal: generated scenes, `rehearsal_share` of the training crops;
    unlabelled: windows without labels at the size of the training images, `unlabelled_share` of all crops.
    """

    def __init__(
        self,
        train: Samples,
        val: Samples | None,
        augmentation: Any = None,
        crops: CropOptions | None = None,
        batches: BatchOptions | None = None,
        rehearsal: Samples | None = None,
        rehearsal_share: float = 0.0,
        *,
        unlabelled: Samples | None = None,
        unlabelled_share: float = 0.0,
    ) -> None:
        super().__init__()
        crops, self.batches = crops or CropOptions(), batches or BatchOptions()
        length, seed = self.batches.round_steps * self.batches.batch_size, self.batches.seed
        self.crops = TrainCrops(train, crops, augmentation, seed, length=length)
        """Crops of the data set itself."""
        self.train: TrainCrops | Mixture | MixedCrops = self.crops
        if rehearsal is not None and rehearsal_share:
            plain = CropOptions(crop_px=crops.crop_px)
            generated = TrainCrops(rehearsal, plain, augmentation, seed, length=length, cache_bytes=0)
            self.train = Mixture(self.crops, generated, rehearsal_share)
        if unlabelled is not None and unlabelled_share:
            anywhere = CropOptions(crop_px=crops.crop_px, scale=crops.scale, scale_range=crops.scale_range)
            drawn = TrainCrops(unlabelled, anywhere, augmentation, seed, length=length)
            self.train = Mixture(self.train, drawn, unlabelled_share, salt=4)
        self.val: Dataset[EntitySample] | None = None
        if val is not None and len(val):
            still = CropOptions(
                crop_px=crops.crop_px, scale=crops.scale, pixel_size_m=crops.pixel_size_m, scale_range=(1.0, 1.0)
            )
            self.val = TrainCrops(val, still, None, seed, length=min(self.batches.val_crops, 4 * len(val)))

    def train_dataloader(self) -> DataLoader[Any]:
        """The crops of a round, this rank's share of them."""
        return self._loader(self.train)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation crops, all of them on every rank, so that each comes to the same loss; [] without any."""
        return self._loader(self.val, rounds=False) if self.val is not None else []

    def _loader(self, crops: Any, rounds: bool = True) -> DataLoader[Any]:
        rank, world = rank_and_world()
        share = crops_of_device(self.batches.batch_size, world)
        return DataLoader(
            crops,
            share if rounds else self.batches.batch_size,
            sampler=RoundSampler(crops, rank, world) if rounds else None,
            num_workers=self.batches.workers,
            persistent_workers=self.batches.workers > 0,
            collate_fn=collate,
        )


class MixedDataModule(EntityDataModule):
    """The crops of several data modules as those of one; a share of each in training, all of them in validation.

    members: of one number of crops a round. shares: of each, of sum 1.
    """

    def __init__(self, members: Sequence[EntityDataModule], shares: Sequence[float]) -> None:
        L.LightningDataModule.__init__(self)
        self.batches, self.crops = members[0].batches, members[0].crops
        sources = [member.crops for member in members]
        self.train = MixedCrops(sources, shares, self.batches.seed)
        watched = [member.val for member in members if member.val is not None]
        self.val = ConcatDataset(watched) if watched else None


class Drawn(Protocol):
    """What draws itself anew for each round."""

    def __len__(self) -> int: ...

    def set_epoch(self, epoch: int) -> None:
        """The round that is drawn from here on."""


class RoundSampler(Sampler[int]):
    """Every `world`-th crop of the round from `rank` on, in order: the crops shuffle themselves.

    A crop is a function of (seed, round, index), so the ranks of a world together see, step by step, the batches that
    one device alone would see. Lightning tells it the round by `set_epoch`.
    """

    def __init__(self, crops: Drawn, rank: int = 0, world: int = 1) -> None:
        self.crops = crops
        self.indices = range(rank, len(crops), world)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def set_epoch(self, epoch: int) -> None:
        """The crops draw themselves anew, as those of that round."""
        self.crops.set_epoch(epoch)


def rank_and_world() -> tuple[int, int]:
    """This process's rank and the number of processes that learn together; (0, 1) for one alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
