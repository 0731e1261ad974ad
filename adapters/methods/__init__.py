"""How few weights of a frozen backbone learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.methods.controls import Biases, DecoderOnly, Full, Norms
from adapters.methods.injected_methods import Bottlenecks, ConvLoras, Prompts, Ssf
from adapters.methods.method import Method, adapter_state, detach, load_adapter_state, merge, peft_config
from adapters.methods.peft_method import PeftMethod
from adapters.options.lora import MethodOptions, PeftOptions
from adapters.options.peft_methods import PEFT_METHODS


def by_peft(kind: type[PeftOptions]) -> type[Method]:
    """The method of peft with these options."""
    bases: tuple[Any, ...] = (kind, PeftMethod)
    return dataclass(frozen=True)(type(kind.__name__, bases, {"__doc__": kind.__doc__}))


METHODS: dict[str, type[Method]] = {
    **{str(kind.name): by_peft(kind) for kind in PEFT_METHODS},  # type: ignore[attr-defined]  # the field's default
    **{kind.name: kind for kind in (Ssf, Bottlenecks, ConvLoras, Prompts, DecoderOnly, Norms, Biases, Full)},
}


Lora: Any = METHODS["lora"]
"""The method that scripts name: `Lora(rank=4).attach(backbone)`."""


def build_method(options: MethodOptions) -> Method:
    """The method of these options."""
    return METHODS[options.name](**vars(options))


__all__ = [
    "METHODS",
    "Lora",
    "Method",
    "adapter_state",
    "build_method",
    "detach",
    "load_adapter_state",
    "merge",
    "peft_config",
]
