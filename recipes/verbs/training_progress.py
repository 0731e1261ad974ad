"""A Lightning callback that shows the progress of a training; apart from `progress`, since Lightning loads slowly."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from recipes.verbs.progress import Progress


class TrainingProgress(Callback):
    """A bar with the loss and, once there is one, the validation loss. title: what stands before the bar."""

    def __init__(self, title: str, steps: int, seconds: float | None = None) -> None:
        self.progress = Progress(title, steps, seconds)
        self._open = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:  # one bar, whose budget is that of the rank that decides
            return
        self.progress.begin_at(trainer.global_step, getattr(pl_module, "seconds", 0.0))
        self.progress.__enter__()
        self._open = True

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if not self._open:
            return
        metrics = trainer.callback_metrics
        shown = {name: float(metrics[name]) for name in ("loss", "val/loss") if name in metrics}
        self.progress.advance(shown)

    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if self._open:
            self.progress.tick()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Also after an exception, so that the terminal gets its cursor back."""
        if self._open:
            self._open = False
            self.progress.__exit__(None, None, None)
