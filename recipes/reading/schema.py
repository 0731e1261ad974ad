"""What a recipe may say: its sections, their options, defaults and ranges.

Light on purpose: neither torch nor transformers is imported here, so a wrong recipe is refused at once.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, Strict, WithJsonSchema, field_validator, model_validator

from adapters.options.explain import checked
from adapters.options.options import (
    EMBEDDED_BACKBONES,
    OWN_TERMS,
    POSSIBLE_TERMS,
    Count,
    CropSide,
    Decoder,
    Dense,
    Lora,
    Losses,
    Method,
    Natural,
    NotNegative,
    Options,
    PixelSize,
    Positive,
    Query,
    Scale,
    Share,
    Symmetries,
    TestScales,
    TileSide,
    WindowSide,
    smaller_than_tile,
)
from domains.bands import channels_of, parse_bands
from domains.errors import InputError, suggest
from domains.registry import GROUP, house_domains

BUILT_IN_DOMAINS = tuple(house_domains())
DOMAINS_GROUP = GROUP

BandWord = Annotated[str, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})]
BandList = Annotated[tuple[BandWord, ...], Strict(False)]
Taps = Annotated[tuple[Count, ...], Strict(False), Field(min_length=1)]


class DomainSection(Options):
    """What to see: the domain, where its images lie, and how they are cut."""

    name: str
    """pathology, industrial, remote_sensing, natural, or a domain that an installed package registers."""
    data: str = "sample"
    """A folder of labelled images; `sample` for scenes generated on the spot."""
    layout: str | None = None
    """How the folder is laid out; null to recognise it."""
    groups: str | None = None
    """CSV of file,group: images of a group stay in one split; null for the layout's own, or DATA/groups.csv."""
    fractions: Annotated[tuple[Share, Share, Share], Strict(False)] = (0.64, 0.16, 0.2)
    """Shares of train, val and test for data without a split of their own."""
    max_images: Count | None = None
    """Train on this many images only; null for all."""
    sample_count: Count = 64
    """Number of generated scenes when data is `sample`."""
    pixel_size_m: PixelSize | None = None
    """Size of a pixel of the folder's images in metres, in place of what they say; null: what they say."""
    scale: Scale | Literal["auto"] = 1.0
    """Images are resized by this before the network, and entities mapped back; 2 shows small entities larger. auto: 1
    (where pixels have a known size, what brings them to that of the domain, 0.35 um in pathology), a half or a quarter
    of that, the first at which nineteen of twenty entities of the training images are no larger than a crop."""
    crop_px: CropSide = 128
    """Side of the training crops after scaling; rounded to a multiple of the backbone's stride and of 8."""
    balance: Share | None = None
    """Share of the training crops that hold an entity, the others coming from images without; null: as they come."""
    paste_share: Share = 0.0
    """Share of the training crops without entity onto which an entity of another training image is blended."""
    drawn_defects: Share = 0.0
    """Inspection: share of the training crops on which the generator of surfaces draws a defect, beside what they hold:
    the ground is the user's own, the defect need not be among the labelled ones."""
    hard_negatives: Share = 0.0
    """Share of the training crops of images without entity that lie where the network saw one, looked up anew after
    every validation; wants decoder.name=dense."""
    tile_px: TileSide = 256
    """Side of the tiles in evaluation and prediction after scaling; a scene that is no larger is seen whole. Rounded as
    crops are."""
    window_px: WindowSide | None = None
    """Side of the windows that the network sees of a scene larger than a tile, four to a pixel, their fields averaged:
    the tiling no longer shows, and the windows count as four symmetries. Null: the network sees the tiles. Rounded
    as crops are; the dense decoder alone has fields to average."""
    overlap_px: Natural = 64
    """Overlap of neighbouring tiles; about the diameter of a typical entity."""
    stain: Literal["macenko", "reinhard"] | None = None
    """Stain normalisation of every image before the network, towards the median look of the training images."""
    stain_augmentation: Literal["jitter", "styles", "both", "section", "none"] = "none"
    """Pathology: dyes drawn freely (jitter), like the styles that the training images show (styles), both; nuclei of
    one dye shown in sections of two (section); or none."""
    fluorescence_as_dye: Share = 0.0
    """Pathology: share of the training crops of fluorescence that are shown as stained tissue."""
    seasons: bool = False
    """Remote sensing: plants of other seasons and soft shadows in training crops."""
    symmetries: Symmetries = 1
    """Flips and turns over which prediction averages the dense decoder's fields; takes as many times as long."""
    test_scales: TestScales = (1.0,)
    """Resizings, beside `scale`, over which it averages them too: [1, 0.7] takes half as long again."""
    bands: BandList = ()
    """Bands of rasters that the network sees: names, numbers from 1, ndvi, (nir-red)/(nir+red); [] for RGB."""
    band_names: Annotated[tuple[str, ...], Strict(False)] = ()
    """Names of the bands of a file in their order, for files that do not name them."""
    attribute: str | None = None
    """Column of vector labels whose values are the classes; null for none."""
    labels: Literal["ids", "mask", "classes"] | None = None
    """What the numbers of label pictures mean: an entity each, all foreground, a class each; null to decide."""
    void: Natural | Literal["none"] | None = None
    """The number of label pictures that is unlabelled; none: none is; null to decide."""
    strict: bool = False
    """A file that cannot be used is an error rather than skipped with a counted warning."""
    leaks: Literal["refuse", "identical", "allow"] = "refuse"
    """Test images that were learned from: `identical` allows nearly the same ones, such as parts in one pose."""
    card: Literal["check", "ignore"] = "check"
    """Whether the files and their split must be those that the data card states."""

    @field_validator("bands", mode="before")
    @classmethod
    def _words(cls, bands: Any) -> Any:
        return tuple(str(band) for band in bands) if isinstance(bands, (list, tuple)) else bands

    @field_validator("bands")
    @classmethod
    def _understood(cls, bands: tuple[str, ...]) -> tuple[str, ...]:
        if bands:
            try:
                parse_bands(bands)
            except InputError as error:
                raise ValueError(str(error)) from error
        return bands

    @model_validator(mode="after")
    def _fits_the_bands(self) -> Self:
        if self.bands and self.stain is not None:
            raise ValueError("domain.stain wants RGB; set domain.stain=null or domain.bands=[]")
        if channels_of(self.bands) != 3 and self.paste_share:
            raise ValueError("domain.paste_share wants one band or three, as its blending does; set it to 0")
        return self

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        known = {*BUILT_IN_DOMAINS, *(point.name for point in entry_points(group=DOMAINS_GROUP))}
        if name not in known:
            raise ValueError(suggest(name, known))
        return name

    @field_validator("data", "groups")
    @classmethod
    def _home(cls, path: str | None) -> str | None:
        return path and os.path.expanduser(path)

    @field_validator("fractions")
    @classmethod
    def _whole(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"wanted shares of train, val and test that sum to 1; these sum to {sum(shares):g}")
        return shares

    @field_validator("overlap_px")
    @classmethod
    def _smaller_than_tile(cls, overlap_px: int, info: Any) -> int:
        return smaller_than_tile(overlap_px, info, "domain")


