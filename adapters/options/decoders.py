"""Decoders: from features to entities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapters.options.ranges import Share
from adapters.options.section import Options

Area = Annotated[int, Field(ge=0, le=2**24)]
Smoothing = Annotated[float, Field(ge=0, le=16)]
"""Up to a kernel of 129 px: the time of a decode goes up with it."""


@dataclass(frozen=True)
class DecoderOptions(Options):
    """The options of a decoder."""

    SOURCE: ClassVar[str] = "decoder."
    TUNED: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    """Option -> what calibration tries."""

    name: str


@dataclass(frozen=True)
class Dense(DecoderOptions):
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
    granularity: Share | None = None
    """Where the nested entities are cut for the flat map, from 0, the wholes, to 1, the finest parts; calibration sets
    it. Null: at 1 less `seed_height` by the watershed, and at 0.5 of regions, where the chosen ones are."""
    seed_height: Share = 0.2
    """A core must rise by this much (0 to 1) above the saddle to its neighbour to be a seed of its own, where
    `granularity` is null."""
    merging: Literal["saddles", "rims"] = "saddles"
    """What basins of the watershed are merged by, and granularity is of: the depth of their saddles, or the mean
    boundary along the rim that they share, for images that are all regions."""
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

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "foreground_threshold": (0.02, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9),
        "granularity": (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5),
        "seed_height": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
        "smoothing_px": (0.5, 1.0, 2.0),
        "min_score": (0.0, 0.2, 0.3, 0.4, 0.5, 0.6),
        "min_area_px": (12, 40, 100),
        "least_iou": (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6),
        "sure_foreground": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    }
    OF_WATERSHED: ClassVar[tuple[str, ...]] = (
        "foreground_threshold",
        "granularity",
        "smoothing_px",
        "min_score",
        "min_area_px",
    )
    """Those that calibration tries where the watershed cuts, the granularity in place of the seed height."""
    OF_REGIONS: ClassVar[tuple[str, ...]] = ("sure_foreground", "least_iou", "min_area_px", "granularity")
    """Those that matter where regions are chosen, in the order in which calibration tries them: what is surely
    foreground stays whatever its IoU, so with it the least IoU matters little."""


OF_WATERSHED_ALONE = ("foreground_threshold", "seed_height", "merging", "min_score")
"""Options of the dense decoder that do nothing where regions are chosen."""
OF_REGIONS_ALONE = ("least_iou", "sure_foreground")
"""Those that do nothing where the watershed cuts."""


@dataclass(frozen=True)
class Query(DecoderOptions):
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

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "score_threshold": (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        "mask_threshold": (0.3, 0.4, 0.5, 0.6, 0.7),
    }

    def check_agreement(self) -> None:
        """Raises InputError where the heads do not share the width evenly."""
        if self.dim % self.heads:
            raise self.wrong("heads", f"wanted a divisor of decoder.dim, which is {self.dim}")


@dataclass(frozen=True)
class Memory(DecoderOptions):
    """What good images look like, patch by patch; entities are where nothing of it is near. Learnt from images without
    entity alone."""

    name: Literal["memory"] = "memory"
    size: Annotated[int, Field(ge=1, le=16384)] = 1024
    """Patches of good images that are kept: of features the most different ones, of textures any."""
    description: Literal["features", "texture"] = "features"
    """What a patch is known by: features of the base, for one that knows photographs; or its texture beside the rest of
    its tile, gradients and variance at four scales, for even surfaces and the embedded base."""
    neighbours: Literal[1, 3, 5] = 3
    """Side of the square of patches over which features are pooled; textures are not."""
    smoothing_px: Smoothing = 4.0
    """Standard deviation of the Gaussian that smooths the map of strangeness."""
    false_alarms: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of good images that may show an entity: the threshold is chosen on those of the validation split."""
    strange: Share = 0.5
    """Score from which on a pixel belongs to an entity; 0.5 is the threshold that was chosen."""
    min_area_px: Area = 12
    """Smaller entities are dropped."""


@dataclass(frozen=True)
class Sam(DecoderOptions):
    """What answers prompts: SAM's own mask decoder, or that of the embedded base, fitted by prompts that are corrected.
    A user's points and boxes are answered, and without any those of a grid."""

    name: Literal["sam"] = "sam"
    prompts: Annotated[int, Field(ge=2, le=64)] = 12
    """Entities of each crop that are asked for in a step, by a point or by a box."""
    boxes: Share = 0.5
    """Share of them that are asked for by a box."""
    corrections: Annotated[int, Field(ge=0, le=10)] = 3
    """Points that follow one after the other, each where the mask before is wrong."""
    points_per_side: Annotated[int, Field(ge=1, le=64)] = 16
    """Of the grid on a tile, from whose masks entities are chosen: nearer to each other than entities are wide."""
    measured_tiles: Annotated[int, Field(ge=0, le=256)] = 4
    """Tiles of the validation split whose entities are measured at every validation, beside the loss; 0: none."""
    least_iou: Share = 0.5
    """Masks of a lower predicted IoU are none."""
    least_stability: Share = 0.7
    """Masks are none that change more than to this IoU when the threshold of their logits does by 1 up and down."""
    most_taken: Share = 0.5
    """Masks of which surer ones have taken a larger share are no entities of the flat map."""
    min_area_px: Area = 12
    """Smaller entities are dropped."""

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "least_iou": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88),
        "least_stability": (0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
        "most_taken": (0.2, 0.35, 0.5, 0.7),
        "min_area_px": (12, 40, 100),
    }


TrainedDecoder = Annotated[Dense | Query, Field(discriminator="name")]
"""Those that pretraining teaches."""
Decoder = Annotated[Dense | Query | Memory | Sam, Field(discriminator="name")]
