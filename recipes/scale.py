"""At which scale images are seen.

`domain.scale=auto`: shrunk until a training crop shows more than the inside of the largest entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from domains.crops import Samples
from domains.scenes.pixel_size import show_pixel_size
from recipes.schema import Recipe

SCALES = (1.0, 0.5, 0.25)
LARGE = 95  # percentile of the entities' sides


def at_scale(recipe: Recipe, train: Samples) -> Recipe:
    """The recipe with a number for `auto`: the largest of `SCALES` at which large entities fit into a crop.

    An entity's side is the root of its area, so that a long crack does not count as large. Where even the last of the
    scales is too large, that one.
    """
    if recipe.domain.scale != "auto":
        return recipe
    sides = [np.sqrt(areas_of(train[i].truth.ids)) for i in range(len(train))]
    large = float(np.percentile(np.concatenate(sides), LARGE)) if any(map(len, sides)) else 0.0
    scale = next((one for one in SCALES if one * large <= recipe.domain.crop_px), SCALES[-1])
    return recipe.model_copy(update={"domain": recipe.domain.model_copy(update={"scale": scale})})


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
