"""The options of each part, with their ranges: one small model per method, decoder and loss term, and of the input.

A recipe and an adapter's `entity.json` are read by these same models, so that both know the same ranges. The parts
themselves are frozen dataclasses, which import torch. These models say the same fields and the same defaults without
it, so that either file is checked before anything heavy is imported; a test of the recipe schema holds them equal.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationInfo, field_validator, model_validator

from domains.bands import MOST, channels_of, parse_bands

Role = Literal["q", "k", "v", "qkv", "out", "mlp_in", "mlp_out"]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
LastLayers = Annotated[str, Field(pattern=r"^last:[1-9]\d*$", json_schema_extra={"wanted": "'last:N'"})]
LayerNumbers = Annotated[tuple[Count, ...], Strict(False), Field(min_length=1)]
Roles = Annotated[tuple[Role, ...], Strict(False), Field(min_length=1)]
Layers = Literal["all"] | LastLayers | LayerNumbers

EMBEDDED_BACKBONES = ("entity-small",)
"""Names of the bases that ship with the repository, the default first."""
SCALES = (1 / 64, 16)
Scale = Annotated[float, Field(ge=SCALES[0], le=SCALES[1])]
CROP_PX, TILE_PX, WINDOW_PX = (16, 4096), (16, 8192), (16, 2048)
"""The least and the most."""
CropSide = Annotated[int, Field(ge=CROP_PX[0], le=CROP_PX[1])]
TileSide = Annotated[int, Field(ge=TILE_PX[0], le=TILE_PX[1])]
WindowSide = Annotated[int, Field(ge=WINDOW_PX[0], le=WINDOW_PX[1])]
Symmetries = Annotated[int, Field(ge=1, le=8)]
TestScales = Annotated[
    tuple[Annotated[float, Field(ge=0.25, le=4)], ...], Strict(False), Field(min_length=1, max_length=4)
]
PixelSize = Annotated[float, Field(ge=1e-10, le=1e6)]
BandName = Annotated[str, Field(max_length=100)]
Area = Annotated[int, Field(ge=0, le=2**24)]
Smoothing = Annotated[float, Field(ge=0, le=16)]
"""Up to a kernel of 129 px: the time of a decode goes up with it."""


class Options(BaseModel):
    """A section of a recipe: frozen, strict, and without room for a key it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def options(self) -> dict[str, Any]:
        """The fields without `name`: the keyword arguments of the part's dataclass."""
        return {key: value for key, value in self if key != "name"}


# Methods: how few weights learn


class Lora(Options):
    """Low-rank updates beside the linear layers of the frozen backbone."""

    name: Literal["lora"] = "lora"
    rank: Annotated[int, Field(ge=1, le=256)] = 8
    """Width of the bottleneck; file size grows with it."""
    alpha: Annotated[float, Field(gt=0, le=2**16)] | None = None
    """Weight of the update; null: twice the rank, so that its scale stays 2 when the rank changes."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the bottleneck's inputs dropped in training."""
    roles: Roles | None = None
    """Which linear layers: q k v qkv out mlp_in mlp_out; null: the backbone's default (DINOv2 all, SAM qkv and out)."""
    layers: Layers = "all"
    """Which blocks: all (up to the last tap), last:4, or a list of numbers counted from 1."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank), which keeps high ranks learning."""
    dora: bool = False
    """Learn the magnitude of each output apart from its direction."""


class DecoderOnly(Options):
    """Control: the backbone stays as it is."""

    name: Literal["decoder_only"] = "decoder_only"


class Norms(Options):
    """Control: the backbone's normalisation layers learn."""

    name: Literal["norms"] = "norms"


class Biases(Options):
    """Control: the backbone's biases learn."""

    name: Literal["biases"] = "biases"


class Full(Options):
    """Control: every weight of the backbone learns."""

    name: Literal["full"] = "full"


Method = Annotated[Lora | DecoderOnly | Norms | Biases | Full, Field(discriminator="name")]


# Decoders: from features to entities


