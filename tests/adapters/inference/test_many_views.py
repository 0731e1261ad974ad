"""What many views show together becomes the labels, nested, whatever the adapter's own views are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adapters.inference.contract import InputContract
from adapters.inference.many_views import MANY, of_many_views
from adapters.options.contract import ContextOptions
from domains.entities.forest import EntityForest
from domains.scenes import Photograph


def test_the_forest_is_of_the_mean_of_all_views(tiny_segmenter) -> None:
    segmenter = tiny_segmenter()[0].eval()
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    middle = float(segmenter.outputs([image], MANY)[0].outputs["foreground"].sigmoid().median())
    segmenter.decoder.adopt(replace(segmenter.decoder.options, foreground_threshold=middle, min_area_px=4))
    contract = InputContract(tile_px=64, overlap_px=16, context=ContextOptions())
    scene = of_many_views(segmenter, contract)(Photograph(image))
    proposals = segmenter.decoder.proposals

    def by_hand(*views) -> EntityForest:
        return proposals.forest(proposals.prepared(*segmenter.outputs([image], *views)[0]))

    def partition(forest: EntityForest, granularity: float) -> np.ndarray:
        return forest.cut(granularity).ids

    averaged, single = by_hand(MANY), by_hand()
    finest = partition(averaged, 1.0)
    assert finest.max() > 1 and not np.array_equal(finest, partition(single, 1.0))
    for granularity in (1.0, scene.granularity, 0.5):
        assert np.array_equal(partition(scene.entity_forest, granularity) > 0, partition(averaged, granularity) > 0)
    assert len(np.unique(partition(scene.entity_forest, 1.0))) == len(np.unique(finest))
    wide = Photograph(np.tile(image, (1, 2, 1)))  # of several tiles, beside which the adapter sees the whole
    assert of_many_views(segmenter, contract)(wide).shape == (64, 128)
