"""A domain's samples as training and validation batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning as L
from torch.utils.data import DataLoader, Sampler

from domains.crops.augment import Mixture, Samples, TrainCrops
from domains.entities import collate


class EntityDataModule(L.LightningDataModule):
    """Augmented crops for training and fixed, unaugmented ones for validation.

    train, val: datasets of `EntitySample`; augmentation: an albumentations `Compose` or None; crop_px: side of the
    crops, a multiple of the backbone's stride and of 8; scale: input resize factor, 2 doubles every side.
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
            other = TrainCrops(rehearsal, crop_px, augmentation, seed=seed, length=length, cache_bytes=0)
            self.train = Mixture(self.own, other, rehearsal_share)
        self.val = None
        if val is not None and len(val):
            length = min(val_crops, 4 * len(val))
            scales: Any = {"scale": scale, "pixel_size_m": pixel_size_m, "scale_range": (1, 1)}
            self.val = TrainCrops(val, crop_px, None, seed=seed, length=length, **scales)

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self._loader(self.val, rounds=False) if self.val is not None else []

    def _loader(self, crops: TrainCrops | Mixture, rounds: bool = True) -> DataLoader[Any]:
        return DataLoader(
            crops,
            self.batch_size,
            sampler=RoundSampler(crops) if rounds else None,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=collate,
        )


class RoundSampler(Sampler[int]):
    """Every crop of the round in order: the crops shuffle themselves. Lightning tells it the round by `set_epoch`."""

    def __init__(self, crops: TrainCrops | Mixture) -> None:
        self.crops = crops

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.crops)))

    def __len__(self) -> int:
        return len(self.crops)

    def set_epoch(self, epoch: int) -> None:
        self.crops.set_epoch(epoch)
