"""What methods have in common, those of peft among them, and LoRA with AdaLoRA.

Methods of peft say what peft is to be told (`peft_settings`) and how many weights they put beside a linear layer
(`weights_beside`), so that the adapter's door, its bounds and the network read one class. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict

from adapters.options.backbone import Role
from adapters.options.ranges import BelowOne, Blocks
from adapters.options.section import Options

LastLayers = Annotated[str, Field(pattern=r"^last:[1-9]\d*$", json_schema_extra={"wanted": "'last:N'"})]
Layers = Literal["all"] | LastLayers | Blocks
Roles = Annotated[tuple[Role, ...], Strict(False), Field(min_length=1)]
Rank = Annotated[int, Field(ge=1, le=256)]
Scope = Literal["backbone", "decoder", "both"]
Init = Literal["random", "eva", "lora_ga"]
Alpha = Annotated[float, Field(gt=0, le=2**16)]


OF_ROLES = (
    "Which linear layers: q k v qkv out mlp_in mlp_out; null: the backbone's default (DINOv2 all, SAM qkv and out)."
)
OF_LAYERS = "Which blocks: all (up to the last tap), last:4, or a list of numbers counted from 1."


@dataclass(frozen=True)
class MethodOptions(Options):
    """The options of a method."""

    SOURCE: ClassVar[str] = "method."

    name: str
    scope: ClassVar[Scope] = "backbone"
    """What is updated; an option of those methods that know decoders too."""

    @property
    def in_backbone(self) -> bool:
        """Whether it puts layers into the backbone, or lets some of it learn."""
        return self.scope != "decoder"

    @property
    def in_decoder(self) -> bool:
        """Whether the decoder is frozen underneath its updates; else the decoder learns whole."""
        return self.scope != "backbone"


@dataclass(frozen=True)
class PeftOptions(MethodOptions):
    """A method of peft beside the layers of the frozen backbone."""

    PEFT_TYPE: ClassVar[str]

    roles: Annotated[Roles | None, Field(description=OF_ROLES)] = None
    layers: Annotated[Layers, Field(description=OF_LAYERS)] = "all"

    @property
    def peft_type(self) -> str:
        """The word that peft knows the method by."""
        return self.PEFT_TYPE

    def peft_settings(self) -> dict[str, Any]:
        """What peft is told, beside the names of the layers."""
        raise NotImplementedError

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """Numbers that a file holds for a linear layer of that many inputs and outputs."""
        raise NotImplementedError


@dataclass(frozen=True)
class Lora(PeftOptions):
    """Low-rank updates of the frozen backbone's linear layers, or of the pretrained decoder's kernels, or of both."""

    PEFT_TYPE: ClassVar[str] = "LORA"

    name: Literal["lora"] = "lora"
    rank: Rank = 8
    """Width of the bottleneck; file size grows with it."""
    alpha: Alpha | None = None
    """Weight of the update; null: twice the rank, so that its scale stays 2 when the rank changes."""
    dropout: BelowOne = 0.0
    """Share of the bottleneck's inputs dropped in training."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank), which keeps high ranks learning."""
    dora: bool = False
    """Learn the magnitude of each output apart from its direction; in the backbone alone."""
    scope: Scope = "backbone"
    """What is updated: the backbone, while the decoder learns whole; the decoder that was pretrained with the base,
    which is then frozen underneath; or both, the smallest files."""
    init: Init = "random"
    """Directions that updates begin with: drawn; those in which inputs vary most in the first batches (EVA); or those
    in which the loss asks the weights to move (LoRA-GA, with B at zero)."""

    @property
    def scale(self) -> float:
        """What the product of both sides is multiplied by."""
        return (self.alpha or 2 * self.rank) / (self.rank**0.5 if self.rslora else self.rank)

    def peft_settings(self) -> dict[str, Any]:
        """peft's words for rank, alpha, dropout and the two variants."""
        return {
            "r": self.rank,
            "lora_alpha": self.alpha or 2 * self.rank,
            "lora_dropout": self.dropout,
            "use_rslora": self.rslora,
            "use_dora": self.dora,
            "bias": "none",
        }

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """Both sides of the bottleneck, and with DoRA a magnitude for each output."""
        return self.rank * (fan_in + fan_out) + (fan_out if self.dora else 0)


@dataclass(frozen=True)
class AdaLora(PeftOptions):
    """Updates as singular values and vectors, of which training keeps the most important (AdaLoRA)."""

    PEFT_TYPE: ClassVar[str] = "ADALORA"

    name: Literal["adalora"] = "adalora"
    rank: Rank = 8
    """Singular values that a layer keeps in the mean."""
    start_rank: Rank = 12
    """Those that each layer starts with; at least `rank`."""
    alpha: Alpha | None = None
    """Weight of the update; null: twice the starting rank."""
    dropout: BelowOne = 0.0
    """Share of the bottleneck's inputs dropped in training."""
    orthogonality: Annotated[float, Field(ge=0, le=10)] = 0.1
    """Weight of the loss that keeps singular vectors orthogonal."""

    def check_agreement(self) -> None:
        """Raises InputError where fewer singular values start than are to be kept."""
        if self.start_rank < self.rank:
            raise self.wrong("start_rank", f"wanted at least method.rank, which is {self.rank}")

    def peft_settings(self) -> dict[str, Any]:
        """peft's words; its schedule is of a thousand steps, whatever the length of the fit."""
        return {
            "init_r": self.start_rank,
            "target_r": self.rank,
            "lora_alpha": self.alpha or 2 * self.start_rank,
            "lora_dropout": self.dropout,
            "orth_reg_weight": self.orthogonality,
            "tinit": 100,
            "tfinal": 300,
            "total_step": 1000,
        }

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """Singular vectors of both sides, and the values."""
        return self.start_rank * (fan_in + fan_out + 1)
