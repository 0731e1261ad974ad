"""What a network runs on: device, precision and number of devices, chosen once (`recipes.runtime`) and handed down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

from domains.errors import InputError

Precision = Literal["fp32", "bf16", "int8"]
ACCELERATORS = {"cuda": "cuda", "mps": "mps"}  # torch's word for a device -> Lightning's; all else trains on the CPU


@dataclass(frozen=True)
class Runtime:
    """Device, precision and devices of a network. By default the CPU in single precision, which repeats to the byte."""

    device: torch.device = torch.device("cpu")
    precision: Precision = "fp32"
    """Of prediction and measurement; bf16 is autocast, weights stay in single precision. int8: the backbone's linear
    layers are, all else is as `best_precision` has it."""
    devices: int = 1
    """How many learn side by side; prediction and measurement use one."""
    training: str = "32-true"
    """Precision of the training loop in Lightning's words, as `best_precision` gives it."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which a network predicts; that of single precision is empty."""
        if self.precision == "fp32" or (self.precision == "int8" and best_precision() == "32-true"):
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def training_autocast(self) -> AbstractContextManager[Any]:
        """The context in which a network learns, for what Lightning does not run."""
        half = self.training.startswith("bf16")
        return torch.autocast(self.device.type, torch.bfloat16) if half else nullcontext()

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


def best_precision(asked: str = "auto", device: str = "cpu") -> str:
    """Lightning's precision for 'auto', 'fp32' or 'bf16'.

    'auto' is bf16 autocast where the processor has bf16 instructions. Where it has not, they are emulated: on a
    Xeon with AVX-512 but without its bf16 part a training step took 2.1 times as long as in fp32.
    """
    if asked != "auto":
        return {"fp32": "32-true", "bf16": "bf16-mixed"}[asked]
    if device == "cpu":
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        fast = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if fast else "32-true"


def crops_of_device(batch_size: int, devices: int) -> int:
    """Crops of a step on each device. Raises InputError where they cannot share a batch out."""
    if batch_size % devices:
        raise InputError(f"train.batch_size is {batch_size}; {devices} devices want a multiple of {devices}")
    return batch_size // devices
