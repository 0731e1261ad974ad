"""What a recipe of pretraining may say: the scenes, the ViT, and the sections that it shares with other recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from adapters.options.options import Count, CropSide, Decoder, Dense, Losses, NotNegative, Options, Share
from domains.errors import suggest
from recipes.reading.schema import Taps, TrainSection, check_terms, fill_losses, fill_names

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
)


class ScenesSection(Options):
    """The generated scenes that a base is pretrained on."""

    families: Annotated[dict[str, NotNegative], Field(min_length=1)]
    """Weight of each family of scenes, for the general decoder."""
    kinds: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], dict[str, NotNegative]] = {}
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

    @field_validator("families")
    @classmethod
    def _known(cls, families: dict[str, float]) -> dict[str, float]:
        for family in families:
            if family not in SCENE_FAMILIES:
                raise ValueError(f"no family is called {family!r}; {suggest(family, SCENE_FAMILIES)}")
        if not any(families.values()):
            raise ValueError("every family has weight 0; wanted one above 0")
        return families

    @field_validator("kinds", mode="before")
    @classmethod
    def _left_in(cls, kinds: Any) -> Any:
        given = isinstance(kinds, Mapping)
        return {kind: families for kind, families in kinds.items() if families is not None} if given else kinds

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, kinds: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        if GENERAL in kinds:
            raise ValueError(f"{GENERAL!r} is the name of the decoder of all families; wanted another name")
        for families in kinds.values():
            cls._known(families)
        return kinds


class VitSection(Options):
    """The architecture of the base: a ViT in DINOv2's form."""

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
    taps: Taps = (2, 4, 6)
    """After which blocks the decoder reads, counted from 1."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; wanted a multiple of heads, which is {self.heads}")
        if self.start is None and not self.learns:
            raise ValueError("learns is false, but there is no base to go on from; name one by start")
        if max(self.taps) > self.layers:
            raise ValueError(f"taps end at {max(self.taps)}; wanted at most layers, which is {self.layers}")
        return self


class PretrainRecipe(Options):
    """Everything that decides how a base is trained from nothing."""

    scenes: ScenesSection
    vit: VitSection = VitSection()
    decoder: Decoder = Dense()
    losses: Losses = Losses()
    train: TrainSection = TrainSection()

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, sections: Any) -> Any:
        return fill_losses(fill_names(sections, {"decoder": "dense"}))

    @model_validator(mode="after")
    def _agree(self) -> Self:
        check_terms(self.decoder, self.losses)
        if self.train.start_adapter:
            raise ValueError(
                f"train.start is {self.train.start!r}; pretraining wants the name of a decoder of the base"
            )
        if self.train.start is not None and self.vit.start is None:
            raise ValueError("train.start names a decoder of the base to go on from; name that base by vit.start")
        return self
