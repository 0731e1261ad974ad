"""Entities chosen among nested candidate regions by a learnt IoU, in a forest of all that is nested with them.

The candidates (`regions.py`) of several foreground thresholds and saddle depths overlap; the flat map takes the best
that do not. What is not chosen stays in the forest (`region_forest.py`): parts, and what holds several entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from adapters.proposals.proposals import Proposals
from adapters.proposals.region_forest import ENTITY, TENTHS, RegionForest
from adapters.proposals.regions import FEATURES, Regions, RegionScorer, best_iou, candidates
from adapters.proposals.watershed import fields_of, half
from domains.entities import EntityMap
from domains.entities.forest import EntityForest, Levels

CHOSEN = ENTITY / TENTHS
"""The granularity at which the chosen regions are the entities."""
TRIED = (0.1, 0.2, 0.3, CHOSEN, 0.6)
"""Granularities that calibration tries: what cracks are cut into joins, while parts seldom are what was labelled."""


class RegionOptions(Protocol):
    """What the choice of regions reads of a decoder's options; ranges and meanings stand there."""

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]]
    OF_REGIONS: ClassVar[tuple[str, ...]]

    @property
    def granularity(self) -> float | None:
        """Where the forest is cut, in [0, 1]; None for where the chosen regions are."""
        ...

    @property
    def smoothing_px(self) -> float:
        """Standard deviation of the Gaussian over the core field, in pixels."""
        ...

    @property
    def min_area_px(self) -> int:
        """The least area of an entity, in pixels."""
        ...

    @property
    def least_iou(self) -> float:
        """The least predicted IoU of a candidate that is admitted."""
        ...

    @property
    def sure_foreground(self) -> float:
        """The mean foreground, in [0, 1], above which a candidate is admitted whatever its IoU; 1 for none."""
        ...


class Candidates(NamedTuple):
    """Candidate regions of one image, before any is chosen.

    iou: (N,) in [0, 1], predicted; heat: (H, W) float16 in [0, 1], the mean of the foreground score and of the best
    predicted IoU of a candidate that holds the pixel: a speck that no candidate takes seriously stays lukewarm.
    """

    regions: Regions
    iou: np.ndarray
    heat: np.ndarray


@dataclass(frozen=True)
class RegionChoice(Proposals):
    """Candidates of the best predicted IoU that do not overlap; that IoU is an entity's score."""

    options: RegionOptions
    scorer: RegionScorer

    @property
    def granularity(self) -> float:
        """That of the chosen regions, between their parts and what holds them, if the options say no other."""
        return CHOSEN if self.options.granularity is None else self.options.granularity

    @property
    def levels(self) -> Levels:
        """All tenths but 0."""
        return Levels.of({tenths / TENTHS for tenths in range(1, TENTHS + 1)}, self.granularity)

    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """Without `sure_foreground` where that is 1, which means that nothing is; granularities of `TRIED`."""
        unsure = self.options.sure_foreground == 1
        names = [name for name in self.options.OF_REGIONS if not (unsure and name == "sure_foreground")]
        return {**{name: self.options.TUNED[name] for name in names}, "granularity": TRIED}

    def prepared(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> Candidates:
        """All candidates with their predicted IoU."""
        fields = fields_of(outputs, index, size)
        regions = candidates(fields, self.options.smoothing_px)
        iou = self.scorer.iou(regions.features)
        heat = (fields["foreground"] + best_iou(regions, iou)) / 2
        return Candidates(regions, iou, half(heat))

    def cut(self, prepared: Candidates, granularity: float | None = None) -> EntityMap:
        """The flat map, by the options as they are; or at another granularity. The chosen alone want no forest."""
        granularity = self.granularity if granularity is None else granularity
        return self.forest(prepared, nested=granularity != CHOSEN).cut(granularity)

    def forest(self, prepared: Candidates, nested: bool = True) -> EntityForest:
        """The chosen entities, then with `nested` all that is laminar with them."""
        regions, iou, least_px = prepared.regions, prepared.iou, self.options.min_area_px
        forest = RegionForest(regions, iou)
        admitted = self.admitted(regions, iou)
        ranked = np.argsort(-iou, kind="stable").tolist()
        unplaced = [i for i in ranked if not (admitted[i] and forest.add_entity(i, least_px))]
        if nested:
            for i in unplaced:
                forest.add(i, least_px)
        return forest.grown(prepared.heat, self.options.least_iou)

    def admitted(self, regions: Regions, iou: np.ndarray) -> np.ndarray:
        """(N,) bool: candidates of the least predicted IoU, and those whose mean foreground score is sure.

        A piece of a long crack has a low IoU with the whole, and is a crack all the same.
        """
        sure = regions.features[:, FEATURES.index("foreground")] > self.options.sure_foreground
        return (iou >= self.options.least_iou) | sure