class BackboneSection(Options):
    """The frozen model."""

    name: str = "entity-small"
    """The embedded base `entity-small`, a Hub id such as facebook/dinov2-small, a folder, or a .pth checkpoint."""
    revision: str | None = None
    """Branch, tag or commit of a Hub id."""
    taps: Taps | None = None
    """Blocks whose tokens are features, counted from 1; null: four evenly spaced ones, three below 8 blocks."""
    gradient_checkpointing: bool = False
    """Recompute blocks in the backward pass: less memory for about a third more time."""
    random: bool = False
    """Random weights of the same architecture: the control for pretraining."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        path = os.path.expanduser(name)
        if name in EMBEDDED_BACKBONES or "/" in name or os.sep in name or "." in name or os.path.exists(path):
            return path
        known = suggest(name, EMBEDDED_BACKBONES)
        raise ValueError(f"{known}, a Hub id such as facebook/dinov2-small, a folder or a .pth checkpoint")


class TrainSection(Options):
    """How the weights that learn move."""

    start: Annotated[str, Field(min_length=1)] | None = None
    """What it starts from: a pretrained decoder of the base, of which entity-small has `aerial`, `nuclei`,
    `photographs` and `surfaces`, each of one kind of scene; null: the general one; or an adapter, its folder (./mine)
    or packed file, of the same base, method and decoder."""
    steps: Count = 400
    """Optimiser steps."""
    seconds: Positive | None = None
    """Stop after this long if `steps` have not ended it; the learning rate follows whichever is nearer its end."""
    batch_size: Count = 8
    lr: Positive = 1.0e-3
    """Peak learning rate of the decoder."""
    backbone_lr: Positive = 1.0e-3
    """Peak learning rate of what learns inside the backbone."""
    weight_decay: NotNegative = 0.05
    betas: Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]], Strict(False)] = (
        0.9,
        0.98,
    )
    """Momentum terms of AdamW."""
    warmup_steps: Natural = 20
    """Steps of linear warm-up; a cosine follows."""
    clip: Positive = 1.0
    """Gradients are clipped to this norm."""
    validate_every: Count = 50
    """Steps between two looks at the validation split; checkpoints are written then."""
    rehearsal: Share = 0.0
    """Share of the training crops that are generated scenes of the domain, against forgetting what the base knows."""
    calibrate: bool = True
    """Choose the decode's thresholds on the validation split at the end, instead of those of `decoder`."""
    calibrate_for: Literal["f1", "pq", "ap50", "ap", "aji", "dice", "iou", "covering", "boundary_f"] | None = None
    """What of the domain's metrics they make most of; null: the one that the domain shows first. AP lets clutter of low
    scores through, f1 and pq do not."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast where the machine is faster with it."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    """Processes that load and augment; 0 does it in the main one."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @property
    def start_kind(self) -> str | None:
        """The kind of scene whose decoder it starts from; a word is a kind, all else the path of an adapter."""
        return self.start if self.start and re.fullmatch("[A-Za-z0-9_-]+", self.start) else None

    @property
    def start_adapter(self) -> str | None:
        return None if self.start_kind else self.start


