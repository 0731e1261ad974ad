"""Methods: how few weights learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Strict

from adapters.options.backbone import Role
from adapters.options.ranges import BelowOne, Blocks
from adapters.options.section import Options

LastLayers = Annotated[str, Field(pattern=r"^last:[1-9]\d*$", json_schema_extra={"wanted": "'last:N'"})]
Layers = Literal["all"] | LastLayers | Blocks
Roles = Annotated[tuple[Role, ...], Strict(False), Field(min_length=1)]


@dataclass(frozen=True)
class MethodOptions(Options):
    """The options of a method."""

    SOURCE: ClassVar[str] = "method."

    name: str


@dataclass(frozen=True)
class Lora(MethodOptions):
    """Low-rank updates beside the linear layers of the frozen backbone."""

    name: Literal["lora"] = "lora"
    rank: Annotated[int, Field(ge=1, le=256)] = 8
    """Width of the bottleneck; file size grows with it."""
    alpha: Annotated[float, Field(gt=0, le=2**16)] | None = None
    """Weight of the update; null: twice the rank, so that its scale stays 2 when the rank changes."""
    dropout: BelowOne = 0.0
    """Share of the bottleneck's inputs dropped in training."""
    roles: Roles | None = None
    """Which linear layers: q k v qkv out mlp_in mlp_out; null: the backbone's default (DINOv2 all, SAM qkv and out)."""
    layers: Layers = "all"
    """Which blocks: all (up to the last tap), last:4, or a list of numbers counted from 1."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank), which keeps high ranks learning."""
    dora: bool = False
    """Learn the magnitude of each output apart from its direction."""


@dataclass(frozen=True)
class DecoderOnly(MethodOptions):
    """Control: the backbone stays as it is."""

    name: Literal["decoder_only"] = "decoder_only"


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


Method = Annotated[Lora | DecoderOnly | Norms | Biases | Full, Field(discriminator="name")]
