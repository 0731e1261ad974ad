"""What every method can do, and how its weights are taken out of a backbone, put back, and removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from adapters.backbones import Backbone
from adapters.decoders import Decoder
from adapters.methods.injected import Injected
from adapters.options.lora import MethodOptions
from domains.errors import InputError


class Method(MethodOptions):
    """What a method does, beside its options: a class of `adapters.options.methods` and this one make a method."""

    def attach(self, backbone: Backbone) -> None:
        """Make this method's weights, and no others, trainable. Whatever was attached before is detached."""
        raise NotImplementedError

    def adapt_decoder(self, decoder: Decoder) -> None:
        """Freeze a pretrained decoder and put updates on it, where the method has any; else it learns whole.

        Raises InputError for a decoder that was not pretrained.
        """

    def state(self, backbone: Backbone) -> dict[str, Tensor]:
        """The attached weights, as they are in memory, by the names they have in a file."""
        raise NotImplementedError

    def restore(self, backbone: Backbone, state: dict[str, Tensor]) -> None:
        """Put a complete state, its names and shapes already checked, into the attached weights."""
        raise NotImplementedError

    def peft_config(self, backbone: Backbone, base_name: str) -> PeftConfig | None:
        """What plain peft needs beside the state; None where it knows no such method."""
        return None


def adapter_state(backbone: Backbone, method: Method) -> dict[str, Tensor]:
    """The backbone's trainable weights, copied to the CPU; for peft's methods under the names that peft loads."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in method.state(backbone).items()}


def load_adapter_state(backbone: Backbone, method: Method, state: Mapping[str, Tensor]) -> None:
    """Put saved weights into an attached method. Raises InputError, and changes nothing, unless all fit exactly."""
    expected = method.state(backbone)
    faults = {
        "missing": expected.keys() - state.keys(),
        "unexpected": state.keys() - expected.keys(),
        "of another shape": {
            name for name in expected.keys() & state.keys() if expected[name].shape != state[name].shape
        },
    }
    for fault, names in faults.items():
        if names:
            examples = ", ".join(sorted(names)[:3])
            raise InputError(
                f"the adapter's weights do not fit {method.name} on {backbone.name}: {len(names)} of "
                f"{len(expected)} tensors {fault}, such as {examples}; is it for another base, or are its options "
                "others?"
            )
    method.restore(backbone, dict(state))


def peft_config(backbone: Backbone, method: Method, base_name: str) -> PeftConfig | None:
    """For `adapter_config.json`: `.save_pretrained(folder)` writes it; None for the controls."""
    return method.peft_config(backbone, base_name)


def merge(backbone: Backbone) -> None:
    """Fold injected layers into the base's weights, for prediction: same outputs but for rounding, and faster.

    The base's own values are kept aside; `detach` brings them back to the bit.
    """
    parameters = backbone.base_parameters()
    names = {id(parameter): name for name, parameter in parameters.items()}
    for module in backbone.model.modules():
        if isinstance(module, BaseTunerLayer | Injected) and not module.merged:
            base: Any = module.get_base_layer()
            if isinstance(module, Injected) and not module.mergeable:
                continue
            for parameter in base.parameters():  # some methods change the bias too
                backbone.originals.setdefault(names[id(parameter)], parameter.detach().clone())
            module.merge()  # type: ignore[operator]  # every tuner layer has it


def detach(backbone: Backbone) -> None:
    """Back to the bare, frozen base: injected layers out, trained base tensors as they were before."""
    for name, module in list(backbone.model.named_modules()):
        if isinstance(module, BaseTunerLayer | Injected):
            backbone.model.set_submodule(name, module.get_base_layer())
    if hasattr(backbone.model, "peft_config"):
        del backbone.model.peft_config
    parameters = backbone.base_parameters()
    with torch.no_grad():
        for name, original in backbone.originals.items():
            parameters[name].copy_(original)
    backbone.originals = {}
    backbone.requires_grad_(False)
