"""How few weights of a frozen backbone learn."""

from __future__ import annotations

from adapters.methods.controls import Biases, DecoderOnly, Full, Norms
from adapters.methods.lora import Lora
from adapters.methods.method import Method, adapter_state, detach, load_adapter_state, merge, peft_config
from adapters.options.methods import MethodOptions

METHODS: dict[str, type[Method]] = {kind.name: kind for kind in (Lora, DecoderOnly, Norms, Biases, Full)}


def build_method(options: MethodOptions) -> Method:
    """The method of these options."""
    return METHODS[options.name](**vars(options))


__all__ = ["METHODS", "Method", "adapter_state", "build_method", "detach", "load_adapter_state", "merge", "peft_config"]
