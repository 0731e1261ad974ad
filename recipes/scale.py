"""`domain.scale=auto`: images shrunk until a training crop shows more than the inside of the largest entities."""

from __future__ import annotations

import numpy as np

from domains.crops import Samples
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
