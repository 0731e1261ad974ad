"""What a network finds where it sees an image in many views: labels from which it learns to find as much with one.

Data distillation (Radosavovic et al., CVPR 2018, https://arxiv.org/abs/1712.04440): the views are flips, turns and
sizes, and their fields are averaged before entities are cut out. Departure: the labels are all nested entities, each at
its granularity, where the paper keeps the detections above one score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from adapters.inference.contract import InputContract
from adapters.inference.segment import Cut, Tiles, segment_into
from adapters.network import EntitySegmenter, Views
from domains.scenes import Photograph
from domains.tiling.scene_forest import SceneForest

MANY = Views(2, (1.0, 1.4, 2.0))
"""Larger sizes part what is small, twice as large the most; of photographs four symmetries gave no more beside them."""


def of_many_views(
    segmenter: EntitySegmenter, contract: InputContract, views: Views = MANY
) -> Callable[[Photograph], SceneForest]:
    """From a scene in memory to the forest of what the network finds in it in many views.

    Where the contract has the network see a scene as a whole too, it does not here. Raises InputError for a scene of
    another size of pixels than the network's.
    """
    often = replace(contract, symmetries=views.symmetries, test_scales=views.scales, context=None)
    cut = Cut.of(segmenter, None, nested=True)

    def forest(scene: Photograph) -> SceneForest:
        tiles = Tiles(scene, often, cut=cut)
        nested = segment_into(tiles.begun(None, {}, ""), tiles, segmenter).forest
        assert nested is not None
        return nested

    return forest
