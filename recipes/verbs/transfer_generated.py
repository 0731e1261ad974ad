"""The column `generated` of `transfer`: what the base was pretrained on, and what an adapter has forgotten of it.

The same scenes for everybody, of every flat family, with exact entities; their seed is none of pretraining or `sample`.
"""

from __future__ import annotations

from collections.abc import Mapping

from domains.datasets.sample import sample_seed
from domains.entities import EntitySample
from domains.metrics import EntityMetric, build_metrics
from domains.procedural import SCENES
from domains.procedural.scene import draw_scene
from recipes.verbs.transfer_cells import MeasuredSet

GENERATED = "generated"
OF_EACH_FAMILY = 3
FAMILIES = tuple(family for family in SCENES if family != "nested")
"""Those whose truth is one flat map, as the decoders of fields learnt them."""
SIDE_PX = 160  # as the embedded base was pretrained
SEED = sample_seed("transfer", 0)


class GeneratedScenes:
    """`OF_EACH_FAMILY` scenes of each of `FAMILIES`, one after the other; each a group of its own."""

    def __len__(self) -> int:
        return OF_EACH_FAMILY * len(FAMILIES)

    def __getitem__(self, index: int, /) -> EntitySample:
        family, number = divmod(index, OF_EACH_FAMILY)
        return draw_scene(FAMILIES[family], (SEED, number), SIDE_PX, SIDE_PX)


class WhatWasPretrained:
    """How generated scenes are measured."""

    headline = "pq"

    def metrics(self) -> Mapping[str, EntityMetric]:
        """Panoptic quality, and what most domains have beside it."""
        return build_metrics(("pq", "f1", "ap50"))


def generated_set() -> MeasuredSet:
    """The column."""
    return MeasuredSet(GENERATED, GeneratedScenes(), WhatWasPretrained())
