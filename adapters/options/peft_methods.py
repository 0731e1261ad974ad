"""The methods of peft beside LoRA, each with the few options that matter. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from adapters.options.lora import AdaLora, Alpha, Lora, PeftOptions, Rank
from adapters.options.ranges import Positive

Block = Annotated[int, Field(ge=2, le=256, multiple_of=2)]
PeftType = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,40}$", json_schema_extra={"wanted": "a type of peft"})]
Setting = (
    bool
    | Annotated[int, Field(ge=-4096, le=4096)]
    | Annotated[float, Field(ge=-(2**16), le=2**16)]
    | Literal["none", "random", "road_1", "road_2", "road_4"]
)
Settings = Annotated[dict[Annotated[str, Field(pattern=r"^[A-Za-z]\w{0,40}$")], Setting], Field(max_length=30)]

SEED = 0
"""Of the random projections and masks of peft's methods that draw some, instead of storing them."""


@dataclass(frozen=True)
class Ia3(PeftOptions):
    """A factor for each output of a layer, or each input of the last of an MLP (IA3)."""

    PEFT_TYPE: ClassVar[str] = "IA3"

    name: Literal["ia3"] = "ia3"

    def peft_settings(self) -> dict[str, Any]:
        """Nothing: which layers take factors on their inputs goes by their role."""
        return {}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """A factor for each output; for each input where that is the wider side."""
        return max(fan_in, fan_out)


@dataclass(frozen=True)
class Loha(PeftOptions):
    """The product, number by number, of two low-rank updates (LoHa)."""

    PEFT_TYPE: ClassVar[str] = "LOHA"

    name: Literal["loha"] = "loha"
    rank: Rank = 8
    """Of each of the two."""
    alpha: Alpha | None = None
    """Weight of the update; null: the rank, a scale of 1."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's words for rank and alpha."""
        return {"r": self.rank, "alpha": self.alpha or self.rank}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """Two pairs of low-rank sides."""
        return 2 * self.rank * (fan_in + fan_out)


@dataclass(frozen=True)
class Lokr(PeftOptions):
    """A Kronecker product of a small matrix and a low-rank one (LoKr)."""

    PEFT_TYPE: ClassVar[str] = "LOKR"

    name: Literal["lokr"] = "lokr"
    rank: Rank = 8
    """Of the larger factor; it is whole where that is no larger."""
    alpha: Alpha | None = None
    """Weight of the update; null: the rank, a scale of 1."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's words for rank and alpha."""
        return {"r": self.rank, "alpha": self.alpha or self.rank}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """The small factor, whose sides are near the roots of the layer's, and both sides of the other or all of it."""
        (small_in, large_in), (small_out, large_out) = factors(fan_in), factors(fan_out)
        low_rank = self.rank * (large_in + large_out)
        return small_in * small_out + (low_rank if self.rank < max(large_in, large_out) / 2 else large_in * large_out)


@dataclass(frozen=True)
class Oft(PeftOptions):
    """A rotation of a layer's inputs, block by block (OFT)."""

    PEFT_TYPE: ClassVar[str] = "OFT"

    name: Literal["oft"] = "oft"
    block_size: Block = 32
    """Inputs that are rotated together; must divide the layer's."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's words; the rotation is exact, not the first terms of its series."""
        return {"r": 0, "oft_block_size": self.block_size, "use_cayley_neumann": False}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """A skew-symmetric matrix for each block."""
        return fan_in // self.block_size * (self.block_size * (self.block_size - 1) // 2)


@dataclass(frozen=True)
class Boft(PeftOptions):
    """A rotation of a layer's inputs as a product of sparse ones, and a factor for each output (BOFT)."""

    PEFT_TYPE: ClassVar[str] = "BOFT"

    name: Literal["boft"] = "boft"
    block_size: Block = 4
    """Inputs that are rotated together; must divide the layer's."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's words for one level of blocks."""
        return {"boft_block_size": self.block_size, "boft_block_num": 0, "boft_n_butterfly_factor": 1}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """A matrix for each block, and the factors."""
        return fan_in * self.block_size + fan_out


@dataclass(frozen=True)
class Vera(PeftOptions):
    """Two vectors a layer beside random projections that all share (VeRA)."""

    PEFT_TYPE: ClassVar[str] = "VERA"

    name: Literal["vera"] = "vera"
    rank: Rank = 256
    """Width of the random bottleneck."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's words; projections are drawn again from their seed."""
        return {"r": self.rank, "projection_prng_key": SEED, "save_projection": False}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """A factor for each channel of the bottleneck and each output."""
        return self.rank + fan_out


@dataclass(frozen=True)
class Hira(PeftOptions):
    """The layer's own weights times a low-rank matrix, number by number (HiRA)."""

    PEFT_TYPE: ClassVar[str] = "HIRA"

    name: Literal["hira"] = "hira"
    rank: Rank = 16
    """Width of the bottleneck."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's word for the rank."""
        return {"r": self.rank}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """Both sides of the bottleneck."""
        return self.rank * (fan_in + fan_out)


