"""How the network wants to see a scene, as an adapter stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, Strict

from adapters.options.ranges import WINDOW_PX, Natural, PixelSize, Scale, Symmetries, TestScales, TileSide
from adapters.options.section import Options, checked
from domains.bands import MOST, channels_of, parse_bands
from domains.errors import InputError

BandName = Annotated[str, Field(max_length=100)]
AVERAGED = ("symmetries", "test_scales", "window_px", "context")
"""Options of the input over which a decoder's fields are averaged; the query decoder has none."""


@dataclass(frozen=True)
class ContextOptions(Options):
    """The view of the whole scene beside its tiles."""

    SOURCE: ClassVar[str] = "context."

    side_px: Annotated[int, Field(ge=128, le=2048)] = 1024
    """Longest side of the smaller copy of the scene; at most half of the scene's."""
    large_share: Annotated[float, Field(ge=0.25, le=8)] = 0.5
    """Side in tiles (the root of the area) from which on an entity is large, so that the whole has a say."""


def switched(value: Any) -> Any:
    """`true` is a view of the whole with its defaults, `false` none. Raises InputError for wrong options."""
    if isinstance(value, Mapping):
        return checked(ContextOptions, value)
    return ContextOptions() if value is True else None if value is False else value


Context = Annotated[
    ContextOptions | None,
    BeforeValidator(switched, json_schema_input_type=bool | ContextOptions | None),
]
"""True, false, or the options of a view of the whole."""


@dataclass(frozen=True)
class InputOptions(Options):
    """How the network wants to see a scene; its weights depend on it."""

    SOURCE: ClassVar[str] = "input "

    scale: Scale = 1.0
    """Images are resized by this before the network (from `pixel_size_m` on, where known), and entities mapped back."""
    tile_px: TileSide = 256
    """Side of a tile, after scaling; a scene that is no larger is seen whole."""
    overlap_px: Natural = 64
    """Overlap of neighbouring tiles, after scaling."""
    pixel_size_m: PixelSize | None = None
    """Size of a pixel in the training images, in metres; null: any size will do."""
    seen_pixel_size_m: PixelSize | None = None
    """Where the training images did not say theirs: the size at which images that do are seen, in metres, if theirs is
    comparable; null: as they are."""
    channels: Annotated[int, Field(ge=2, le=MOST)] = 3
    """Of what the network is shown: RGB, or as many as there are bands; one band is shown thrice."""
    symmetries: Symmetries = 1
    """Flips and turns, 1 to 8, over which the decoder's fields are averaged; the time goes up by as much."""
    test_scales: TestScales = (1.0,)
    """Resizings of a tile, beside `scale`, over which they are averaged too; the time goes up by their squares' sum."""
    window_px: Annotated[int, Field(ge=WINDOW_PX[0], le=WINDOW_PX[1], multiple_of=8)] | None = None
    """Side of the windows that the network sees of a scene that is larger than a tile, on a lattice of the scene; null:
    it sees the tiles."""
    context: Context = None
    """How a view of the whole scene, made smaller, decides on large entities with the tiles; null: tiles alone."""
    stain: dict[str, Any] | None = None
    """Stain normalisation, its name and target, for `domains.crops.normalisers`; null for none."""
    bands: Annotated[tuple[BandName, ...], Strict(False)] = ()
    """Which bands of a raster the network sees, for `domains.bands`; none for RGB."""
    band_names: Annotated[tuple[BandName, ...], Strict(False)] = ()
    """Names of a raster's bands in their order, where its file does not give them."""

    def check_agreement(self) -> None:
        """Raises InputError: tiles no larger than their overlap, channels that are not those of the bands, a stain
        without RGB."""
        check_overlap(self, "input")
        if self.bands:
            parse_bands(self.bands)
        if self.channels != channels_of(self.bands):
            raise InputError(f"input.channels is {self.channels}; {list(self.bands)} has {channels_of(self.bands)}")
        if self.stain is not None and self.bands:
            raise InputError("input.stain wants RGB, and input.bands are others")


def check_overlap(section: Any, path: str) -> None:
    """Of a section with `tile_px` and `overlap_px`: neighbouring tiles share less than a tile. Raises InputError."""
    if section.overlap_px >= section.tile_px:
        raise section.wrong("overlap_px", f"wanted less than {path}.tile_px, which is {section.tile_px}")
