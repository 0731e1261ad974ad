"""Training as a Lightning module, usable in anybody's own `Trainer`.

An epoch is a round of a fixed number of steps between two looks at the validation set. Checkpoints are written at
the ends of rounds only, and every crop is seeded by (seed, round, index): a killed run that resumes recomputes the
round it was in and comes to the same losses.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from adapters.losses import EntityLoss
from adapters.methods.adalora import allocation_of
from adapters.methods.injected_methods import imbalance_of
from adapters.network import EntitySegmenter
from adapters.options.training import TrainOptions
from adapters.training.denormals import flush_denormals
from adapters.training.ranks import over_ranks
from adapters.training.teacher import Teacher
from domains.entities import EntityBatch, Place
from domains.errors import RunError


class NotFiniteError(RunError):
    """The loss became NaN or infinite; the message names the batch."""


class EntityModule(L.LightningModule):
    """Fits the trainable weights of a segmenter to `EntityBatch`es.

    Logs `loss` and each weighted term while training, `val/loss` and `val/<term>` in validation. Raises
    `NotFiniteError` on a loss that is not finite. Checkpoints hold the trainable weights alone.
    """

    def __init__(
        self,
        segmenter: EntitySegmenter,
        loss: EntityLoss,
        options: TrainOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: gives seconds; `time.process_time` for benchmarks, where other load on the machine must not count."""
        super().__init__()
        self.clock = clock
        self.segmenter = segmenter.train()  # models come from disk, and from measuring, in evaluation mode
        self.loss = loss
        self.allocation = allocation_of(segmenter.backbone)
        self.options = options or TrainOptions()
        self.teacher = Teacher(segmenter, self.options) if self.options.taught else None
        self.strict_loading = False  # the frozen base is not in the checkpoint
        self.seconds_before = 0.0  # of earlier, interrupted parts of this run
        self.steps_done = 0
        self.validated_step = -1
        self._started: float | None = None
        self._ended: float | None = None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The segmenter's outputs of images (B, C, H, W) in [0, 1]."""
        return self.segmenter(images)

    def training_step(self, batch: EntityBatch, batch_idx: int) -> Tensor:
        """The loss of a batch of crops, whose terms are logged."""
        if self.teacher is not None:
            batch = self.teacher.corrected(batch, self.progress)
        return self._shared_step(batch, prefix="")

    def validation_step(self, batch: EntityBatch, batch_idx: int) -> Tensor:
        """The loss of a batch of validation crops, logged under `val/`."""
        return self._shared_step(batch, prefix="val/")

    def _shared_step(self, batch: EntityBatch, prefix: str) -> Tensor:
        terms = self.terms(batch)
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            places = ", ".join(f"{place.scene} (y {place.y}, x {place.x})" for place in self.places(batch))
            values = ", ".join(f"{name} {float(value.detach()):.3g}" for name, value in terms.items())
            raise NotFiniteError(
                f"the loss is not finite at step {self.global_step} ({values}), in the batch {places}: "
                "lower train.lr and train.backbone_lr, or set train.precision=fp32"
            )
        values = {prefix + name: value.detach() for name, value in {"loss": total, **terms}.items()}
        self.log_dict(values, batch_size=len(batch))
        return total

    def terms(self, batch: EntityBatch) -> dict[str, Tensor]:
        """The weighted terms of a batch, whose sum is the loss."""
        prefix = getattr(batch, "prefix", None)
        outputs = self.segmenter(batch.images) if prefix is None else self.segmenter(batch.images, prefix)
        terms = self.joint_loss(outputs, batch)
        return {**terms, **self.penalties()} if self.training else terms

    def penalties(self) -> dict[str, Tensor]:
        """What some methods ask of their own weights."""
        penalties = {} if self.allocation is None else {"orthogonality": self.allocation.penalty()}
        imbalance = imbalance_of(self.segmenter.backbone)
        return penalties if imbalance is None else {**penalties, "imbalance": imbalance}

    def joint_loss(self, outputs: dict[str, Tensor], batch: EntityBatch) -> dict[str, Tensor]:
        """The terms over the crops of all processes that learn together; each validates on all crops by itself."""
        return self.loss(*over_ranks(outputs, batch)) if self.training else self.loss(outputs, batch)

    def places(self, batch: EntityBatch) -> Iterable[Place]:
        """Where the batch's crops come from."""
        return batch.places

    @property
    def seconds(self) -> float:
        """Time spent in training by the clock, over all parts of an interrupted run."""
        if self._started is None:
            return self.seconds_before
        return self.seconds_before + (self._ended or self.clock()) - self._started

    @property
    def progress(self) -> float:
        """Share of the budget that is used, in [0, 1]: of steps or of seconds, whichever is further."""
        share = self.global_step / self.options.steps
        if self.options.seconds:
            share = max(share, self.seconds / self.options.seconds)
        if self._trainer is not None and self.trainer.world_size > 1:
            share = self.trainer.strategy.broadcast(share)  # rank 0's clock decides, or one would stop alone
        return min(share, 1.0)

    def on_fit_start(self) -> None:
        """Denormal numbers are flushed, which slow a CPU down."""
        flush_denormals()

    def on_train_start(self) -> None:
        """The clock of the budget starts."""
        self._started = self.clock()

    def on_validation_end(self) -> None:
        """The step that was validated is noted, for a resume."""
        self.validated_step = self.global_step

    def on_train_end(self) -> None:
        """The clock of the budget stops."""
        self._ended = self.clock()

    def on_train_batch_end(self, *_: Any) -> None:
        """The step is counted; training stops where the budget of steps or seconds is spent."""
        self.steps_done = self.global_step
        if self.teacher is not None:
            self.teacher.follow()
        if self.allocation is not None:
            self.allocation.allocate(self.progress)
        if self.progress >= 1:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with the rates of `parameter_groups`, scheduled per step."""
        groups = list(parameter_groups(self.segmenter, self.options))
        optimizer = torch.optim.AdamW(groups, betas=self.options.betas)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Linear warm-up, then a cosine over the budget to a hundredth."""
        warm = min(1.0, (step + 1) / max(1, self.options.warmup_steps))
        done = self.progress if self._trainer is not None else 0.0
        return warm * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)

    def kept(self, loss: float) -> float:
        """What is left to do when the weights of lowest validation loss are in place; the loss of those that stay."""
        return loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The checkpoint holds what learns, the seconds spent and the state of the random numbers."""
        trainable = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k in trainable}
        checkpoint["seconds"] = self.seconds
        checkpoint["validated_step"] = self.validated_step
        checkpoint["rng"] = torch.get_rng_state()
        if self.teacher is not None:
            checkpoint["teacher"] = self.teacher.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What `on_save_checkpoint` added comes back."""
        self.seconds_before = checkpoint["seconds"]
        self.steps_done = checkpoint["global_step"]  # a run that was killed after its last round has no further step
        self.validated_step = checkpoint.get("validated_step", -1)
        torch.set_rng_state(checkpoint["rng"].cpu())
        if self.teacher is not None:
            self.teacher.load(checkpoint["teacher"])


def parameter_groups(segmenter: EntitySegmenter, options: TrainOptions) -> Iterator[dict[str, Any]]:
    """Two rates, decoder and backbone; no weight decay on vectors (biases, norms, scales)."""
    rates: tuple[tuple[nn.Module, float], ...] = (
        (segmenter.decoder, options.lr),
        (segmenter.backbone, options.backbone_lr),
        *([(segmenter.projection, options.lr)] if segmenter.projection is not None else []),
    )
    for module, lr in rates:
        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        for matrices, decay in ((True, options.weight_decay), (False, 0.0)):
            chosen = [parameter for parameter in learning if (parameter.ndim > 1) == matrices]
            if chosen:
                yield {"params": chosen, "lr": lr, "weight_decay": decay}
