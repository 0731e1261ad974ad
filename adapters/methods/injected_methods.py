"""Methods by modules of ours, where peft has none for vision: which go around which layers of a frozen backbone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.decoders import Decoder
from adapters.methods.decoder_update import check_pretrained, scale_and_shift
from adapters.methods.injected import Bottleneck, ConvLora, Injected, Prompted, ScaledShifted
from adapters.methods.method import Method, detach
from adapters.options import methods as options
from domains.errors import InputError


class InjectedMethod(Method):
    """A method that puts modules of ours around layers. State: what learns in them, by the layer's name and its own."""

    def injected(self, backbone: Backbone) -> Iterator[tuple[str, Injected]]:
        """Names of layers, and the modules that take their places. Raises InputError for layers that are not there."""
        raise NotImplementedError

    def attach(self, backbone: Backbone) -> None:
        """Put the modules into the model, in place of any earlier method."""
        detach(backbone)
        for name, module in list(self.injected(backbone)):
            backbone.model.set_submodule(name, module.train(backbone.training))

    def state(self, backbone: Backbone) -> dict[str, Tensor]:
        """What learns, by name."""
        return dict(learnt(backbone))

    def restore(self, backbone: Backbone, state: dict[str, Tensor]) -> None:
        """Write a state's tensors into the modules."""
        weights = dict(learnt(backbone))
        with torch.no_grad():
            for name, tensor in state.items():
                weights[name].copy_(tensor)


def learnt(backbone: Backbone) -> Iterator[tuple[str, nn.Parameter]]:
    """What learns in the modules of a backbone, by names without those that only wrapping gives."""
    for name, module in backbone.model.named_modules():
        if isinstance(module, Injected):
            plain = name.replace(".base_layer", "")
            yield from ((f"{plain}.{key}", weights) for key, weights in module.learnt().items())


def imbalance_of(backbone: Backbone) -> Tensor | None:
    """How unevenly Conv-LoRA's experts had the last images, the mean of all layers; None where there are none."""
    layers = [module.imbalance for module in backbone.modules() if isinstance(module, ConvLora)]
    present = [imbalance for imbalance in layers if imbalance is not None]
    return torch.stack(present).mean() if present else None


@dataclass(frozen=True)
class Ssf(options.Ssf, InjectedMethod):
    """Scale and shift."""

    def injected(self, backbone: Backbone) -> Iterator[tuple[str, Injected]]:
        """Around every linear layer and norm of the blocks."""
        if self.in_backbone:
            linear = backbone.targets(tuple(role for role in backbone.roles if role != "qkv"), self.layers)
            for name in (*linear, *backbone.norms(self.layers)):
                yield name, ScaledShifted(backbone.model.get_submodule(name))

    def adapt_decoder(self, decoder: Decoder) -> None:
        """Around the convolutions of a pretrained decoder. Raises InputError for one that was not."""
        if self.in_decoder:
            check_pretrained(decoder, "scope", self.scope, "backbone")
            scale_and_shift(decoder)


@dataclass(frozen=True)
class Bottlenecks(options.Bottleneck, InjectedMethod):
    """Narrow layers beside the MLPs."""

    def injected(self, backbone: Backbone) -> Iterator[tuple[str, Injected]]:
        """Around the MLP of every block."""
        for name in dict.fromkeys(name.rpartition(".")[0] for name in backbone.targets(("mlp_in",), self.layers)):
            yield name, Bottleneck(backbone.model.get_submodule(name), backbone.dim, self.width, self.scale)


@dataclass(frozen=True)
class ConvLoras(options.ConvLora, InjectedMethod):
    """Convolutions in the bottleneck of low-rank updates."""

    def injected(self, backbone: Backbone) -> Iterator[tuple[str, Injected]]:
        """Around linear layers."""
        scale = (self.alpha or 2 * self.rank) / self.rank
        for name in backbone.targets(self.roles or ("q", "k", "v"), self.layers):
            layer: Any = backbone.model.get_submodule(name)
            yield name, ConvLora(layer, self.rank, self.experts, scale, self.balance, backbone.patches)


@dataclass(frozen=True)
class Prompts(options.Prompts, InjectedMethod):
    """Learnt tokens."""

    def injected(self, backbone: Backbone) -> Iterator[tuple[str, Injected]]:
        """Around the blocks. Raises InputError for SAM, whose tokens are a grid."""
        if backbone.tokens_ndim != 3:
            raise InputError(
                f"method.name=prompts: {backbone.name} has its tokens in a grid, which has no place for more"
            )
        for number in backbone.numbers("all") if self.deep else (1,):
            name = f"{backbone.blocks_path}.{number - 1}"
            yield name, Prompted(backbone.model.get_submodule(name), self.count, backbone.dim, replace=number > 1)
