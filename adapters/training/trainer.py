"""A Lightning trainer set up for this project: rounds, atomic checkpoints, a history that survives, a kind Ctrl-C."""

from __future__ import annotations

import csv
import errno
import math
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from adapters.runtime import CPU, Runtime
from adapters.training.module import EntityModule
from adapters.training.ranks import Averaging, Rank
from domains.atomic import atomic_path
from domains.errors import InputError

CHECKPOINT_KEYS = {"state_dict", "optimizer_states", "loops", "callbacks"}
BEST_CHECKPOINT = "best.ckpt"


def make_trainer(
    run: Path,
    steps: int,
    round_steps: int,
    runtime: Runtime = CPU,
    clip: float = 1.0,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    *,
    rank: Rank | None = None,
) -> EntityTrainer:
    """A trainer on `runtime`, which validates and writes RUN/checkpoints/{last,best}.ckpt each `round_steps` steps.

    `best` is the round of lowest `val/loss`. RUN/history.csv has a row per step and per validation.
    rank: of this process, where `ranks.started` began the others; else several devices are torchrun's.
    """
    best, newest = (  # two of them: with save_last, Lightning 2.6 writes the last round only where it is the best too
        RoundCheckpoint(
            dirpath=run / "checkpoints",
            filename=name,
            monitor=monitor,
            save_on_train_epoch_end=True,  # at the end of validation a round still counts as begun, and is begun again
            enable_version_counter=False,
        )
        for name, monitor in (("best", "val/loss"), ("last", None))
    )
    return EntityTrainer(
        runtime,
        default_root_dir=run,
        **({} if runtime.devices == 1 else {"strategy": Averaging()}),
        **runtime.trainer_options(),
        use_distributed_sampler=False,  # ours shares the crops out
        max_epochs=math.ceil(steps / round_steps),  # the module ends at its steps; with max_steps a resume is inexact
        limit_train_batches=round_steps,
        num_sanity_val_steps=0,
        gradient_clip_val=clip,
        log_every_n_steps=1,
        logger=list(loggers) or False,
        callbacks=[best, newest, History(run / "history.csv"), StopOnInterrupt(), *callbacks],
        plugins=[AtomicCheckpointIO(), *([] if rank is None else [rank])],
        enable_progress_bar=False,
        enable_model_summary=False,
    )


class EntityTrainer(L.Trainer):
    """Lightning's trainer, which leaves a module on the device of `runtime`; Lightning itself takes it to the CPU.

    Its methods raise InputError where the device has not the memory for a step.
    """

    def __init__(self, runtime: Runtime, **options: Any) -> None:
        super().__init__(**options)
        self.runtime = runtime

    def fit(self, model: L.LightningModule, *arguments: Any, **options: Any) -> None:
        """Train, as Lightning's `fit` does."""
        with self._on_device(model):
            super().fit(model, *arguments, **options)

    def validate(self, model: L.LightningModule, *arguments: Any, **options: Any) -> Any:
        """Validate, as Lightning's `validate` does."""
        with self._on_device(model):
            return super().validate(model, *arguments, **options)

    @contextmanager
    def _on_device(self, module: L.LightningModule) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{self.runtime.device} has not the memory for a training step; lower train.batch_size or the crops' "
                "side (domain.crop_px; scenes.crop_px of pretrain), or set backbone.gradient_checkpointing=true"
            ) from error
        finally:
            module.to(self.runtime.device)


def keep_best(trainer: L.Trainer, module: EntityModule, data: L.LightningDataModule) -> float:
    """Leave the module with the weights of lowest validation loss, and return that loss.

    A time budget may end inside a round, after which nothing was validated yet; so the last weights are, here.
    """
    callback = trainer.checkpoint_callback
    assert isinstance(callback, ModelCheckpoint)
    best = float("inf") if callback.best_model_score is None else float(callback.best_model_score)
    if module.validated_step != module.steps_done or not callback.best_model_path:
        loss = float(trainer.validate(module, data, verbose=False)[0]["val/loss"])
        if loss <= best:
            return module.kept(loss)
    load_weights(module, Path(callback.best_model_path))
    return module.kept(best)


