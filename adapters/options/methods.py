"""Methods: how few weights learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

from adapters.options.lora import OF_LAYERS, AdaLora, Alpha, Layers, Lora, MethodOptions, Rank, Roles, Scope
from adapters.options.peft_methods import (
    Boft,
    FourierFt,
    Hira,
    Ia3,
    LnTuning,
    Loha,
    Lokr,
    Miss,
    Oft,
    OtherPeft,
    RandLora,
    Road,
    Shira,
    Vera,
)
from adapters.options.ranges import Positive

WHOLE_BITS = 16
"""Of a weight in half precision, as decoders are stored."""


@dataclass(frozen=True)
class Ssf(MethodOptions):
    """A scale and a shift for each output of the linear layers and norms, which cost nothing once merged (SSF)."""

    name: Literal["ssf"] = "ssf"
    layers: Annotated[Layers, Field(description=OF_LAYERS)] = "all"
    scope: Scope = "backbone"
    """What is scaled and shifted: the backbone, while the decoder learns whole; the convolutions of the pretrained
    decoder; or both."""


@dataclass(frozen=True)
class Bottleneck(MethodOptions):
    """Two narrow layers beside each MLP of the backbone (AdaptFormer)."""

    name: Literal["bottleneck"] = "bottleneck"
    width: Annotated[int, Field(ge=1, le=1024)] = 16
    """Channels between the two."""
    scale: Positive = 0.1
    """Weight of what they add."""
    layers: Annotated[Layers, Field(description=OF_LAYERS)] = "all"


@dataclass(frozen=True)
class ConvLora(MethodOptions):
    """Low-rank updates that see a patch's neighbours, by convolutions of several sizes (Conv-LoRA)."""

    name: Literal["conv_lora"] = "conv_lora"
    rank: Rank = 4
    """Width of the bottleneck."""
    experts: Annotated[int, Field(ge=1, le=8)] = 4
    """Convolutions among which a gate chooses one for each image; the third sees the patches three times enlarged."""
    alpha: Alpha | None = None
    """Weight of the update; null: twice the rank."""
    balance: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Weight of the loss that shares images out evenly among the experts."""
    roles: Roles | None = None
    """Which linear layers: q k v qkv out mlp_in mlp_out; null: q k v or qkv, as its paper has it."""
    layers: Annotated[Layers, Field(description=OF_LAYERS)] = "all"


@dataclass(frozen=True)
class Prompts(MethodOptions):
    """Learnt tokens that the backbone's blocks see beside those of the image (visual prompt tuning)."""

    name: Literal["prompts"] = "prompts"
    count: Annotated[int, Field(ge=1, le=256)] = 10
    """Tokens."""
    deep: bool = True
    """Other tokens for every block; else the first block's go through all of them."""


@dataclass(frozen=True)
class DecoderOnly(MethodOptions):
    """The backbone stays as it is, and the decoder learns whole."""

    name: Literal["decoder_only"] = "decoder_only"
    bits: Literal[2, 3, 4, 8, 16] = WHOLE_BITS
    """In how many bits a weight what the decoder's kernels learnt is kept, beside the decoder that was pretrained with
    the base; 16: the whole decoder, which wants none."""

    @property
    def in_decoder(self) -> bool:
        """Whether the pretrained decoder is frozen underneath its updates."""
        return self.bits < WHOLE_BITS


@dataclass(frozen=True)
class Norms(MethodOptions):
    """Control: the backbone's normalisation layers learn."""

    name: Literal["norms"] = "norms"


@dataclass(frozen=True)
class Biases(MethodOptions):
    """Control: the backbone's biases learn."""

    name: Literal["biases"] = "biases"


@dataclass(frozen=True)
class Full(MethodOptions):
    """Control: every weight of the backbone learns."""

    name: Literal["full"] = "full"


Method = Annotated[
    Lora
    | AdaLora
    | Ia3
    | Loha
    | Lokr
    | Oft
    | Boft
    | Vera
    | Hira
    | Miss
    | Road
    | Shira
    | RandLora
    | FourierFt
    | LnTuning
    | OtherPeft
    | Ssf
    | Bottleneck
    | ConvLora
    | Prompts
    | DecoderOnly
    | Norms
    | Biases
    | Full,
    Field(discriminator="name"),
]
METHOD_NAMES = tuple(kind.__dataclass_fields__["name"].default for kind in get_args(get_args(Method)[0]))
"""Every method by its name, in the order of the options."""
