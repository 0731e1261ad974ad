"""What a recipe may say: its sections, their options, defaults and ranges.

Light on purpose: neither torch nor transformers is imported here, so a wrong recipe is refused at once. What the
sections of the adapter may say stands in `adapters/options`; that of the domain stands here.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Strict, WithJsonSchema

from adapters.options.backbone import EMBEDDED, BackboneOptions
from adapters.options.contract import Context, InputOptions, check_overlap
from adapters.options.decoders import Decoder, Dense
from adapters.options.losses import OWN_TERMS, TERMS, Losses
from adapters.options.methods import Lora, Method
from adapters.options.ranges import (
    Count,
    CropSide,
    Natural,
    PixelSize,
    Scale,
    Share,
    Symmetries,
    TestScales,
    TileSide,
    WindowSide,
)
from adapters.options.section import Options, checked
from adapters.options.training import TrainOptions
from domains.bands import channels_of, parse_bands
from domains.errors import InputError, suggest
from domains.registry import GROUP, house_domains

BUILT_IN_DOMAINS = tuple(house_domains())
DOMAINS_GROUP = GROUP


def known_domain(name: str) -> str:
    """The name of a domain. Raises ValueError for one that neither we nor an installed package bring."""
    if name in BUILT_IN_DOMAINS:
        return name
    names = {*BUILT_IN_DOMAINS, *(point.name for point in entry_points(group=DOMAINS_GROUP))}
    if name not in names:
        raise ValueError(suggest(name, names))
    return name


def at_home(path: str) -> str:
    """The path with `~` written out."""
    return os.path.expanduser(path)


def whole(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    """Shares of train, val and test. Raises ValueError unless they sum to 1."""
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"wanted shares of train, val and test that sum to 1; these sum to {sum(shares):g}")
    return shares


def as_words(bands: Any) -> Any:
    """Bands as texts: YAML reads `3` as a number."""
    if not isinstance(bands, (list, tuple)):
        return bands
    return tuple(str(band) if type(band) is int else band for band in bands)


def understood(bands: tuple[str, ...]) -> tuple[str, ...]:
    """Bands that `domains.bands` understands. Raises InputError."""
    if bands:
        parse_bands(bands)
    return bands


BandWord = Annotated[str, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})]
Bands = Annotated[tuple[BandWord, ...], Strict(False), BeforeValidator(as_words), AfterValidator(understood)]
HomePath = Annotated[str, AfterValidator(at_home)]


@dataclass(frozen=True)
class DomainSection(Options):
    """What to see: the domain, where its images lie, and how they are cut."""

    SOURCE: ClassVar[str] = "domain."

    name: Annotated[str, AfterValidator(known_domain)]
    """pathology, industrial, remote_sensing, natural, or a domain that an installed package registers."""
    data: HomePath = "sample"
    """A folder of labelled images; `sample` for scenes generated on the spot."""
    layout: str | None = None
    """How the folder is laid out; null to recognise it."""
    groups: HomePath | None = None
    """CSV of file,group: images of a group stay in one split; null for the layout's own, or DATA/groups.csv."""
    fractions: Annotated[tuple[Share, Share, Share], Strict(False), AfterValidator(whole)] = (0.64, 0.16, 0.2)
    """Shares of train, val and test for data without a split of their own."""
    max_images: Count | None = None
    """Train on this many images only; null for all."""
    sample_count: Count = 64
    """Number of generated scenes when data is `sample`."""
    pixel_size_m: PixelSize | None = None
    """Size of a pixel of the folder's images in metres, in place of what they say; null: what they say."""
    scale: Scale | Literal["auto"] = InputOptions.scale
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
    tile_px: TileSide = InputOptions.tile_px
    """Side of the tiles in evaluation and prediction after scaling; a scene that is no larger is seen whole. Rounded as
    crops are."""
    window_px: WindowSide | None = None
    """Side of the windows that the network sees of a scene larger than a tile, on a lattice of the scene, so that the
    tiling does not show; neighbours share a twelfth of it, and half of the symmetries are taken. Null: the network sees
    the tiles. Rounded as crops are; the dense decoder alone has fields to blend."""
    context: Context = None
    """A view of the whole scene beside its tiles: where the two do not agree on large entities, fields and lakes, the
    mean of both decides, and small ones are the tiles'. true, false, or options; the dense decoder alone has it."""
    overlap_px: Natural = InputOptions.overlap_px
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
    symmetries: Symmetries = InputOptions.symmetries
    """Flips and turns over which prediction averages the dense decoder's fields; takes as many times as long."""
    test_scales: TestScales = InputOptions.test_scales
    """Resizings, beside `scale`, over which it averages them too: [1, 0.7] takes half as long again."""
    bands: Bands = ()
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

    def check_agreement(self) -> None:
        """Raises InputError: tiles no larger than their overlap, stain or pasting for other bands than they know."""
        check_overlap(self, "domain")
        if self.bands and self.stain is not None:
            raise InputError("domain.stain wants RGB; set domain.stain=null or domain.bands=[]")
        if channels_of(self.bands) != 3 and self.paste_share:
            raise InputError("domain.paste_share wants one band or three, as its blending does; set it to 0")


