"""A domain's samples as training and validation batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning as L
import torch.distributed
from torch.utils.data import DataLoader, Sampler

from domains.crops.augment import Mixture, Samples, TrainCrops
from domains.entities import collate
from domains.errors import InputError


class EntityDataModule(L.LightningDataModule):
    """Augmented crops for training and fixed, unaugmented ones for validation.

    train, val: datasets of `EntitySample`; augmentation: an albumentations `Compose` or None; crop_px: side of the
    crops, a multiple of the backbone's stride and of 8; scale: input resize factor, 2 doubles every side.
    batch_size: crops of a step, over all devices that learn together.
    balance, paste_share, drawn_share, draw, hard_share: of the training crops, see `TrainCrops`; validation has none.
    rehearsal: generated scenes, `rehearsal_share` of the training crops.
    Sample i of round r is drawn from (seed, r, i), whatever the number of workers.
    """

    def __init__(
        self,
        train: Samples,
        val: Samples | None,
        augmentation: Any = None,
        crop_px: int = 128,
        batch_size: int = 8,
        round_steps: int = 50,
        seed: int = 0,
        scale: float = 1.0,
        workers: int = 0,
        val_crops: int = 64,
        balance: float | None = None,
        paste_share: float = 0.0,
        drawn_share: float = 0.0,
        draw: Any = None,
        hard_share: float = 0.0,
        rehearsal: Samples | None = None,
        rehearsal_share: float = 0.0,
        pixel_size_m: float | None = None,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.workers = workers
        length = round_steps * batch_size
        self.own = TrainCrops(
            train,
            crop_px,
            augmentation,
            seed=seed,
            scale=scale,
            pixel_size_m=pixel_size_m,
            balance=balance,
            paste_share=paste_share,
            drawn_share=drawn_share,
            draw=draw,
            hard_share=hard_share,
            length=length,
        )
        """Crops of the data set itself."""
        self.train: TrainCrops | Mixture = self.own
        if rehearsal is not None and rehearsal_share:
            generated = TrainCrops(rehearsal, crop_px, augmentation, seed=seed, length=length, cache_bytes=0)
            self.train = Mixture(self.own, generated, rehearsal_share)
        self.val = None
        if val is not None and len(val):
            length = min(val_crops, 4 * len(val))
            scales: Any = {"scale": scale, "pixel_size_m": pixel_size_m, "scale_range": (1, 1)}
            self.val = TrainCrops(val, crop_px, None, seed=seed, length=length, **scales)

    def train_dataloader(self) -> DataLoader[Any]:
        """The crops of a round, this rank's share of them."""
        return self._loader(self.train)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation crops, all of them on every rank, so that each comes to the same loss; [] without any."""
        return self._loader(self.val, rounds=False) if self.val is not None else []

    def _loader(self, crops: TrainCrops | Mixture, rounds: bool = True) -> DataLoader[Any]:
        rank, world = rank_and_world()
        if self.batch_size % world:
            raise InputError(f"train.batch_size is {self.batch_size}; {world} devices want a multiple of {world}")
        return DataLoader(
            crops,
            self.batch_size // world if rounds else self.batch_size,
            sampler=RoundSampler(crops, rank, world) if rounds else None,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=collate,
        )


class RoundSampler(Sampler[int]):
    """Every `world`-th crop of the round from `rank` on, in order: the crops shuffle themselves.

    A crop is a function of (seed, round, index), so the ranks of a world together see, step by step, the batches that
    one device alone would see. Lightning tells it the round by `set_epoch`.
    """

    def __init__(self, crops: TrainCrops | Mixture, rank: int = 0, world: int = 1) -> None:
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
