"""Nested labels for a fit: cuts of a forest at several granularities are read as several annotators of one image.

`pseudo-label` writes all that is nested beside the flat map. People cut an image as coarsely or as finely as they like,
and of several annotators training draws one for each crop: so what is nested is taught as what several people drew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from domains.entities import EntityMap
from domains.entities.forest import EntityForest
from domains.errors import InputError
from domains.exports.forest_files import RASTER
from domains.exports.forest_reading import described, read_forest

MOST = 5
"""Cuts of an image, the flat map among them."""
TRIED = 32
"""Granularities whose entities are counted."""


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
    return [truth, *further_cuts(scene.entity_forest, scene.granularity)]


def further_cuts(forest: EntityForest, granularity: float, most: int = MOST) -> list[EntityMap]:
    """Cuts beside that at a granularity, `most` - 1 or fewer, finest last: from the coarsest of two entities to the
    finest their numbers grow by one factor, as nearly as there are cuts.
    """
    at = np.unique(np.concatenate([forest.nodes.g, forest.nodes.gone[forest.nodes.gone > 0]]))
    at = at[np.unique(np.linspace(0, len(at) - 1, min(len(at), TRIED)).round().astype(int))]
    cuts = [cut for cut in (forest.cut(float(g)) for g in at) if cut.count >= 2]
    if not cuts:
        return []
    counts = np.array([cut.count for cut in cuts])
    steps = np.geomspace(counts[0], counts[-1], most - 1)
    nearest = {int(np.abs(np.log(counts / step)).argmin()) for step in steps}
    flat = forest.cut(granularity).ids
    return [cuts[i] for i in sorted(nearest) if not np.array_equal(cuts[i].ids, flat)]
