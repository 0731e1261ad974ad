"""A Lightning trainer set up for this project: rounds, atomic checkpoints, a history that survives, a kind Ctrl-C."""

from __future__ import annotations

import csv
import math
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from adapters.training.module import EntityModule
from domains.atomic import atomic_path
from domains.errors import InputError


def make_trainer(
    run: Path,
    steps: int,
    round_steps: int,
    precision: str = "32-true",
    device: str = "auto",
    clip: float = 1.0,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> L.Trainer:
    """A trainer that validates and writes RUN/checkpoints/{last,best}.ckpt after every `round_steps` steps.

    `best` is the round of lowest `val/loss`. RUN/history.csv has a row per step and per validation.
    """
    best, last = (  # two of them: with save_last, Lightning 2.6 writes the last round only where it is the best too
        RoundCheckpoint(
            dirpath=run / "checkpoints",
            filename=name,
            monitor=monitor,
            save_on_train_epoch_end=True,  # at the end of validation a round still counts as begun, and is begun again
            enable_version_counter=False,
        )
        for name, monitor in (("best", "val/loss"), ("last", None))
    )
    return L.Trainer(
        default_root_dir=run,
        accelerator=device,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        max_epochs=math.ceil(steps / round_steps),  # the module ends at its steps; with max_steps a resume is inexact
        limit_train_batches=round_steps,
        num_sanity_val_steps=0,
        gradient_clip_val=clip,
        log_every_n_steps=1,
        logger=list(loggers) or False,
        callbacks=[best, last, History(run / "history.csv"), StopOnInterrupt(), *callbacks],
        plugins=[AtomicCheckpointIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def keep_best(trainer: L.Trainer, module: EntityModule, data: L.LightningDataModule) -> float:
    """Leave the module with the weights of lowest validation loss, and return that loss.

    A time budget may end inside a round, after which nothing was validated yet; so the last weights are, here.
    """
    callback = trainer.checkpoint_callback
    assert isinstance(callback, ModelCheckpoint)
    best = float("inf") if callback.best_model_score is None else float(callback.best_model_score)
    if module.validated_step != module.steps_done or not callback.best_model_path:
        last = float(trainer.validate(module, data, verbose=False)[0]["val/loss"])
        if last <= best:
            return last
    load_weights(module, Path(callback.best_model_path))
    return best


def load_weights(module: EntityModule, checkpoint: Path) -> None:
    """The trainable weights of a checkpoint into the module; a checkpoint that lacks one is an error."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    wanted = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    if missing := wanted - state.keys():
        raise InputError(f"{checkpoint} lacks {len(missing)} trained weights, {min(missing)!r} among them")
    module.load_state_dict(state, strict=False)


class RoundCheckpoint(ModelCheckpoint):
    """A checkpoint after every whole round: one that Ctrl-C cut short would count as done, and its rest be lost."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not was_interrupted(trainer) or trainer.global_step % int(trainer.limit_train_batches or 1) == 0:
            super().on_train_epoch_end(trainer, pl_module)


def was_interrupted(trainer: L.Trainer) -> bool:
    """Whether Ctrl-C ended the training."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return any(isinstance(callback, StopOnInterrupt) and callback.interrupted for callback in callbacks)


class AtomicCheckpointIO(TorchCheckpointIO):
    """A checkpoint is there whole or not at all: written beside its place, then renamed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)


class History(Callback):
    """A row per training step and per validation, in the checkpoint too, so that a resumed run has one history."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self._add(trainer, pl_module, lambda name: not name.startswith("val/"))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._add(trainer, pl_module, lambda name: name.startswith("val/"))
        self.write()

    def _add(self, trainer: L.Trainer, module: L.LightningModule, wanted: Any) -> None:
        assert isinstance(module, EntityModule)
        terms = {name: float(value) for name, value in trainer.logged_metrics.items() if wanted(name)}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append({"step": trainer.global_step, "seconds": round(module.seconds, 2), "lr": rate, **terms})

    def write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.write()

    def state_dict(self) -> dict[str, Any]:
        return {"rows": list(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])


class StopOnInterrupt(Callback):
    """The first Ctrl-C ends training after the step at hand, with all that it has learnt; the second one kills."""

    def __init__(self) -> None:
        self.interrupted = False
        self._previous: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        def stop(_: int, __: FrameType | None) -> None:
            signal.signal(signal.SIGINT, self._previous)
            self.interrupted = True
            trainer.should_stop = True

        try:
            self._previous = signal.signal(signal.SIGINT, stop)
        except ValueError:  # not in the main thread: whoever started us handles signals
            self._previous = None

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