class Recipe(Options):
    """Everything that decides a run: what to see, what is adapted, how few weights learn, and how they are trained."""

    domain: DomainSection
    backbone: BackboneSection = BackboneSection()
    method: Method = Lora()
    decoder: Decoder = Dense()
    losses: Losses = Losses()
    train: TrainSection = TrainSection()

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, sections: Any) -> Any:
        return fill_losses(fill_names(sections, {"method": "lora", "decoder": "dense"}))

    @model_validator(mode="after")
    def _agree(self) -> Self:
        check_terms(self.decoder, self.losses)
        if self.domain.hard_negatives and self.decoder.name != "dense":
            raise ValueError(f"domain.hard_negatives wants decoder.name=dense; decoder.name is {self.decoder.name!r}")
        if self.train.start_adapter and self.backbone.random:
            raise ValueError("train.start names an adapter of the base; backbone.random=true has another: leave one")
        if channels_of(self.domain.bands) != 3 and self.train.rehearsal:
            raise ValueError("train.rehearsal wants one band or three, as generated scenes are RGB; set it to 0")
        return self


def fill_names(sections: Any, names: Mapping[str, str]) -> Any:
    """The sections, with a `name` where a mapping lacks it: `method: {rank: 4}` means LoRA."""
    if not isinstance(sections, Mapping):
        return sections
    named = {
        key: {"name": name, **sections[key]} for key, name in names.items() if isinstance(sections.get(key), Mapping)
    }
    return {**sections, **named}


def fill_losses(sections: Any) -> Any:
    """The sections, with the decoder's own terms among the losses; a term that is null is as if it were not there."""
    losses = sections.get("losses", {}) if isinstance(sections, Mapping) else None
    decoder = sections.get("decoder", {"name": "dense"}) if isinstance(sections, Mapping) else None
    name = decoder.get("name") if isinstance(decoder, Mapping) else getattr(decoder, "name", None)
    if not isinstance(losses, Mapping) or name not in OWN_TERMS:
        return sections
    said = {term: options for term, options in losses.items() if options is not None}
    return {**sections, "losses": {**dict.fromkeys(OWN_TERMS[name], {}), **said}}


def check_terms(decoder: Dense | Query, losses: Losses) -> None:
    terms = losses.options()
    for term in terms:
        if term not in POSSIBLE_TERMS[decoder.name]:
            fitting = next(name for name, possible in POSSIBLE_TERMS.items() if term in possible)
            raise ValueError(f"losses.{term} wants decoder.name={fitting}; decoder.name is {decoder.name!r}")
    if "embedding" in terms and isinstance(decoder, Dense) and not decoder.embedding_dim:
        raise ValueError("losses.embedding wants decoder.embedding_dim above 0, for instance 8")
    if not any(options["weight"] for options in terms.values()):
        raise ValueError("every term of losses has weight 0; wanted one above 0")


AnyRecipe = TypeVar("AnyRecipe", bound=Options)


def check_recipe(kind: type[AnyRecipe], sections: Mapping[str, Any], source: str = "") -> AnyRecipe:
    """The recipe that the sections spell. Raises InputError in one line that opens with `source`: the option, what
    came, what was wanted.
    """
    return checked(kind, sections, source)
