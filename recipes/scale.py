"""At which scale images are seen.

`domain.scale=auto`: at the pixel size that the domain names, where it is known; shrunk until a training crop shows more
than the inside of the largest entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from domains.datasets.domain import load_domain
from domains.entities import Samples
from domains.scenes.pixel_size import scale_to, show_pixel_size
from recipes.reading.schema import Recipe

SCALES = (1.0, 0.5, 0.25)
LARGE = 95  # percentile of the entities' sides


def at_scale(recipe: Recipe, train: Samples) -> Recipe:
    """The recipe with a number for `auto`: what brings images that know their pixel size to the one at which the domain
    sees them, 1 for others; from there on the largest of `SCALES` at which large entities fit into a crop.

    An entity's side is the root of its area, so that a long crack does not count as large. Where even the last of the
    scales is too large, that one.
    """
    if recipe.domain.scale != "auto":
        return recipe
    sized = sized_scale(recipe.domain.name, pixel_size(train))
    sides = [np.sqrt(areas_of(train[i].truth.ids)) for i in range(len(train))]
    large = float(np.percentile(np.concatenate(sides), LARGE)) if any(map(len, sides)) else 0.0
    scale = next((factor for factor in SCALES if factor * sized * large <= recipe.domain.crop_px), SCALES[-1]) * sized
    return replace(recipe, domain=replace(recipe.domain, scale=scale))


def scale_line(recipe: Recipe, pixel_size_m: float | None) -> str:
    """A line on the scale that `auto` became."""
    scale = in_numbers(recipe.domain.scale)
    if pixel_size_m is None or sized_scale(recipe.domain.name, pixel_size_m) == 1:
        return f"domain.scale: {scale:g}, by the size of the training images' entities"
    return (
        f"domain.scale: {scale:g}, by the size of the training images' pixels: {show_pixel_size(pixel_size_m)} each, "
        f"seen at {show_pixel_size(pixel_size_m / scale)}"
    )


def sized_scale(domain: str, pixel_size_m: float | None) -> float:
    """Pixels of the network per pixel of images of that size; 1 where the domain sees them as they are."""
    return round(scale_to(seen_pixel_size(domain), pixel_size_m), 4)


def seen_pixel_size(domain: str) -> float | None:
    """Metres per pixel at which a domain sees images that know theirs, None for as they are."""
    return getattr(load_domain(domain), "seen_pixel_size_m", None)


def pixel_size(dataset: Any) -> float | None:
    """Median of the images' pixel sizes in metres, None where they have none."""
    sizes = [record.pixel_size_m for record in getattr(dataset, "records", ()) if record.pixel_size_m]
    return float(np.median(sizes)) if sizes else None


def areas_of(ids: np.ndarray) -> np.ndarray:
    """(N,) pixels of each entity of a map."""
    areas = np.bincount(np.maximum(ids, 0).ravel())[1:]
    return areas[areas > 0]


def in_numbers(scale: float | str) -> float:
    """1 for an `auto` that no training images have settled."""
    return 1.0 if isinstance(scale, str) else scale


def unsized_note(pixel_size_m: float | None, *datasets: Any) -> str:
    """A line on labelled images that do not say their pixel size, where the network has one; "" where all do."""
    if pixel_size_m is None:
        return ""
    records: Sequence[Any] = [record for dataset in datasets for record in getattr(dataset, "records", ())]
    silent = sum(not record.pixel_size_m for record in records)
    if not silent:
        return ""
    return (
        f"note: {silent} of {len(records)} images do not say their pixel size and are taken to have "
        f"{show_pixel_size(pixel_size_m)}, that of the adapter; where that is wrong, say it by --pixel-size"
    )
