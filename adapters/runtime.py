"""What a network runs on: device, precision and number of devices, chosen once (`recipes.runtime`) and handed down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

Precision = Literal["fp32", "bf16"]
ACCELERATORS = {"cuda": "cuda", "mps": "mps"}  # torch's word for a device -> Lightning's; all else trains on the CPU


@dataclass(frozen=True)
class Runtime:
    """Device, precision and devices of a network. By default the CPU in single precision, which repeats to the byte."""

    device: torch.device = torch.device("cpu")
    precision: Precision = "fp32"
    """Of prediction and measurement; bf16 is autocast, weights stay in single precision."""
    devices: int = 1
    """How many learn side by side; prediction and measurement use one."""
    training: str = "32-true"
    """Precision of the training loop in Lightning's words, as `best_precision` gives it."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which a network predicts; that of single precision is empty."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def trainer_options(self) -> dict[str, Any]:
        """Accelerator, devices and precision as a Lightning trainer takes them."""
        alone = self.devices == 1 and self.device.index is not None and self.device.type in ACCELERATORS
        return {
            "accelerator": ACCELERATORS.get(self.device.type, "cpu"),
            "devices": [self.device.index] if alone else self.devices,
            "precision": self.training,
        }


CPU = Runtime()


def in_memory(work: Callable[[], Any], device: torch.device) -> tuple[Any, bool]:
    """What `work` returns, and whether the device had the memory for it; without, its cache is emptied and the result
    is None.

    The error is dropped here: its trace holds the tensors that filled the memory.
    """
    try:
        return work(), True
    except torch.OutOfMemoryError:
        pass
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return None, False
