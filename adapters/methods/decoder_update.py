"""Updates of a decoder's kernels, of low rank or few bits: what was pretrained with the base stays frozen underneath.

    W' = W + s B A      A (r, in, k, k) random, B (out, r, 1, 1) zero, s = alpha / r

The update is added to the kernel, not run beside it as peft's LoRA of convolutions does: at full resolution that would
be a second convolution, here it is a product of two small matrices a step. Biases, norms, and kernels that have no more
numbers than their update would have, learn whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from adapters.decoders import Decoder
from adapters.methods.injected import ScaledShifted
from adapters.methods.quantised_update import QuantisedConv2d
from adapters.methods.updated_conv import UpdatedConv2d
from domains.errors import InputError

FROZEN = ".base_layer.weight"  # how the name of a kernel ends that stays as it was pretrained
HEAD = "head"  # the last layer, of a few hundred numbers
SCORER = "scorer"  # of regions: it learns from nothing after a fit, so all of it is learnt


class LowRankConv2d(UpdatedConv2d):
    """A convolution whose kernel is the frozen one and a low-rank update. (B, C, H, W) as the convolution takes it."""

    def __init__(self, base_layer: nn.Conv2d, rank: int, scale: float) -> None:
        super().__init__(base_layer)
        self.scale = scale
        fan_out, *inside = base_layer.weight.shape
        self.lora_A = nn.Parameter(base_layer.weight.new_empty(rank, *inside))
        self.lora_B = nn.Parameter(base_layer.weight.new_zeros(fan_out, rank, 1, 1))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))  # as peft does

    def updated(self, weight: Tensor) -> Tensor:
        """The kernel (out, in, k, k) with its update, of the frozen one."""
        update = (self.lora_B.flatten(1) @ self.lora_A.flatten(1)).view(weight.shape)
        return torch.add(weight, update, alpha=self.scale)


def adapt_kernels(decoder: nn.Module, rank: int, scale: float) -> None:
    """Freeze a decoder's kernels, and put an update of that rank on each that is larger than the update."""
    for name, module in list(decoder.named_modules()):
        if not isinstance(module, nn.Conv2d) or name.split(".")[0] == SCORER:
            continue
        fan_out, *inside = module.weight.shape
        if rank * (fan_out + math.prod(inside)) < module.weight.numel():
            module.weight.requires_grad_(False)
            decoder.set_submodule(name, LowRankConv2d(module, rank, scale))


def scale_and_shift(decoder: nn.Module) -> None:
    """Freeze a decoder's kernels and scale and shift what they give; biases, norms and the last layer learn whole."""
    for name, module in list(decoder.named_modules()):
        if isinstance(module, nn.Conv2d) and name.split(".")[0] not in (SCORER, HEAD):
            module.weight.requires_grad_(False)
            decoder.set_submodule(name, ScaledShifted(module))


def quantise_kernels(decoder: nn.Module, bits: int) -> None:
    """Freeze a decoder's kernels but the last one, and put an update of so many bits on each."""
    for name, module in list(decoder.named_modules()):
        if isinstance(module, nn.Conv2d) and name.split(".")[0] not in (SCORER, HEAD):
            module.weight.requires_grad_(False)
            decoder.set_submodule(name, QuantisedConv2d(module, bits))


def quantised_layers(decoder: nn.Module) -> Iterator[tuple[str, QuantisedConv2d]]:
    """The layers with an update of few bits, by name."""
    yield from ((name, module) for name, module in decoder.named_modules() if isinstance(module, QuantisedConv2d))


def check_pretrained(decoder: Decoder, option: str, value: object, instead: object) -> None:
    """Raises InputError for a decoder that was not pretrained with its base. option: of the method, with its value and
    the one to take instead.
    """
    if decoder.start is None:
        raise InputError(
            f"method.{option} is {value!r}, which updates a decoder that was pretrained with the base; this base has "
            f"none of such a shape: take method.{option}={instead}, or the embedded base and its decoder's options"
        )


def stays(decoder: nn.Module, name: str) -> bool:
    """Whether a tensor of a decoder is as it was before the fit: frozen underneath an update, or the base's."""
    return name.endswith(FROZEN) or name.startswith(getattr(decoder, "of_base", ()))


def learnt_state(decoder: nn.Module) -> dict[str, Tensor]:
    """A decoder's tensors by name, without the kernels that are frozen underneath an update; updates of few bits as
    they are stored.
    """
    state = {name: tensor for name, tensor in decoder.state_dict().items() if not stays(decoder, name)}
    for name, layer in quantised_layers(decoder):
        del state[f"{name}.update"]
        state[f"{name}.codes"] = layer.codes()
    return state


def load_learnt(decoder: nn.Module, state: dict[str, Tensor]) -> None:
    """Write what `learnt_state` gave into a decoder that is adapted alike. Raises RuntimeError for another."""
    frozen = {name: tensor for name, tensor in decoder.state_dict().items() if stays(decoder, name)}
    state = {**frozen, **state}
    for name, layer in quantised_layers(decoder):
        state[f"{name}.update"] = layer.decoded(state.pop(f"{name}.codes"), state[f"{name}.step"])
    decoder.load_state_dict(state)


def merge_kernels(decoder: nn.Module) -> None:
    """Fold the updates into the kernels, for prediction: the decoder is then one as if it had learnt whole."""
    for name, module in list(decoder.named_modules()):
        if isinstance(module, UpdatedConv2d | ScaledShifted):
            module.merge()
            decoder.set_submodule(name, module.base_layer)
