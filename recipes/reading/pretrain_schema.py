"""What a recipe of pretraining may say: the scenes, the ViT, and the sections that it shares with other recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from adapters.options.decoders import Dense, TrainedDecoder
from adapters.options.losses import Losses
from adapters.options.memory_decoder import MemoryOptions
from adapters.options.prompts import PromptOptions
from adapters.options.ranges import Blocks, Count, CropSide, NotNegative, Share
from adapters.options.section import Options
from adapters.options.training import TrainOptions
from domains.errors import InputError, suggest
from recipes.reading.schema import AnyRecipe

GENERAL = "general"
"""The decoder that is pretrained on all families of scenes."""
SCENE_FAMILIES = (
    "leaves",
    "nuclei_he",
    "nuclei_fluo",
    "tissue",
    "surfaces",
    "aerial",
    "mosaic",
    "objects",
    "landscapes",
    "nested",
)


def known_families(families: dict[str, float]) -> dict[str, float]:
    """Weights of families of scenes. Raises ValueError for a family that there is not, and where none has a weight."""
    for family in families:
        if family not in SCENE_FAMILIES:
            raise ValueError(f"no family is called {family!r}; {suggest(family, SCENE_FAMILIES)}")
    if not any(families.values()):
        raise ValueError("every family has weight 0; wanted one above 0")
    return families


def without_null(kinds: Any) -> Any:
    """The kinds but those that are null, by which a recipe leaves out one of its parent's."""
    if not isinstance(kinds, Mapping):
        return kinds
    return {kind: families for kind, families in kinds.items() if families is not None}


def known_kinds(kinds: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Weights of families by kind of scene. Raises ValueError."""
    if GENERAL in kinds:
        raise ValueError(f"{GENERAL!r} is the name of the decoder of all families; wanted another name")
    for families in kinds.values():
        known_families(families)
    return kinds


Kinds = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], dict[str, NotNegative]],
    BeforeValidator(without_null),
    AfterValidator(known_kinds),
    Field(json_schema_extra={"default": {}}),
]


@dataclass(frozen=True)
class ScenesSection(Options):
    """The generated scenes that a base is pretrained on."""

    SOURCE: ClassVar[str] = "scenes."

    families: Annotated[dict[str, NotNegative], Field(min_length=1), AfterValidator(known_families)]
    """Weight of each family of scenes, for the general decoder."""
    kinds: Kinds = field(default_factory=dict)
    """Further decoders, each of one kind of scene: the kind's name, and the weights of its families. They learn beside
    the general one; a step shows each of them `train.batch_size` crops. A kind that is null is left out."""
    size_px: Annotated[int, Field(ge=32, le=4096)] = 160
    """Side of a scene."""
    crop_px: CropSide = 128
    """Side of the training crops, rounded to a multiple of `vit.patch_px` and of 8."""
    count: Count = 9000
    """Scenes to train on."""
    val_count: Count = 256
    """Scenes to validate on, of other seeds."""
    recolour: Share = 0.5
    """Share of the training crops whose colours are turned: shape and contrast remain."""


@dataclass(frozen=True)
class VitSection(Options):
    """The architecture of the base: a ViT in DINOv2's form."""

    SOURCE: ClassVar[str] = "vit."

    width: Annotated[int, Field(ge=16, le=2048)] = 192
    """Channels of a token; a multiple of `heads`."""
    layers: Annotated[int, Field(ge=1, le=48)] = 6
    """Blocks."""
    heads: Annotated[int, Field(ge=1, le=64)] = 3
    """Attention heads."""
    start: str | None = None
    """A base to go on from, `entity-small` or a folder, of this very architecture; null: from nothing."""
    learns: bool = True
    """False: the base that it goes on from stays as it is, and the decoder alone learns."""
    patch_px: Annotated[int, Field(ge=2, le=64)] = 8
    """Side of the patch behind a token."""
    taps: Blocks = (2, 4, 6)
    """After which blocks the decoder reads, counted from 1."""

    def check_agreement(self) -> None:
        """Raises InputError for an architecture that cannot be built, or that nothing would learn in."""
        if self.width % self.heads:
            raise InputError(f"width is {self.width}; wanted a multiple of heads, which is {self.heads}")
        if self.start is None and not self.learns:
            raise InputError("learns is false, but there is no base to go on from; name one by start")
        if max(self.taps) > self.layers:
            raise InputError(f"taps end at {max(self.taps)}; wanted at most layers, which is {self.layers}")


@dataclass(frozen=True)
class PretrainRecipe(AnyRecipe):
    """Everything that decides how a base is trained from nothing."""

    scenes: ScenesSection
    vit: VitSection = VitSection()
    decoder: TrainedDecoder = Dense()
    losses: Losses = Losses()
    train: TrainOptions = TrainOptions()
    prompts: PromptOptions | None = None
    """Of a base that is there a decoder of prompts learns, beside its dense decoders, which stay as they are; null: the
    base and these learn."""
    memory: MemoryOptions | None = None
    """Beside the decoder of prompts of a base that is there one learns that carries entities through a clip; null:
    none."""

    def check_agreement(self) -> None:
        """Raises InputError for sections that do not go together."""
        self.losses.check_decoder(self.decoder)
        if self.train.start_adapter:
            raise InputError(
                f"train.start is {self.train.start!r}; pretraining wants the name of a decoder of the base"
            )
        if self.train.start is not None and self.vit.start is None:
            raise InputError("train.start names a decoder of the base to go on from; name that base by vit.start")
        if self.prompts is not None and (self.vit.start is None or self.vit.learns):
            raise InputError(
                "prompts learn beside a base that stays as it is; name one by vit.start, with vit.learns=false"
            )
        if self.memory is not None and (self.prompts is not None or self.vit.start is None or self.vit.learns):
            raise InputError(
                "memory learns alone, beside a base that stays as it is and its prompts; name the base by vit.start, "
                "with vit.learns=false, and leave out prompts"
            )
