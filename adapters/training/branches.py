"""The training of several decoders on one frozen backbone, each by the crops of its own domain.

Every step shows one branch a batch of its own, by shares (alternating training of tasks: Caruana, Multitask Learning,
1997, https://doi.org/10.1023/A:1007379606734, section 2): as nothing is shared that learns, each moves as it would
alone, at its share of the steps. Of each branch the weights of its own lowest validation loss are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adapters.joint_network import BranchedSegmenter
from adapters.losses import EntityLoss
from adapters.options.training import TrainOptions
from adapters.training.data import EntityDataModule, RoundSampler
from adapters.training.fitting import Plan
from adapters.training.module import EntityModule
from adapters.training.prefix_cache import Bank, CachedData, Rounds
from domains.crops.mixed_crops import GOLDEN
from domains.entities import EntityBatch, Place, collate


@dataclass(frozen=True)
class BranchBatch:
    """Crops of one domain, and the branch that they are for."""

    branch: str
    crops: EntityBatch

    def __len__(self) -> int:
        return len(self.crops)

    def to(self, device: torch.device | str) -> BranchBatch:
        """The batch with every tensor on a device."""
        return replace(self, crops=self.crops.to(device))

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the crops come from."""
        return self.crops.places


class BranchOrder:
    """Which branch learns in which step: any run of steps has of each branch its share, as nearly as whole steps can.

    shares: of each branch, of sum 1.
    """

    def __init__(self, shares: Sequence[float], seed: int = 0) -> None:
        self.ends = np.cumsum(shares)
        self.start = np.random.default_rng((seed, 5)).random()
        self.branches = self.turns = np.zeros(0, int)

    def __getitem__(self, step: int) -> tuple[int, int]:
        """The number of the branch, and how many steps it had before."""
        while step >= len(self.branches):
            self._lay_out(max(1024, 2 * len(self.branches)))
        return int(self.branches[step]), int(self.turns[step])

    def _lay_out(self, steps: int) -> None:
        places = (self.start + np.arange(steps) * GOLDEN) % 1.0
        self.branches = np.minimum(np.searchsorted(self.ends, places, side="right"), len(self.ends) - 1)
        self.turns = np.empty(steps, int)
        for branch in range(len(self.ends)):
            steps_of_branch = np.flatnonzero(self.branches == branch)
            self.turns[steps_of_branch] = np.arange(len(steps_of_branch))


class BranchSteps(Dataset[BranchBatch]):
    """A batch for every step of a round: of the branch whose turn it is, the crops that come next there.

    data: by branch, each long enough for all steps of the training.
    """

    def __init__(
        self, data: Mapping[str, EntityDataModule | CachedData], shares: Sequence[float], round_steps: int
    ) -> None:
        self.names, self.round_steps = [*data], round_steps
        self.draws = [turns_of(module) for module in data.values()]
        self.order = BranchOrder(shares, batches_of(next(iter(data.values()))).seed)
        self._round = torch.tensor(0).share_memory_()  # shared, so that workers that outlive a round see the next

    def __len__(self) -> int:
        return self.round_steps

    def set_epoch(self, epoch: int) -> None:
        """The steps of that round."""
        self._round.fill_(epoch)

    def __getitem__(self, index: int) -> BranchBatch:
        if not 0 <= index < self.round_steps:
            raise IndexError(index)
        branch, turn = self.order[int(self._round) * self.round_steps + index]
        return BranchBatch(self.names[branch], self.draws[branch][turn])


@dataclass(frozen=True)
class FreshCrops:
    """The batches of a branch by their number, counted from the beginning of the training: every crop is a new one."""

    crops: Any
    size: int

    def __getitem__(self, turn: int) -> EntityBatch:
        return collate([self.crops[turn * self.size + place] for place in range(self.size)])


@dataclass(frozen=True)
class KeptCrops:
    """As `FreshCrops`, of crops that are kept for some turns."""

    bank: Bank
    order: Rounds
    size: int

    def __getitem__(self, turn: int) -> EntityBatch:
        return self.bank.batch([self.order[turn * self.size + place] for place in range(self.size)])


def turns_of(data: EntityDataModule | CachedData) -> FreshCrops | KeptCrops:
    """The batches of a branch by their number."""
    options = batches_of(data)
    if not isinstance(data, CachedData):
        return FreshCrops(data.train, options.batch_size)
    order = Rounds(data.bank.count, len(data.bank.crops), options.seed)
    return KeptCrops(data.bank, order, options.batch_size)


def batches_of(data: EntityDataModule | CachedData) -> Any:
    """How the crops of a branch become batches."""
    return (data.data if isinstance(data, CachedData) else data).batches