class Dense(Options):
    """Foreground, two distances and boundary, then a seeded watershed. For any number of touching entities."""

    name: Literal["dense"] = "dense"
    width: Annotated[int, Field(ge=4, le=128, multiple_of=2)] = 16
    """Channels at full resolution; twice, four and eight times as many at strides 2, 4 and 8."""
    detail: bool = True
    """Convolutions on the image itself; without them boundaries are as fine as the patch."""
    embedding_dim: Annotated[int, Field(ge=0, le=64)] = 0
    """Channels of a pixel embedding for the `embedding` loss; 0 for none."""
    foreground_threshold: Share = 0.5
    """Pixels whose foreground score is above it belong to an entity."""
    seed_height: Share = 0.2
    """A core must rise by this much (0 to 1) above the saddle to its neighbour to be a seed of its own."""
    smoothing_px: Smoothing = 1.0
    """Standard deviation of the Gaussian that smooths the core field before seeds are taken."""
    min_area_px: Area = 12
    """Smaller entities are dropped."""
    min_score: Share = 0.0
    """Entities of a lower score are dropped; the score is the mean foreground score times the height of the core."""
    regions: bool = False
    """After fitting, learn from the training images which of nested candidate regions is an entity, and take those
    instead of the watershed's."""
    least_iou: Share = 0.45
    """Regions of a lower predicted IoU are dropped; their score is that IoU."""
    sure_foreground: Share = 1.0
    """Those whose mean foreground score is above this are not; 1 for none such, which calibration leaves at that."""


class Query(Options):
    """Set prediction with masked attention. For scenes of tens of entities."""

    name: Literal["query"] = "query"
    queries: Annotated[int, Field(ge=1, le=1000)] = 100
    """Most entities that one image or tile can have."""
    dim: Annotated[int, Field(ge=8, le=1024, multiple_of=4)] = 128
    """Width of queries and keys; a multiple of `heads` and of 4."""
    layers: Annotated[int, Field(ge=1, le=24)] = 3
    """Decoder layers; the prediction after each is supervised."""
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Attention heads."""
    mask_stride: Literal[2, 4, 8] = 4
    """Masks are predicted at 1 / mask_stride of the input: 2, 4 or 8."""
    detail_channels: Annotated[int, Field(ge=0, le=512)] = 32
    """Channels of the stem on the image; 0 leaves the image out, so boundaries are as fine as the patch."""
    score_threshold: Share = 0.5
    """Queries below it are no entity; the score is objectness x predicted IoU x mean mask score."""
    mask_threshold: Share = 0.5
    """Pixels whose mask score is above it belong to the entity."""
    min_area_px: Area = 8
    """Smaller entities are dropped."""

    @field_validator("heads")
    @classmethod
    def _divides_dim(cls, heads: int, info: ValidationInfo) -> int:
        dim = info.data.get("dim", heads)
        if dim % heads:
            raise ValueError(f"wanted a divisor of decoder.dim, which is {dim}")
        return heads


Decoder = Annotated[Dense | Query, Field(discriminator="name")]


OF_WATERSHED_ALONE = ("foreground_threshold", "seed_height", "min_score")
"""Options of the dense decoder that do nothing where regions are chosen."""
OF_REGIONS_ALONE = ("least_iou", "sure_foreground")
"""Those that do nothing where the watershed cuts."""


# Input: how the network wants to see a scene

AVERAGED = ("symmetries", "test_scales", "window_px")
"""Options of the input over which a decoder's fields are averaged; the query decoder has none."""


def smaller_than_tile(overlap_px: int, info: ValidationInfo, path: str) -> int:
    tile_px = info.data.get("tile_px", overlap_px + 1)
    if overlap_px >= tile_px:
        raise ValueError(f"wanted less than {path}.tile_px, which is {tile_px}")
    return overlap_px


class Input(Options):
    """The fields of `adapters.inference.segment.InputContract`, as an adapter stores them."""

    scale: Scale = 1.0
    tile_px: TileSide = 256
    overlap_px: Natural = 64
    pixel_size_m: PixelSize | None = None
    seen_pixel_size_m: PixelSize | None = None
    channels: Annotated[int, Field(ge=2, le=MOST)] = 3
    symmetries: Symmetries = 1
    test_scales: TestScales = (1.0,)
    window_px: Annotated[int, Field(ge=WINDOW_PX[0], le=WINDOW_PX[1], multiple_of=8)] | None = None
    stain: dict[str, Any] | None = None
    bands: Annotated[tuple[BandName, ...], Strict(False)] = ()
    band_names: Annotated[tuple[BandName, ...], Strict(False)] = ()

    @field_validator("overlap_px")
    @classmethod
    def _smaller(cls, overlap_px: int, info: ValidationInfo) -> int:
        return smaller_than_tile(overlap_px, info, "input")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.bands:
            parse_bands(self.bands)  # an InputError is a ValueError
        if self.channels != channels_of(self.bands):
            raise ValueError(f"input.channels is {self.channels}; {list(self.bands)} has {channels_of(self.bands)}")
        if self.stain is not None and self.bands:
            raise ValueError("input.stain wants RGB, and input.bands are others")
        return self


