"""How few weights of a frozen backbone learn."""

from adapters.methods.controls import Biases, DecoderOnly, Full, Norms
from adapters.methods.lora import Lora
from adapters.methods.method import Method, adapter_state, detach, load_adapter_state, merge, peft_config

METHODS: dict[str, type[Method]] = {
    "lora": Lora,
    "decoder_only": DecoderOnly,
    "norms": Norms,
    "biases": Biases,
    "full": Full,
}

__all__ = ["METHODS", "Method", "adapter_state", "detach", "load_adapter_state", "merge", "peft_config"]
