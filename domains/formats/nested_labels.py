"""Nested labels for a fit: cuts of a forest at several granularities are read as several annotators of one image.

`pseudo-label` writes all that is nested beside the flat map. Of several annotators training draws one for each crop,
and cuts lie evenly in granularity: where that is 1 less the strength of a rim, as of `decoder.merging=rims`, a rim is
taught as often as it is strong.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from domains.entities import BACKGROUND, UNLABELLED, EntityMap
from domains.entities.forest import EntityForest
from domains.errors import InputError
from domains.exports.forest_files import RASTER
from domains.exports.forest_reading import described, read_forest

GRANULARITIES = (0.2, 0.4, 0.6, 0.8, 1.0)


def with_nested(truth: EntityMap, labels: Path, ending: str) -> list[EntityMap]:
    """The truth, then further cuts of the forest beside its labels, if the truth is a cut of that still: where somebody
    corrected the labels they count alone. labels: NAME`ending`. Raises InputError for a damaged forest.
    """
    raster = labels.with_name(labels.name.removesuffix(ending) + RASTER)
    if not labels.name.endswith(ending) or not raster.is_file():
        return [truth]
    if (shape := described(raster).shape) != truth.shape:
        raise InputError(
            f"{str(raster)!r} has {shape[1]} x {shape[0]} px, {labels.name} {truth.shape[1]} x {truth.shape[0]}; "
            "remove it, and the labels count alone"
        )
    scene = read_forest(raster).forest
    if not np.array_equal(scene.entity_forest.cut(scene.granularity).ids, truth.ids):
        return [truth]
    return [truth, *further_cuts(scene.entity_forest, truth)]


def further_cuts(forest: EntityForest, flat: EntityMap) -> list[EntityMap]:
    """The cuts at `GRANULARITIES` that have two entities or more, differ from the flat map and from each other.

    What is an entity of the flat map and none of a cut, such as what lies beside the parts of a whole, is unlabelled.
    """
    cuts: list[EntityMap] = []
    for cut in map(forest.cut, GRANULARITIES):
        unsaid = (cut.ids == BACKGROUND) & (flat.ids > 0)
        labels = replace(cut, ids=np.where(unsaid, UNLABELLED, cut.ids))
        if cut.count >= 2 and not any(np.array_equal(labels.ids, earlier.ids) for earlier in (flat, *cuts)):
            cuts.append(labels)
    return cuts