# Losses: the terms, each scaled by its weight; 0 leaves a term out


class Foreground(Options):
    """Cross-entropy and Dice of the foreground."""

    weight: NotNegative = 1.0
    area_exponent: Annotated[float, Field(ge=0, le=1)] = 0.0
    """A pixel of an entity of A px weighs (256 / A) to this power: 0.5 lets a pinhole be heard beside a stain."""


class BoundaryDistance(Options):
    """Mean absolute error of the distance to the boundary, inside entities."""

    weight: NotNegative = 1.0


class CentreDistance(Options):
    """Mean absolute error of the distance to the centre, inside entities."""

    weight: NotNegative = 0.25


class Boundary(Options):
    """Balanced cross-entropy of the boundary."""

    weight: NotNegative = 0.5


class Embedding(Options):
    """Pull and push of pixel embeddings; wants decoder.embedding_dim above 0."""

    weight: NotNegative = 1.0
    pull_margin: NotNegative = 0.5
    """delta_v: pixels nearer than this to their entity's mean are not pulled."""
    push_margin: NotNegative = 1.5
    """delta_d: means farther apart than twice this are not pushed."""
    regularise: NotNegative = 0.001
    """gamma: pulls the means to the origin."""


class Topology(Options):
    """Soft clDice: the centre lines of thin entities, found whole."""

    weight: NotNegative = 0.5
    iterations: Annotated[int, Field(ge=1, le=64)] = 8
    """Pixels peeled off from each side: at least half the width of the widest crack."""


class SetCriterion(Options):
    """Pairs queries with entities, then objectness, mask cross-entropy, Dice and predicted IoU."""

    weight: NotNegative = 1.0
    objectness: NotNegative = 2.0
    """Weight of the entity-or-not cross-entropy, in the loss and in pairing."""
    bce: NotNegative = 5.0
    """Weight of the masks' cross-entropy, in the loss and in pairing."""
    dice: NotNegative = 5.0
    """Weight of the masks' Dice loss, in the loss and in pairing."""
    iou: NotNegative = 5.0
    """Weight of half the squared error of the predicted IoU."""
    no_object: NotNegative = 0.1
    """Weight of a query without entity against one with, in the objectness."""
    points: Count = 512
    """Points per mask at which it is compared."""
    oversample: Annotated[float, Field(ge=1)] = 3.0
    """Candidates per point, of which the most uncertain are taken."""
    importance: Share = 0.75
    """Share of the points taken for their uncertainty; the others are random."""


class Partition(Options):
    """Gaps and overlaps of the queries' masks."""

    weight: NotNegative = 0.5


class Losses(Options):
    """The terms of the loss, by name: the decoder's own, changed or added to by what is said here."""

    foreground: Foreground | None = None
    boundary_distance: BoundaryDistance | None = None
    centre_distance: CentreDistance | None = None
    boundary: Boundary | None = None
    embedding: Embedding | None = None
    topology: Topology | None = None
    set: SetCriterion | None = None
    partition: Partition | None = None

    def options(self) -> dict[str, dict[str, Any]]:
        """Term name -> its options, of the terms that are in: what `adapters.losses.build_loss` takes."""
        return {name: term.options() for name, term in self if term is not None}


OWN_TERMS = {
    "dense": ("foreground", "boundary_distance", "centre_distance", "boundary"),
    "query": ("set", "partition"),
}
"""Decoder -> the terms that it is trained by unless the recipe says otherwise."""

POSSIBLE_TERMS = {"dense": (*OWN_TERMS["dense"], "embedding", "topology"), "query": OWN_TERMS["query"]}
"""Decoder -> the terms whose outputs it gives."""
