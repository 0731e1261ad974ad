"""Controls: nothing, the norms, the biases, or all of the base learns. They store whole base tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.decoders import Decoder
from adapters.methods.decoder_update import check_pretrained, quantise_kernels
from adapters.methods.method import Method, detach
from adapters.options import methods as options


class Selection(Method):
    """A method that trains some of the base's own tensors, of those that the forward pass uses."""

    def selects(self, backbone: Backbone, name: str) -> bool:
        """Whether the tensor of this name learns."""
        raise NotImplementedError

    def attach(self, backbone: Backbone) -> None:
        """Let the base parameters learn that the control selects; their first values are kept, on the CPU."""
        detach(backbone)
        for name, parameter in backbone.used_parameters().items():
            if self.selects(backbone, name):
                backbone.originals[name] = parameter.detach().to("cpu", copy=True)
                parameter.requires_grad_(True)

    def state(self, backbone: Backbone) -> dict[str, Tensor]:
        """The base parameters that learn, by name."""
        parameters = backbone.base_parameters()
        return {name: parameters[name] for name in backbone.originals}

    def restore(self, backbone: Backbone, state: dict[str, Tensor]) -> None:
        """Write a state's tensors into the base."""
        parameters = backbone.base_parameters()
        with torch.no_grad():
            for name, tensor in state.items():
                parameters[name].copy_(tensor)


@dataclass(frozen=True)
class DecoderOnly(options.DecoderOnly, Selection):
    """The backbone stays as it is, but for a mask decoder of its own that is the decoder."""

    def selects(self, backbone: Backbone, name: str) -> bool:
        """Nothing of the base learns but its mask decoder, where that answers prompts."""
        return bool(backbone.answering) and name.startswith("mask_decoder.")

    def adapt_decoder(self, decoder: Decoder) -> None:
        """Updates of few bits beside the kernels of a pretrained decoder, where they are asked for. Raises InputError
        for a decoder that was not pretrained with the base.
        """
        if self.in_decoder:
            check_pretrained(decoder, "bits", self.bits, options.WHOLE_BITS)
            quantise_kernels(decoder, self.bits)


@dataclass(frozen=True)
class Norms(options.Norms, Selection):
    """Scale and shift of every layer norm."""

    def selects(self, backbone: Backbone, name: str) -> bool:
        """The tensors of layer norms learn."""
        return isinstance(backbone.model.get_submodule(name.rpartition(".")[0]), nn.LayerNorm)


@dataclass(frozen=True)
class Biases(options.Biases, Selection):
    """Every bias, those of the norms too (BitFit: Ben Zaken et al., https://arxiv.org/abs/2106.10199)."""

    def selects(self, backbone: Backbone, name: str) -> bool:
        """Biases learn, by their name."""
        return name.endswith(".bias")


@dataclass(frozen=True)
class Full(options.Full, Selection):
    """Every tensor of the base that the forward pass uses."""

    def selects(self, backbone: Backbone, name: str) -> bool:
        """Everything learns."""
        return True