class ValidationBatches(Dataset[BranchBatch]):
    """All validation crops, in batches of one branch each."""

    def __init__(self, data: Mapping[str, Any], batch_size: int) -> None:
        """data: the crops of each branch, by name."""
        self.data = dict(data)
        self.places = [
            (name, range(start, min(start + batch_size, count)))
            for name, crops in self.data.items()
            for count in [len(crops)]
            for start in range(0, count, batch_size)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> BranchBatch:
        name, numbers = self.places[index]
        return BranchBatch(name, collate([self.data[name][number] for number in numbers]))


class BranchedData(EntityDataModule):
    """The batches of several branches: in training one branch's in each step, by its share; in validation all.

    data: by branch, each of as many crops as all steps would take. shares: of the steps, of sum 1.
    """

    def __init__(
        self, data: Mapping[str, EntityDataModule | CachedData], shares: Sequence[float], round_steps: int
    ) -> None:
        L.LightningDataModule.__init__(self)
        lead = next(iter(data.values()))
        self.batches, self.crops = batches_of(lead), lead.crops
        self.steps = BranchSteps(data, shares, round_steps)
        cached = any(isinstance(module, CachedData) for module in data.values())
        self.workers = 0 if cached else self.batches.workers  # kept crops lie in this process
        plain = {name: x.data if isinstance(x, CachedData) else x for name, x in data.items()}
        self.watched = {name: module.val for name, module in plain.items() if module.val is not None}

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches of a round."""
        return self._in_batches(self.steps, RoundSampler(self.steps))

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation crops; [] without any."""
        watched = ValidationBatches(self.watched, self.batches.batch_size)
        return self._in_batches(watched, None) if self.watched else []

    def _in_batches(self, batches: Dataset[BranchBatch], sampler: RoundSampler | None) -> DataLoader[Any]:
        workers = self.workers
        return DataLoader(
            batches, batch_size=None, sampler=sampler, num_workers=workers, persistent_workers=workers > 0
        )


class BranchedModule(EntityModule):
    """Fits the branches of a network to `BranchBatch`es, each by its own loss."""

    segmenter: BranchedSegmenter

    def __init__(
        self,
        segmenter: BranchedSegmenter,
        losses: Mapping[str, EntityLoss],
        options: TrainOptions | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """losses: by branch. clock: as of `EntityModule`."""
        super().__init__(segmenter, next(iter(losses.values())), options, *([clock] if clock else []))
        self.losses = dict(losses)
        self.best: dict[str, tuple[float, dict[str, Tensor]]] = {}
        """Of each branch its lowest validation loss, and its weights then."""
        self._watched: dict[str, list[tuple[float, int]]] = {}

    def terms(self, batch: Any) -> dict[str, Tensor]:
        """The weighted terms of a batch by its branch."""
        network, crops = self.segmenter.branches[batch.branch], batch.crops
        return self.losses[batch.branch](network(crops.images, getattr(crops, "prefix", None)), crops)

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of a batch of validation crops, logged under `val/`, and noted for its branch."""
        loss = super().validation_step(batch, batch_idx)
        self._watched.setdefault(batch.branch, []).append((float(loss.detach()), len(batch)))
        return loss

    def on_validation_end(self) -> None:
        """The step is noted, and the weights of every branch that is at its best."""
        super().on_validation_end()
        self.note_best()

    def note_best(self) -> None:
        """The weights of every branch whose validation crops just came to its lowest loss are noted."""
        for name, losses in self._watched.items():
            loss = sum(value * count for value, count in losses) / sum(count for _, count in losses)
            if loss < self.best.get(name, (float("inf"),))[0]:
                learning = self.segmenter.branches[name].decoder.named_parameters()
                weights = {key: x.detach().cpu().clone() for key, x in learning if x.requires_grad}
                self.best[name] = loss, weights
        self._watched = {}

    def kept(self, loss: float) -> float:
        """Every branch gets its own best weights; the mean of their losses. Where a projection learns, which all share,
        the weights of the lowest mean stay, of which `loss` is that.
        """
        if self.segmenter.projection is not None or not self.best:
            return loss
        for name, (_, weights) in self.best.items():
            self.segmenter.branches[name].decoder.load_state_dict(weights, strict=False)
        return float(np.mean([value for value, _ in self.best.values()]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The checkpoint holds the best weights of every branch too."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["branches"] = dict(self.best)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The best weights of every branch come back."""
        super().on_load_checkpoint(checkpoint)
        self.best = dict(checkpoint["branches"])


@dataclass(frozen=True)
class BranchedPlan(Plan):
    """The plan of a training of several branches; its network is a `BranchedSegmenter`."""

    losses: Mapping[str, EntityLoss] = field(default_factory=dict)

    def module(self) -> BranchedModule:
        """What trains all branches for the plan's budget; the rate warms up for as many steps of each as of one."""
        assert isinstance(self.network, BranchedSegmenter)
        warm = self.options.warmup_steps * len(self.losses)
        options = replace(self.options, steps=self.budget.steps, seconds=self.budget.seconds, warmup_steps=warm)
        return BranchedModule(self.network, self.losses, options, self.budget.clock)
