"""Weights as an adapter's folder keeps them: safetensors, whose header is checked before memory is taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from adapters.sharing.info import present
from domains.errors import InputError

NUMBERS = ("F16", "BF16", "F32", "I32")
CODES = ".codes"
"""How the name of an update of few bits ends, whose numbers are bytes and nothing else (`QuantisedConv2d.codes`)."""


def check_shapes(path: Path, expected: Mapping[str, tuple[int, ...]], prefix: str = "") -> None:
    """Names and shapes in a safetensors file, from its header alone. prefix: of the names that are looked at, without
    which they are expected. Raises InputError.
    """
    stored = {name.removeprefix(prefix): shape for name, shape in header(path).items() if name.startswith(prefix)}
    for fault, names in {
        "missing": expected.keys() - stored.keys(),
        "unexpected": stored.keys() - expected.keys(),
        "of another shape": {name for name in expected.keys() & stored.keys() if expected[name] != stored[name]},
    }.items():
        if names:
            examples = ", ".join(sorted(names)[:3])
            raise InputError(
                f"{str(path)!r}: {len(names)} of {len(expected)} tensors {fault}, such as {examples}; "
                "get the adapter again"
            )


def header(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a safetensors file. Raises InputError for one that is missing, damaged or not of numbers."""
    if not present(path.parent, path.name):
        raise InputError(f"{str(path)!r} is missing; get the adapter again")
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            for name, tensor in slices.items():
                kinds = ("U8",) if name.endswith(CODES) else NUMBERS
                if tensor.get_dtype() not in kinds:
                    raise InputError(
                        f"{str(path)!r}: {name!r:.80} is of {tensor.get_dtype()}; wanted one of {', '.join(kinds)}; "
                        "get the adapter again"
                    )
            return {name: tuple(tensor.get_shape()) for name, tensor in slices.items()}
    except SafetensorError as error:
        raise InputError(f"{str(path)!r} is damaged ({error}); get the adapter again") from error


def tensors(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """A file whose header is checked. prefix: of the tensors that are wanted, which they are then called without.
    Raises InputError for a number that is none.
    """
    with safe_open(path, "pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        state = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    for name, value in state.items():
        if not value.isfinite().all():
            raise InputError(f"{str(path)!r}: {name!r:.80} has values that are not finite; get the adapter again")
    return state


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """A module's tensors on the CPU, contiguous, as safetensors writes them."""
    return {name: value.detach().to("cpu").contiguous() for name, value in module.state_dict().items()}


def compact(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU, in half precision where every value of all of them survives it, else as they are."""
    state = {name: value.detach().to("cpu").contiguous() for name, value in tensors.items()}
    halves = {name: value.to(torch.float16) if value.is_floating_point() else value for name, value in state.items()}
    lossless = all(torch.equal(halves[name].to(value.dtype), value) for name, value in state.items())
    return halves if lossless else state
