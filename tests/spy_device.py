"""A second device made of the first: tensors on `spy` lie in the CPU's memory, yet behave as on a GPU.

PyTorch's door for backends written in Python registers it, so that `torch.device("spy")`, `tensor.to("spy")` and
`torch.accelerator` know it. A tensor on it keeps its values in a CPU tensor, and every operation runs there. One that
mixes tensors of both devices raises, as on a GPU, and so does `numpy()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.accelerators import Accelerator
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

aten = torch.ops.aten
BETWEEN_DEVICES = {aten.copy_.default, aten.index.Tensor, aten.index_put_.default, aten.index_put.default}
"""Operations that take tensors of the CPU beside others on a GPU too."""


class Backend:
    """What torch asks of a backend's module."""

    present = False
    """Whether the machine has the device: only inside `spy_device`."""

    def is_available(self) -> bool:
        return Backend.present

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return int(Backend.present)

    def current_device(self) -> int:
        return 0

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass


class SpyTensor(Tensor):
    """A tensor on `spy`; `values` holds what it holds, on the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> SpyTensor:
        about = {"strides": values.stride(), "storage_offset": values.storage_offset(), "dtype": values.dtype}
        tensor = Tensor._make_wrapper_subclass(cls, values.size(), device="spy:0", **about)  # type: ignore[attr-defined]
        tensor.values = values
        return tensor

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.values.__reduce_ex__(protocol)  # a checkpoint holds values

    def __repr__(self) -> str:  # type: ignore[override]
        return f"SpyTensor({self.values})"


class Spy(TorchDispatchMode):
    """Sends to `run` also what has no tensor on the device yet: transfers to it, and tensors made there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class Made(TorchFunctionMode):
    """`torch.tensor` fills its tensor below the reach of `Spy`: it is made on the CPU, then sent."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        target = kwargs.get("device")
        if func is torch.tensor and target is not None and torch.device(target).type == "spy":
            return func(*args, **{**kwargs, "device": "cpu"}).to(target)
        return func(*args, **kwargs)


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation, on the CPU's values; its results are on `spy` where its tensors are, or where it was told so."""
    if torch.is_inference_mode_enabled():  # torch does not let wrapped tensors be inference tensors
        with torch.inference_mode(False), torch.no_grad():
            return run(func, args, kwargs)
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    on_spy = any(isinstance(tensor, SpyTensor) for tensor in tensors)
    on_cpu = any(not isinstance(tensor, SpyTensor) and tensor.dim() for tensor in tensors)
    if on_spy and on_cpu and func not in BETWEEN_DEVICES:
        raise RuntimeError(f"expected all tensors to be on the same device, found spy and cpu: {func}")
    target = kwargs.get("device")
    if target is not None:
        on_spy = torch.device(target).type == "spy"
        kwargs = {**kwargs, "device": "cpu"}
    if func is aten.copy_.default:
        on_spy = isinstance(args[0], SpyTensor)
    result = func(*tree_map(taken_off, args), **tree_map(taken_off, kwargs))
    if not on_spy:
        return args[0] if func is aten.copy_.default else result
    result = tree_map(lambda leaf: SpyTensor(leaf) if isinstance(leaf, Tensor) else leaf, result)
    return result if target is not None else return_and_correct_aliasing(func, args, kwargs, result)


def taken_off(leaf: Any) -> Any:
    return leaf.values if isinstance(leaf, SpyTensor) else leaf


class SpyAccelerator(Accelerator):
    """What Lightning wants of a device to train on."""

    def setup_device(self, device: torch.device) -> None:
        assert device.type == "spy"

    def teardown(self) -> None:
        pass

    @staticmethod
    def parse_devices(devices: Any) -> Any:
        return devices

    @staticmethod
    def get_parallel_devices(devices: Any) -> list[torch.device]:
        return [torch.device("spy:0")]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return "spy"


@contextmanager
def spy_device() -> Iterator[None]:
    """The machine has an accelerator of the name `spy`."""
    if torch._C._get_privateuse1_backend_name() != "spy":
        _setup_privateuseone_for_python_backend("spy", Backend())
    Backend.present = True
    try:
        with Made(), Spy():
            yield
    finally:
        Backend.present = False