@dataclass(frozen=True)
class Miss(PeftOptions):
    """One small matrix that inputs share, group by group (MiSS)."""

    PEFT_TYPE: ClassVar[str] = "MISS"

    name: Literal["miss"] = "miss"
    rank: Rank = 16
    """Groups of inputs."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's word for the rank."""
        return {"r": self.rank}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """A number for each group and output."""
        return self.rank * fan_out


@dataclass(frozen=True)
class Road(PeftOptions):
    """A rotation and stretching of pairs of outputs (RoAd)."""

    PEFT_TYPE: ClassVar[str] = "ROAD"

    name: Literal["road"] = "road"
    variant: Literal["road_1", "road_2", "road_4"] = "road_1"
    """How many numbers a pair has: 2, 4 or 8."""
    group_size: Block = 32
    """Outputs among which pairs are formed; must divide the layer's."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's words."""
        return {"variant": self.variant, "group_size": self.group_size}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """An angle and a factor for one, two or four numbers of each pair of outputs."""
        return fan_out * int(self.variant.removeprefix("road_"))


@dataclass(frozen=True)
class Shira(PeftOptions):
    """A sparse update: few of a layer's weights, chosen at random (SHiRA)."""

    PEFT_TYPE: ClassVar[str] = "SHIRA"

    name: Literal["shira"] = "shira"
    rank: Rank = 8
    """As many weights learn as LoRA of this rank has."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's words; which weights they are is drawn again from the seed."""
        return {"r": self.rank, "mask_type": "random", "random_seed": SEED}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """The weights, and the row and column of each."""
        return 3 * self.rank * (fan_in + fan_out)


@dataclass(frozen=True)
class RandLora(PeftOptions):
    """A full-rank update: a sum of random low-rank ones that learnt vectors scale (RandLoRA)."""

    PEFT_TYPE: ClassVar[str] = "RANDLORA"

    name: Literal["randlora"] = "randlora"
    rank: Rank = 16
    """Of each of the random ones: the higher, the fewer weights learn."""
    alpha: Alpha | None = None
    """Weight of the update; null: twice the rank."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's words; projections are drawn again from their seed."""
        return {
            "r": self.rank,
            "randlora_alpha": self.alpha or 2 * self.rank,
            "projection_prng_key": SEED,
            "save_projection": False,
        }

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """For each of the random ones a factor per channel of its bottleneck, and one per number of the narrow side."""
        narrow = min(fan_in, fan_out)
        return ceil(narrow / self.rank) * (self.rank + narrow)


@dataclass(frozen=True)
class FourierFt(PeftOptions):
    """An update by few of its Fourier coefficients, chosen at random (FourierFT)."""

    PEFT_TYPE: ClassVar[str] = "FOURIERFT"

    name: Literal["fourierft"] = "fourierft"
    frequencies: Annotated[int, Field(ge=1, le=2**14)] = 1000
    """Coefficients of a layer."""
    scaling: Positive = 150.0
    """Weight of the update."""

    def peft_settings(self) -> dict[str, Any]:
        """peft's words; coefficients start at zero, and which they are is drawn from the seed."""
        return {
            "n_frequency": self.frequencies,
            "scaling": self.scaling,
            "random_loc_seed": SEED,
            "init_weights": True,
        }

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """The coefficients."""
        return self.frequencies


@dataclass(frozen=True)
class LnTuning(PeftOptions):
    """Scale and shift of the layer norms, beside the base's own (LN-tuning)."""

    PEFT_TYPE: ClassVar[str] = "LN_TUNING"

    name: Literal["ln_tuning"] = "ln_tuning"

    def check_agreement(self) -> None:
        """Raises InputError for roles, which are of linear layers."""
        if self.roles is not None:
            raise self.wrong("roles", "ln_tuning is of layer norms, which have no role; wanted null")

    def peft_settings(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """A scale and a shift for each channel."""
        return 2 * fan_out


@dataclass(frozen=True)
class OtherPeft(PeftOptions):
    """Any other method of peft, as peft has it: what it does here is not tested."""

    name: Literal["peft"] = "peft"
    type: PeftType = "LORA"
    """peft's word for it, such as DELORA or GRALORA."""
    settings: Settings | None = None
    """What its configuration takes, by peft's names; null: its own defaults."""

    @property
    def peft_type(self) -> str:
        """The word that peft knows the method by."""
        return self.type

    def peft_settings(self) -> dict[str, Any]:
        """What the user says."""
        return dict(self.settings or {})

    def weights_beside(self, fan_in: int, fan_out: int) -> int:
        """A bound, as nobody knows: as many as the layer itself has, three times."""
        return 3 * (fan_in * fan_out + fan_out)


PEFT_METHODS: tuple[type[PeftOptions], ...] = (
    Lora, AdaLora, Ia3, Loha, Lokr, Oft, Boft, Vera, Hira, Miss, Road, Shira, RandLora, FourierFt, LnTuning, OtherPeft,
)  # fmt: skip


def factors(side: int) -> tuple[int, int]:
    """The two numbers nearest to each other whose product is a side, the smaller first, as peft's LoKr has them."""
    small = next(number for number in range(int(side**0.5), 0, -1) if side % number == 0)
    return small, side // small
