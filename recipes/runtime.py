"""Which device and precision the words of a user mean on this machine."""

from __future__ import annotations

from typing import Literal, Protocol

import torch

from adapters.runtime import Precision, Runtime, best_precision, crops_of_device
from domains.errors import InputError

PRECISIONS = ("auto", "fp32", "bf16", "int8")


class TrainWords(Protocol):
    """The options of a recipe's `train` section that a runtime is made of."""

    @property
    def device(self) -> str:
        """`auto`, or a device as torch names it."""
        ...

    @property
    def precision(self) -> Literal["auto", "fp32", "bf16"]:
        """`auto`, or the numbers that networks compute in."""
        ...

    @property
    def devices(self) -> int:
        """How many learn side by side."""
        ...

    @property
    def batch_size(self) -> int:
        """Crops of a step, of all devices together."""
        ...


def choose(device: str = "auto", precision: str = "auto") -> Runtime:
    """The runtime of a verb that predicts or measures, from `--device` and `--precision`. Raises InputError.

    device: `auto`, the accelerator if there is one, else the CPU; `cpu`; `gpu`; or torch's own name, such as `cuda:1`.
    precision: `fp32`; `bf16`; `int8`, on a CPU; or `auto`, as in training: bf16 where the device has the instructions.
    """
    return Runtime(chosen := device_of(device), _precision(precision, chosen))


def of_training(train: TrainWords) -> Runtime:
    """The runtime of `fit` and `pretrain`: `train.precision` is the training loop's alone.

    Measurements are as `predict` would be. A CPU trains by its instructions, however it was chosen. Several devices are
    as many processes on the CPU, or that many GPUs. Raises InputError, also where they cannot share out a batch.
    """
    device = device_of(train.device, "train.device")
    crops_of_device(train.batch_size, train.devices)
    if device.type != "cpu" and train.devices > len(present()) - 1:
        raise InputError(
            f"train.devices is {train.devices}; this machine has {', '.join(present())}; take as many as there are of "
            "one kind, or train.device=cpu"
        )
    training = best_precision(train.precision, device.type)
    return Runtime(device, _precision("auto", device), train.devices, training)


def words_of(runtime: Runtime) -> dict[str, str | None]:
    """The options of a command that chooses the runtime again, None for those that it may leave out."""
    device = None if runtime.device == device_of("auto") else str(runtime.device)
    automatic = runtime.precision == _precision("auto", runtime.device)
    return {"--device": device, "--precision": None if automatic else runtime.precision}


def device_of(word: str, option: str = "--device") -> torch.device:
    """The device that `auto`, `cpu`, `gpu` or torch's own name stands for. Raises InputError where it is not there."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if word == "auto":
        return accelerator or torch.device("cpu")
    if word == "cpu":
        return torch.device("cpu")
    devices = present()
    if word == "gpu" and accelerator is not None:
        return accelerator
    if accelerator is not None and (word == accelerator.type or word in devices):
        return torch.device(word)
    raise InputError(f"{option} is {word!r}; wanted auto, cpu, gpu or a device of this machine: {', '.join(devices)}")


def present() -> list[str]:
    """The devices of this machine by torch's names, the CPU first."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ["cpu"]
    return ["cpu", *(f"{accelerator.type}:{index}" for index in range(torch.accelerator.device_count()))]


def _precision(word: str, device: torch.device) -> Precision:
    if word not in PRECISIONS:
        raise InputError(f"--precision is {word!r}; wanted one of {', '.join(PRECISIONS)}")
    if word == "int8":
        if device.type != "cpu":
            raise InputError(f"--precision int8 is for the CPU; the device is {device}: --device cpu, or leave it out")
        return "int8"
    if word == "bf16" or (word == "auto" and best_precision("auto", device.type) == "bf16-mixed"):
        return "bf16"
    return "fp32"
