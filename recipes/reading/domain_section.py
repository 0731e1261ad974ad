"""The section `domain` of a recipe, put together from what owns its options. Imports no torch.

How a network sees scenes is said here, in `CommonSection`; which data there are in `domains/options.py`; what a domain
alone may be told in its own `options.py`, or in the `DomainSpec` of an installed package. Every section takes the
options of all domains of this house, which do nothing at their defaults: a recipe is read alike whatever it names.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_type_hints

import pydantic
from pydantic import AfterValidator

from adapters.options.contract import Context, InputOptions, check_overlap
from adapters.options.ranges import CropSide, Natural, Scale, Share, Symmetries, TestScales, TileSide, WindowSide
from adapters.options.section import Options, schema_of, sentences_of
from domains.bands import channels_of
from domains.errors import InputError, suggest
from domains.options import DataOptions, HomePath, ReadingOptions
from domains.registry import GROUP, house_domains, house_options

BUILT_IN_DOMAINS = tuple(house_domains())
MIX = "mix"
"""In place of a domain: several, which the section `mix` names."""
Member = tuple[str, Any, Any]
"""Name, type with range and sentence, and default of an option, as `make_dataclass` wants them."""


def known_domain(name: str) -> str:
    """The name of a domain, or `MIX`. Raises ValueError for one that neither we nor an installed package bring."""
    if name in (*BUILT_IN_DOMAINS, MIX):
        return name
    names = {*BUILT_IN_DOMAINS, *(point.name for point in entry_points(group=GROUP))}
    if name not in names:
        raise ValueError(suggest(name, names))
    return name


@dataclass(frozen=True, kw_only=True)
class CommonSection(Options, DataOptions, ReadingOptions):
    """What to see: the domain, where its images lie, and how they are cut."""

    SOURCE: ClassVar[str] = "domain."
    OWNED: ClassVar[tuple[str, ...]] = ()
    """Names of the options that single domains own."""

    name: Annotated[str, AfterValidator(known_domain)]
    """pathology, industrial, remote_sensing, natural, or a domain that an installed package registers; mix: those of
    the section `mix`."""
    data: HomePath = "sample"
    """A folder of labelled images; `sample` for scenes generated on the spot."""
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
    symmetries: Symmetries = InputOptions.symmetries
    """Flips and turns over which prediction averages the dense decoder's fields; takes as many times as long."""
    test_scales: TestScales = InputOptions.test_scales
    """Resizings, beside `scale`, over which it averages them too: [1, 0.7] takes half as long again."""
    leaks: Literal["refuse", "identical", "allow"] = "refuse"
    """Test images that were learned from: `identical` allows nearly the same ones, such as parts in one pose."""
    card: Literal["check", "ignore"] = "check"
    """Whether the files and their split must be those that the data card states."""

    @property
    def drawn_share(self) -> float:
        """Share of the training crops on which the domain draws an entity; 0 where no domain has `drawn_defects`."""
        return getattr(self, "drawn_defects", 0.0)

    def check_agreement(self) -> None:
        """Raises InputError: tiles no larger than their overlap, stain or pasting for other bands than they know."""
        check_overlap(self, "domain")
        if self.bands and self.stain is not None:
            raise self.wrong("stain", "wanted null beside other bands than RGB, or domain.bands=[]")
        if channels_of(self.bands) != 3 and self.paste_share:
            raise self.wrong("paste_share", "wanted 0, as its blending wants one band or three")


def section_with(package: type[Any] | None = None) -> type[CommonSection]:
    """The section with the options of data and of all domains, each class's behind the option that its `AFTER` names.

    package: options of an installed package's domain; they take the place of those of ours that are called alike.
    """
    instead = {} if package is None else members_of(package)
    owned = {
        owner: {name: member for name, member in members_of(owner).items() if name not in instead}
        for owner in house_options()
    } | ({} if package is None else {package: instead})
    behind: dict[str, list[Member]] = defaultdict(list)
    for owner in (DataOptions, ReadingOptions, *owned):
        behind[place_of(owner)] += owned.get(owner, members_of(owner)).values()
    described = members_of(CommonSection)
    namespace: dict[str, Any] = {name: vars(CommonSection)[name] for name in BEHAVIOUR}
    namespace |= {"__module__": __name__, "OWNED": tuple(name for members in owned.values() for name in members)}
    return make_dataclass(
        "DomainSection",
        [member for name in SAID_HERE for member in (described[name], *behind[name])],
        bases=(Options,),
        namespace=namespace,
        frozen=True,
        kw_only=True,
    )


SAID_HERE = tuple(option.name for option in fields(CommonSection) if option.name in CommonSection.__annotations__)
BEHAVIOUR = ("__doc__", "SOURCE", "drawn_share", "check_agreement")


def place_of(owner: type[Any]) -> str:
    """The option behind which those of a class are written: its `AFTER`, else the last one."""
    place = getattr(owner, "AFTER", "")
    return place if place in SAID_HERE else SAID_HERE[-1]


def members_of(owner: type[Any]) -> dict[str, Member]:
    """The options of a dataclass by name, each with its sentence, as fields of another dataclass."""
    hints, sentences = get_type_hints(owner, include_extras=True), sentences_of(owner)
    return {
        option.name: (
            option.name,
            Annotated[hints[option.name], pydantic.Field(description=sentences.get(option.name))],
            field(default=option.default, default_factory=option.default_factory),
        )
        for option in fields(owner)
    }


if TYPE_CHECKING:
    DomainSection = CommonSection
else:
    DomainSection = section_with()


@cache
def section_of_package(options: type[Any]) -> type[CommonSection]:
    """The section that takes a package's options too. options: the dataclass of its `DomainSpec`.

    Raises InputError where they cannot be read, or are called as an option of every domain.
    """
    names = {option.name for option in fields(options)}
    if clashes := names & {option.name for option in fields(CommonSection)}:
        raise InputError(f"its options {sorted(clashes)} are called as those of every domain")
    try:
        section = section_with(options)
        schema_of(section)
    except (NameError, TypeError, pydantic.PydanticUserError) as error:
        raise InputError(f"its options {options.__qualname__!r} cannot be read: {error}") from error
    return section