def known_backbone(backbone: BackboneOptions) -> BackboneOptions:
    """The section, `~` in its name written out. Raises OptionError for a name that can be no base."""
    name, path = backbone.name, os.path.expanduser(backbone.name)
    if not (name in EMBEDDED or "/" in name or os.sep in name or "." in name or os.path.exists(path)):
        raise backbone.wrong(
            "name", f"{suggest(name, EMBEDDED)}, a Hub id such as facebook/dinov2-small, a folder or a .pth checkpoint"
        )
    return backbone if path == name else replace(backbone, name=path)


@dataclass(frozen=True)
class AnyRecipe(Options):
    """What a recipe of fitting and one of pretraining have in common."""

    PARTS: ClassVar[Mapping[str, str]] = {"decoder": "dense"}
    """Section -> what it is called where it has no name."""

    @classmethod
    def completed(cls, sections: Any) -> Any:
        """The sections with the names of parts, and the terms of the loss, that go without saying."""
        return fill_losses(fill_names(sections, cls.PARTS))


@dataclass(frozen=True)
class Recipe(AnyRecipe):
    """Everything that decides a run: what to see, what is adapted, how few weights learn, and how they are trained."""

    PARTS: ClassVar[Mapping[str, str]] = {"method": "lora", "decoder": "dense"}

    domain: DomainSection
    backbone: Annotated[BackboneOptions, AfterValidator(known_backbone)] = BackboneOptions()
    method: Method = Lora()
    decoder: Decoder = Dense()
    losses: Losses = Losses()
    train: TrainOptions = TrainOptions()

    def check_agreement(self) -> None:
        """Raises InputError for sections that do not go together."""
        self.losses.check_decoder(self.decoder)
        if self.domain.hard_negatives and self.decoder.name != "dense":
            raise InputError(f"domain.hard_negatives wants decoder.name=dense; decoder.name is {self.decoder.name!r}")
        if self.train.start_adapter and self.backbone.random:
            raise InputError("train.start names an adapter of the base; backbone.random=true has another: leave one")
        if channels_of(self.domain.bands) != 3 and self.train.rehearsal:
            raise InputError("train.rehearsal wants one band or three, as generated scenes are RGB; set it to 0")


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
    if not isinstance(losses, Mapping) or not isinstance(name, str) or name not in OWN_TERMS:
        return sections
    terms = {term: options for term, options in losses.items() if options is not None or term not in TERMS}
    return {**sections, "losses": {**dict.fromkeys(OWN_TERMS[name], {}), **terms}}


Checked = TypeVar("Checked", bound=AnyRecipe)


def check_recipe(kind: type[Checked], sections: Mapping[str, Any], source: str = "") -> Checked:
    """The recipe that the sections spell. Raises InputError in one line that opens with `source`: the option, what
    came, what was wanted.
    """
    return checked(kind, kind.completed(sections), source)
