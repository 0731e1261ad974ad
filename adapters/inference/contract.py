"""How a network wants to see a scene: sizes of tiles, of pixels, bands and views, and what it is shown by that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from adapters.network import Views
from adapters.options.contract import InputOptions
from adapters.options.ranges import SCALES
from adapters.options.section import checked
from domains.crops.normalisers import build_normaliser
from domains.entities import EntitySample
from domains.errors import InputError
from domains.scenes import Photograph, Scene, View, Viewed, plain_view
from domains.scenes.band_view import band_view
from domains.scenes.pixel_size import scale_to, show_pixel_size
from domains.tiling.grid import Grid

TILE_WINDOWS = 8  # side of a tile in windows, where the network sees windows, up to
WINDOWED_TILE_PX = 2048


@dataclass(frozen=True)
class InputContract(InputOptions):
    """How the network wants to see a scene; stored with an adapter, since its weights depend on it."""

    def check_agreement(self) -> None:
        """Raises InputError: an adapter comes from anybody, and its numbers decide how much memory is taken."""
        super().check_agreement()
        if self.stain is not None:
            build_normaliser(self.stain)

    @property
    def views(self) -> Views:
        """Of a tile."""
        return Views(self.symmetries, self.test_scales)

    @property
    def window_views(self) -> Views:
        """Of a window: half of those of a tile, as scenes that are seen by windows are large."""
        return Views(max(1, self.symmetries // 2), self.test_scales)

    def by_windows(self, shape: tuple[int, int]) -> bool:
        """Whether the network sees a scene of that (height, width), after scaling, by windows."""
        return self.window_px is not None and max(shape) > self.tile_px

    def grid(self, shape: tuple[int, int]) -> Grid:
        """Tiles of a scene of that (height, width), after scaling. By windows they are what is decoded at once, and
        large, all of one size; they share a sixteenth of their side or more, which is half a window where eight make a
        tile.
        """
        side = self.window_px if self.window_px and self.by_windows(shape) else 0
        least = max(side, min(TILE_WINDOWS * side, WINDOWED_TILE_PX))
        return Grid(shape, max(self.tile_px, least), max(self.overlap_px, least // 16), evenly=side > 0)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> InputContract:
        """The contract that `asdict` had written down. Raises InputError."""
        return checked(cls, values, cls.SOURCE)

    def values(self) -> dict[str, Any]:
        """The options as mappings; without `context` where there is none, as runs of before it have them."""
        values = asdict(self)
        return values if self.context else {name: value for name, value in values.items() if name != "context"}

    def changed(
        self,
        symmetries: int | None = None,
        window_px: int | None = None,
        test_scales: tuple[float, ...] | None = None,
    ) -> InputContract:
        """As a user asks for it; None leaves what it is, and windows of 0 px are none."""
        options = {"symmetries": symmetries, "window_px": window_px, "test_scales": test_scales}
        changes: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        return replace(self, **changes | ({"window_px": None} if window_px == 0 else {}))

    def view(self, scene: Scene) -> View:
        """What the network is shown of a scene. Raises InputError where that lacks a band."""
        return band_view(scene, self.bands, self.band_names) if self.bands else plain_view(scene)

    def viewed(self, scene: Scene, view: View | None = None) -> Viewed:
        """The scene as the network is shown it. view: in place of its own, of the clip that it is a frame of. Raises
        InputError for one that it cannot be shown: of an unknown or too different size of pixels, or without a band.
        """
        self.factor(scene.pixel_size_m)
        return Viewed(scene, view or self.view(scene))

    def factor(self, pixel_size_m: float | None) -> float:
        """How many pixels of the network a pixel of that size becomes, per side.

        Raises InputError where the adapter was trained at a known size and this one is not known, or too far from it.
        """
        if self.pixel_size_m is None:
            return self.scale * scale_to(self.seen_pixel_size_m, pixel_size_m)
        if pixel_size_m is None:
            raise InputError(
                f"the adapter was trained at {show_pixel_size(self.pixel_size_m)} per pixel, the image does not say "
                "its own; say it by --pixel-size, for instance --pixel-size 0.25 (micrometres) or --pixel-size 10m"
            )
        factor = self.scale * pixel_size_m / self.pixel_size_m
        smallest, largest = SCALES
        if not smallest <= factor <= largest:
            raise InputError(
                f"the image has {show_pixel_size(pixel_size_m)} per pixel, the adapter was trained at "
                f"{show_pixel_size(self.pixel_size_m)}: wanted between {1 / largest:g} and {1 / smallest:g} of it; "
                "correct a wrong size by --pixel-size"
            )
        return factor

    def factor_of(self, sample: EntitySample) -> float:
        """The factor of a labelled image, which is taken to be of the adapter's pixel size where it doesn't say."""
        return self.factor(sample.place.pixel_size_m or self.pixel_size_m)

    def scene_of(self, image: np.ndarray) -> Photograph:
        """An image (H, W, C) uint8 as a scene of the pixel size that the adapter was fitted at."""
        return Photograph(image, self.pixel_size_m)

    def photograph(self, sample: EntitySample) -> Photograph:
        """A labelled image as a scene, of the adapter's pixel size where it doesn't say. Raises InputError for one of
        other channels than the network's.
        """
        if sample.image.shape[2] != self.channels:
            raise InputError(
                f"{sample.place.scene!r} has {sample.image.shape[2]} channels, the adapter sees {self.channels} "
                f"({', '.join(self.bands) or 'RGB'}); evaluate it on data with these, by domain.bands"
            )
        size = sample.place.pixel_size_m or self.pixel_size_m
        return Photograph(sample.image, size, cut_from=sample.place.cut_from)