def load_weights(module: EntityModule, checkpoint: Path) -> None:
    """The trainable weights of a checkpoint into the module; a checkpoint that lacks one is an error."""
    state = read_checkpoint(checkpoint)["state_dict"]
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    if missing := trained - state.keys():
        raise InputError(f"{checkpoint} lacks {len(missing)} trained weights, {min(missing)!r} among them")
    module.load_state_dict(state, strict=False)


class RoundCheckpoint(ModelCheckpoint):
    """A checkpoint after every whole round: one that Ctrl-C cut short would count as done, and its rest be lost."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A checkpoint of a whole round."""
        if not was_interrupted(trainer) or trainer.global_step % int(trainer.limit_train_batches or 1) == 0:
            super().on_train_epoch_end(trainer, pl_module)


def was_interrupted(trainer: L.Trainer) -> bool:
    """Whether Ctrl-C ended the training."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return any(isinstance(callback, StopOnInterrupt) and callback.interrupted for callback in callbacks)


class AtomicCheckpointIO(TorchCheckpointIO):
    """A checkpoint is there whole or not at all: written beside its place, then renamed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it beside `path` and rename it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """The checkpoint at `path`, on the CPU. Raises InputError where it is damaged."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint that a round wrote, on the CPU, nothing in it unpickled but tensors and plain values.

    Raises InputError where it is damaged, with the ways out; torch's reasons would mislead.
    """
    cause: Exception | None = None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state.keys() >= CHECKPOINT_KEYS:
            return state
    except Exception as error:  # damaged bytes make the readers of zip and pickle raise anything
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which torch makes of a file that is cut off
            raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
        cause = error
    best = path.with_name(BEST_CHECKPOINT)
    going_on = f"copy {str(best)!r} over it to go on from the best round, or " if best.exists() and best != path else ""
    raise InputError(f"{str(path)!r} is damaged, or holds no round; {going_on}begin anew in another --out") from cause


class History(Callback):
    """A row per training step and per validation, in the checkpoint too, so that a resumed run has one history."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """A row of the step's losses."""
        self._add(trainer, pl_module, lambda name: not name.startswith("val/"))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A row of the validation's losses; the file is written."""
        self._add(trainer, pl_module, lambda name: name.startswith("val/"))
        self._write(trainer)

    def _add(self, trainer: L.Trainer, module: L.LightningModule, belongs: Any) -> None:
        assert isinstance(module, EntityModule)
        terms = {name: float(value) for name, value in trainer.logged_metrics.items() if belongs(name)}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append({"step": trainer.global_step, "seconds": round(module.seconds, 2), "lr": rate, **terms})

    def _write(self, trainer: L.Trainer) -> None:
        if not trainer.is_global_zero:  # the other ranks' rows are the same
            return
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The file is written."""
        self._write(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The rows, for a checkpoint."""
        return {"rows": list(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The rows are those of a checkpoint again."""
        self.rows = list(state_dict["rows"])


class StopOnInterrupt(Callback):
    """The first Ctrl-C ends training after the step at hand, with all that it has learnt; the second one kills."""

    def __init__(self) -> None:
        self.interrupted = False
        self._previous: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The signal is ours from here on."""

        def stop(_: int, __: FrameType | None) -> None:
            signal.signal(signal.SIGINT, self._previous)
            self.interrupted = True
            trainer.should_stop = trainer.should_stop or trainer.world_size == 1

        try:
            self._previous = signal.signal(signal.SIGINT, stop)
        except ValueError:  # not in the main thread: whoever started us handles signals
            self._previous = None

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Where several ranks learn they stop after the same step, or one would wait for the others for ever."""
        if trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(self.interrupted, all=False):
            self.interrupted = trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The signal is again whose it was."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
