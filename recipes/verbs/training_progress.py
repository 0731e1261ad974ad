"""How far a fit is, in the terminal: apart from `progress`, since Lightning loads slowly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from adapters.inference.calibration import Calibration
from adapters.training.fitting import Budget, Reporter, Training, Watch
from adapters.training.memory_fit import Remembered
from adapters.training.region_fit import FEWEST
from recipes.verbs.progress import PATIENCE, Progress


class TrainingProgress(Callback):
    """A bar with the loss and, once there is one, the validation loss. title: what stands before the bar."""

    def __init__(self, title: str, steps: int, seconds: float | None = None) -> None:
        self.progress = Progress(title, steps, seconds)
        self._open = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The bar opens, of a resumed run where it was left."""
        if not trainer.is_global_zero:  # one bar, whose budget is that of the rank that decides
            return
        self.progress.begin_at(trainer.global_step, getattr(pl_module, "seconds", 0.0))
        self.progress.__enter__()
        self._open = True

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """One step more is done."""
        if not self._open:
            return
        metrics = trainer.callback_metrics
        values = {name: float(metrics[name]) for name in ("loss", "val/loss") if name in metrics}
        self.progress.advance(values)

    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Time for a redraw, between two steps."""
        if self._open:
            self.progress.tick()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """The bar closes, also after an exception, so that the terminal gets its cursor back."""
        if self._open:
            self._open = False
            self.progress.__exit__(None, None, None)


class Terminal(Reporter):
    """Bars on standard error, and a line on what each stage came to. longer: gives the command that goes on where the
    seconds ended the training.
    """

    def __init__(self, budget: Budget, longer: Callable[[], str]) -> None:
        self.budget, self.longer = budget, longer

    def stage(self, title: str, images: int = 0) -> AbstractContextManager[Watch]:
        """A bar of images, or one that stays only where the stage takes long."""
        return Progress(title, images, unit="images") if images else Progress(title, 0, patience=PATIENCE)

    def callbacks(self, budget: Budget) -> Sequence[Callback]:
        """The bar of the training."""
        return [TrainingProgress("fit", budget.steps, budget.seconds)]

    def loggers(self, run: Path) -> Sequence[Logger]:
        """A TensorBoard log where tensorboard is installed."""
        try:
            import tensorboard as _  # type: ignore[import-not-found]  # noqa: F401
        except ImportError:
            return []
        from lightning.pytorch.loggers import TensorBoardLogger

        return [TensorBoardLogger(str(run), name="tensorboard", version="")]

    def trained(self, training: Training) -> None:
        """Where the seconds ended it before its steps were done, a line says so, and how to go on."""
        seconds, steps = self.budget.seconds, self.budget.steps
        if seconds and training.steps < steps:
            print(
                f"ended by time: train.seconds={seconds:g} were over at step {training.steps} of {steps}; "
                f"train.seconds=null does all steps, and to go on from this adapter: {self.longer()}",
                file=sys.stderr,
            )

    def regions_learnt(self, candidates: int) -> None:
        """A line on standard output."""
        print(f"regions: learnt from {candidates} candidates of the training images")

    def regions_given_up(self, candidates: int) -> None:
        """A line on standard error."""
        print(
            f"regions: not learnt, the training images gave {candidates} candidates, wanted {FEWEST} or more: entities "
            "are cut out by the watershed instead",
            file=sys.stderr,
        )

    def calibrated(self, calibration: Calibration) -> None:
        """A line on standard output."""
        print(calibration)

    def remembered(self, remembered: Remembered) -> None:
        """A line on standard output."""
        print(remembered)
