"""What a recipe may say of data, whatever the domain. Imports no torch, so that a recipe is checked at once.

What a domain alone may be told stands in its `options.py`, or in the spec of its package. `AFTER` is the option of a
recipe's section behind which the options of a class are written; those of a class without it come last.
"""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from domains.bands import parse_bands

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PixelSize = Annotated[float, Field(ge=1e-10, le=1e6)]
"""Metres."""
Labels = Literal["ids", "mask", "classes"]
"""What the numbers of label pictures mean."""


def at_home(path: str) -> str:
    """The path with `~` written out."""
    return os.path.expanduser(path)


def checked_shares(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    """Shares of train, val and test. Raises ValueError unless they sum to 1."""
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"wanted shares of train, val and test that sum to 1; these sum to {sum(shares):g}")
    return shares


def as_words(bands: Any) -> Any:
    """Bands as texts: YAML reads `3` as a number."""
    if not isinstance(bands, (list, tuple)):
        return bands
    return tuple(str(band) if type(band) is int else band for band in bands)


def checked_bands(bands: tuple[str, ...]) -> tuple[str, ...]:
    """Bands that `domains.bands` understands. Raises InputError."""
    if bands:
        parse_bands(bands)
    return bands


BandWord = Annotated[str, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})]
Bands = Annotated[tuple[BandWord, ...], Strict(False), BeforeValidator(as_words), AfterValidator(checked_bands)]
HomePath = Annotated[str, AfterValidator(at_home)]


@dataclass(frozen=True)
class DataOptions:
    """Which images there are, and which of them are learnt from and measured on."""

    AFTER: ClassVar[str] = "data"

    layout: str | None = None
    """How the folder is laid out; null to recognise it."""
    groups: HomePath | None = None
    """CSV of file,group: images of a group stay in one split; null for the layout's own, or DATA/groups.csv."""
    fractions: Annotated[tuple[Share, Share, Share], Strict(False), AfterValidator(checked_shares)] = (0.64, 0.16, 0.2)
    """Shares of train, val and test for data without a split of their own."""
    max_images: Count | None = None
    """Train on this many images only; null for all."""
    max_val_images: Count | None = None
    """Choose weights and thresholds on this many validation images only; null for all."""
    good_only: bool = False
    """Learn from the images without entity alone, and choose on them: inspection where no defect is labelled. Wants
    decoder.name=memory, or entities that are drawn (`drawn_defects`)."""
    sample_count: Count = 64
    """Number of generated scenes when data is `sample`."""
    pixel_size_m: PixelSize | None = None
    """Size of a pixel of the folder's images in metres, in place of what they say; null: what they say."""


@dataclass(frozen=True)
class ReadingOptions:
    """How files are read."""

    AFTER: ClassVar[str] = "test_scales"

    bands: Bands = ()
    """Bands of rasters that the network sees: names, numbers from 1, ndvi, (nir-red)/(nir+red); [] for RGB."""
    band_names: Annotated[tuple[str, ...], Strict(False)] = ()
    """Names of the bands of a file in their order, for files that do not name them."""
    attribute: str | None = None
    """Column of vector labels whose values are the classes; null for none."""
    labels: Labels | None = None
    """What the numbers of label pictures mean: an entity each, all foreground, a class each; null to decide."""
    void: Natural | Literal["none"] | None = None
    """The number of label pictures that is unlabelled; none: none is; null to decide."""
    strict: bool = False
    """A file that cannot be used is an error rather than skipped with a counted warning."""
