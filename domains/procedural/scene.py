"""One generated scene as a sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.entities import EntityMap, EntitySample, Place
from domains.errors import InputError, suggest
from domains.procedural import SCENES


def draw_scene(family: str, seed: int | Sequence[int], height: int, width: int) -> EntitySample:
    """The scene of a family and a seed, the same on every call; InputError where the family is unknown."""
    if family not in SCENES:
        raise InputError(f"a procedural scene wants a family it knows; got {family!r}; {suggest(family, SCENES)}")
    image, truth = SCENES[family](np.random.default_rng(seed), height, width)
    entities = truth if isinstance(truth, EntityMap) else EntityMap(truth)
    name = "-".join(str(number) for number in np.atleast_1d(seed))
    return EntitySample(image, (entities,), Place(scene=f"{family}-{name}"))
